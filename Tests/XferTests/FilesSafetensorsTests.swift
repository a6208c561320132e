import CXfer
import Foundation
import Testing
import XferCore
@testable import Xfer

/// The status of the XferError a closure throws, XFER_OK where it throws none.
private func status(_ body: () throws -> Void) -> xfer_status {
  do {
    try body()
    return XFER_OK
  } catch { return (error as? XferError)?.status ?? -1 }
}

@Suite("Safetensors")
struct FilesSafetensorsTests {
  /// A file with a header and this many bytes behind it.
  private func file(_ header: String, _ bytes: Int, in folder: TemporaryFolder) throws -> String {
    var data = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) } + Array(header.utf8)
    data += (0..<bytes).map { UInt8($0) }
    try folder.write(data, "test.safetensors")
    return folder.file("test.safetensors")
  }

  @Test func roundTrip() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("model.safetensors")
    let half = try Tensor(zeros: [3], dtype: .float16)
    half.data.assumingMemoryBound(to: UInt16.self).update(repeating: 0x3C00, count: 3)
    let bytes = try Tensor(zeros: [1], dtype: .uint8)
    bytes.data.assumingMemoryBound(to: UInt8.self)[0] = 200
    try SafetensorsFile.write(
      [
        ("u8", bytes), ("layer/kernel \"ü\"", try Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])), ("half", half),
        ("labels", try Tensor(labels: [-1, 7])), ("scalar", try Tensor([2.5], shape: [])), ("none", try Tensor([], shape: [0, 4])),
      ], metadata: ["format": "xfer"], to: path)
    let file = try SafetensorsFile(path)
    #expect(file.metadata == ["format": "xfer"])
    #expect(Set(file.names) == ["u8", "layer/kernel \"ü\"", "half", "labels", "scalar", "none"])
    #expect(file.entries["layer/kernel \"ü\""]?.shape == [2, 3])
    #expect(try file.tensor("layer/kernel \"ü\"").floats == [1, 2, 3, 4, 5, 6])
    #expect(try file.tensor("half").floats == [1, 1, 1])
    #expect(try file.tensor("labels").floats == [-1, 7])
    #expect(try file.tensor("labels").dtype == .int32)
    #expect(try file.tensor("scalar").shape == [])
    #expect(try file.tensor("scalar").floats == [2.5])
    #expect(try file.tensor("none").shape == [0, 4])
    #expect(try file.tensor("u8").floats == [200])
    // Same contents, same file; nothing but the file is left.
    let first = try folder.read("model.safetensors")
    try SafetensorsFile.write([("a", try Tensor([1])), ("b", bytes)], to: folder.file("x"))
    try SafetensorsFile.write([("b", bytes), ("a", try Tensor([1]))], to: folder.file("y"))
    #expect(try folder.read("x") == folder.read("y"))
    #expect(Set(folder.names) == ["model.safetensors", "x", "y"])
    // The header is filled up, so that the elements are aligned.
    #expect(first.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) } % 8 == 0)
  }

  /// Tensors read without a copy stay when the file object is gone, and writing to them leaves the file alone.
  @Test func views() throws {
    let folder = try TemporaryFolder()
    try SafetensorsFile.write([("a", try Tensor([1, 2]))], to: folder.file("a"))
    let before = try folder.read("a")
    let tensor = try SafetensorsFile(folder.file("a")).tensor("a")
    tensor.float32[0] = 9
    #expect(tensor.floats == [9, 2])
    #expect(try folder.read("a") == before)
  }

  /// A header whose length is no multiple of four puts the elements anywhere.
  @Test func unaligned() throws {
    let folder = try TemporaryFolder()
    let header = #"{"a":{"dtype":"I32","shape":[2],"data_offsets":[1,9]},"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
    for spaces in 0..<4 {
      let file = try SafetensorsFile(file(header + String(repeating: " ", count: spaces), 9, in: folder))
      let tensor = try file.tensor("a")
      #expect(UInt(bitPattern: tensor.data) % 4 == 0)
      #expect(tensor.floats == [0x0403_0201, 0x0807_0605].map { Float($0) })
    }
  }

  @Test(arguments: [
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}}"#,  // beyond the file
    #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,  // shape and bytes differ
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,  // bytes left over
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,  // a gap
    #"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
    #"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#,
    #"{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#,
    #"{"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}}"#,
    #"{"a":[]}"#, "{", "[]", "",
  ]) func damagedHeader(_ header: String) throws {
    let folder = try TemporaryFolder()
    let path = try file(header, 8, in: folder)
    #expect(status { _ = try SafetensorsFile(path) } == XFER_E_FORMAT)
  }

  @Test func errors() throws {
    let folder = try TemporaryFolder()
    #expect(status { _ = try SafetensorsFile(folder.file("none")) } == XFER_E_NOT_FOUND)
    #expect(status { _ = try SafetensorsFile(folder.path) } == XFER_E_IO)
    let good = try file(#"{"kernel":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8, in: folder)
    let misspelt = #expect(throws: XferError.self) { try SafetensorsFile(good).tensor("kernal") }
    #expect(misspelt?.status == XFER_E_NOT_FOUND && misspelt?.message.contains("'kernel'") == true)
    let wide = try file(#"{"a":{"dtype":"U64","shape":[1],"data_offsets":[0,8]}}"#, 8, in: folder)
    #expect(status { _ = try SafetensorsFile(wide).tensor("a") } == XFER_E_UNSUPPORTED)
    let twice = try [("a", Tensor([1])), ("a", Tensor([2]))]
    #expect(status { try SafetensorsFile.write(twice, to: folder.file("twice")) } == XFER_E_INVALID_ARGUMENT)
  }

  @Test func everyCut() throws {
    let folder = try TemporaryFolder()
    try SafetensorsFile.write([("a", try Tensor([1, 2, 3])), ("b", try Tensor([4]))], to: folder.file("good"))
    let good = try folder.read("good")
    for length in 0..<good.count {
      try folder.write(good.prefix(length), "cut")
      #expect(status { _ = try SafetensorsFile(folder.file("cut")) } == XFER_E_FORMAT, "\(length) bytes")
    }
  }
}

@Suite("Files that are there in full or not at all")
struct FilesAtomicTests {
  @Test func replacing() throws {
    let folder = try TemporaryFolder()
    try folder.write(Data("old".utf8), "file")
    chmod(folder.file("file"), 0o640)
    try AtomicFile.replace(folder.file("file")) { temporary in
      #expect(URL(filePath: temporary).deletingLastPathComponent().path == URL(filePath: folder.path).path)
      #expect(try folder.read("file") == Data("old".utf8))
      try Data("new".utf8).write(to: URL(filePath: temporary))
    }
    #expect(try folder.read("file") == Data("new".utf8))
    #expect(folder.names == ["file"])
    let mode = try FileManager.default.attributesOfItem(atPath: folder.file("file"))[.posixPermissions] as? Int
    #expect(mode == 0o640)
  }

  @Test func failing() throws {
    let folder = try TemporaryFolder()
    try folder.write(Data("old".utf8), "file")
    #expect(
      status {
        try AtomicFile.replace(folder.file("file")) { temporary in
          try Data("half".utf8).write(to: URL(filePath: temporary))
          throw XferError.state("stop")
        }
      } == XFER_E_STATE)
    #expect(try folder.read("file") == Data("old".utf8))
    #expect(folder.names == ["file"])
  }

  @Test func links() throws {
    let folder = try TemporaryFolder()
    try folder.write(Data("old".utf8), "file")
    try FileManager.default.createSymbolicLink(atPath: folder.file("link"), withDestinationPath: "file")
    try AtomicFile.replace(folder.file("link")) { try Data("new".utf8).write(to: URL(filePath: $0)) }
    #expect(try folder.read("file") == Data("new".utf8))
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: folder.file("link")) == "file")
  }

  @Test func refusals() throws {
    let folder = try TemporaryFolder()
    var ran = false
    let missing = #expect(throws: XferError.self) { try AtomicFile.replace(folder.file("no/file")) { _ in ran = true } }
    #expect(missing?.status == XFER_E_NOT_FOUND && missing?.message.contains("no/file") == true)
    #expect(status { try AtomicFile.replace(folder.path) { _ in ran = true } } == XFER_E_IO)
    #expect(status { try AtomicFile.replace("/proc/none/file") { _ in ran = true } } != XFER_OK)
    #expect(status { try AtomicFile.replace("/dev/full") { _ in ran = true } } == XFER_E_IO)
    #expect(!ran)
  }
}
