import CXfer
import Foundation
import Testing

@Suite("Zip archives", .enabled(if: Codecs.zip != nil, "libxfer-zip.so is not beside the tests"))
struct ZipTests {
  let zip: xfer_zip_codec

  init() throws { zip = try #require(Codecs.zip).table }

  private func entries(_ file: OpaquePointer?) throws -> [String: Int] {
    var found: [String: Int] = [:]
    try withUnsafeMutablePointer(to: &found) {
      try check(
        zip.visit(
          file,
          { user, name, bytes in
            if let name { user?.assumingMemoryBound(to: [String: Int].self).pointee[String(cString: name)] = Int(bytes) }
            return 0
          }, $0))
    }
    return found
  }

  private func read(_ file: OpaquePointer?, _ name: String, _ bytes: Int) throws -> [UInt8] {
    var data = [UInt8](repeating: 0, count: bytes)
    try check(zip.entry_read(file, name, &data, bytes))
    return data
  }

  private func write(_ path: String, _ contents: [(String, [UInt8])]) throws {
    var file: OpaquePointer?
    try check(zip.open(path, Int32(XFER_H5_CREATE), &file))
    for (name, data) in contents { try check(zip.entry_write(file, name, data, data.count)) }
    try check(zip.close(file))
  }

  @Test func reading() throws {
    var file: OpaquePointer?
    try check(zip.open(Fixture.path("model.zip"), Int32(XFER_H5_READ), &file))
    defer { zip.discard(file) }
    #expect(try entries(file) == ["metadata.json": 26, "config.json": 5000, "assets/": 0])
    #expect(try read(file, "metadata.json", 26) == Array(#"{"keras_version": "3.9.0"}"#.utf8))
    #expect(try read(file, "config.json", 5000) == [UInt8](repeating: 97, count: 5000))
    #expect(status { _ = try read(file, "none", 1) } == XFER_E_NOT_FOUND)
    #expect(status { _ = try read(file, "config.json", 4999) } == XFER_E_INVALID_ARGUMENT)
    #expect(status { try check(zip.entry_write(file, "new", [1], 1)) } == XFER_E_STATE)
  }

  @Test func roundTrip() throws {
    let folder = try Scratch()
    let big = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
    let contents = [("metadata.json", Array("{}".utf8)), ("empty", []), ("model.weights.h5", big), ("naïve/ß.txt", [1, 2, 3])]
    try write(folder.path("a.keras"), contents)
    try write(folder.path("b.keras"), contents)
    #expect(FileManager.default.contentsEqual(atPath: folder.path("a.keras"), andPath: folder.path("b.keras")))
    var file: OpaquePointer?
    try check(zip.open(folder.path("a.keras"), Int32(XFER_H5_READ), &file))
    defer { zip.discard(file) }
    #expect(try entries(file) == Dictionary(uniqueKeysWithValues: contents.map { ($0.0, $0.1.count) }))
    for (name, data) in contents { #expect(try read(file, name, data.count) == data) }
  }

  @Test func pythonReadsIt() throws {
    let folder = try Scratch()
    try write(folder.path("a.keras"), [("config.json", Array("{}".utf8)), ("w", [UInt8](repeating: 7, count: 100_000))])
    let program = """
      import sys, zipfile
      z = zipfile.ZipFile(sys.argv[1])
      assert z.testzip() is None
      print([(i.filename, i.file_size, i.compress_type) for i in z.infolist()], sum(z.read('w')))
      """
    guard let output = try python(program, folder.path("a.keras")) else { return }
    #expect(output == "[('config.json', 2, 0), ('w', 100000, 0)] 700000\n")
  }

  @Test func discarding() throws {
    let folder = try Scratch()
    var file: OpaquePointer?
    try check(zip.open(folder.path("a.keras"), Int32(XFER_H5_CREATE), &file))
    try check(zip.entry_write(file, "x", [1], 1))
    zip.discard(file)
    #expect(!FileManager.default.fileExists(atPath: folder.path("a.keras")))
    zip.discard(nil)
    #expect(zip.close(nil) == XFER_OK)
    try check(zip.open(folder.path("a.keras"), Int32(XFER_H5_CREATE), &file))
    #expect(status { try check(zip.close(file)) } == XFER_E_STATE, "an archive without entries cannot be written")
  }

  @Test func errors() throws {
    var file: OpaquePointer?
    #expect(status { try check(zip.open("/no/such.zip", Int32(XFER_H5_READ), &file)) } == XFER_E_NOT_FOUND)
    #expect(status { try check(zip.open(Fixture.path("make_fixtures.py"), Int32(XFER_H5_READ), &file)) } == XFER_E_FORMAT)
    #expect(file == nil)
    #expect(status { try write("/no/such/folder/a.zip", [("a", [1])]) } != XFER_OK)
  }

  /// An entry that claims to be larger than its archive could hold is refused before anybody makes room for it.
  @Test func impossibleSize() throws {
    var bytes = try Fixture.bytes("model.zip")
    let sizes = bytes.indices.dropLast(4).filter { Array(bytes[$0..<$0 + 4]) == [0x88, 0x13, 0, 0] }
    try #require(sizes.count == 2)
    for at in sizes { bytes.replaceSubrange(at..<at + 4, with: [0, 0, 0, 0x7F]) }
    let folder = try Scratch()
    try Data(bytes).write(to: URL(filePath: folder.path("bomb.zip")))
    var file: OpaquePointer?
    try check(zip.open(folder.path("bomb.zip"), Int32(XFER_H5_READ), &file))
    defer { zip.discard(file) }
    #expect(status { _ = try entries(file) } == XFER_E_FORMAT)
  }

  @Test func damaged() throws {
    let folder = try Scratch()
    let path = folder.path("damaged.zip")
    let good = try Fixture.bytes("model.zip")
    var refused = 0
    var unclear = 0
    damage(good, cuts: 100, flips: 400) { bytes in
      let result = status {
        try Data(bytes).write(to: URL(filePath: path))
        var file: OpaquePointer?
        try check(zip.open(path, Int32(XFER_H5_READ), &file))
        defer { zip.discard(file) }
        for (name, size) in try entries(file) { _ = try read(file, name, size) }
      }
      if result < 0 { unclear += 1 }
      if result != XFER_OK { refused += 1 }
    }
    #expect(unclear == 0)
    #expect(refused > 250, "every cut, and what the checksums cover")
  }
}
