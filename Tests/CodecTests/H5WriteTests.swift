import CXfer
import Foundation
import Testing

@Suite("HDF5, writing", .enabled(if: Codecs.h5 != nil, "libxfer-hdf5.so is not beside the tests"))
struct H5WriteTests {
  @Test func roundTrip() throws {
    let folder = try Scratch()
    let path = folder.path("model.h5")
    let file = try H5(path, mode: Int(XFER_H5_CREATE))
    try file.setStrings("/", "layer_names", ["zeta", "alpha", "naïve"])
    try file.setStrings("/", "keras_version", ["2.4.0"], scalar: true)
    try file.setStrings("/", "weight_names", [])
    try file.write("zeta/zeta/kernel:0", XFER_F32, [2, 2], [Float(1), -2, 3.5, .infinity])
    try file.write("alpha/alpha/bias:0", XFER_F16, [2], [UInt16(0x3C00), 0x0001])
    try file.write("alpha/alpha/half:0", XFER_BF16, [2], [UInt16(0x3F80), 0x4049])
    try file.write("alpha/f64", XFER_F64, [], [Double.pi])
    try file.write("alpha/u8", XFER_U8, [3], [UInt8(0), 128, 255])
    try file.write("alpha/i32", XFER_I32, [1, 2], [Int32.min, .max])
    try file.write("alpha/i64", XFER_I64, [2], [Int64.min, .max])
    try file.write("alpha/bool", XFER_BOOL, [2], [UInt8(1), 0])
    try file.write("alpha/none", XFER_F32, [0, 3], [Float]())
    try check(file.codec.group_create(file.file, "beta/gamma"))
    try check(file.codec.group_create(file.file, "beta"))
    // Replacing an attribute is fine, and what is written can be read at once.
    try file.setStrings("/", "backend", ["theano"], scalar: true)
    try file.setStrings("/", "backend", ["tensorflow"], scalar: true)
    #expect(try file.strings("/", "backend") == ["tensorflow"])
    #expect(try file.values("alpha/f64", as: Double.self) == [.pi])
    #expect(status { try file.write("alpha/f64", XFER_F64, [], [1.0]) } == XFER_E_INVALID_ARGUMENT)
    #expect(status { try check(file.codec.group_create(file.file, "alpha/f64/more")) } == XFER_E_INVALID_ARGUMENT)
    #expect(status { try file.write("alpha/x", 99, [1], [1.0]) } == XFER_E_DTYPE)
    #expect(status { try file.setStrings("nowhere", "a", ["b"]) } == XFER_E_NOT_FOUND)
    try file.close()

    let again = try H5(path)
    #expect(try again.members("/") == ["zeta/", "alpha/", "beta/"], "in the order of creation")
    #expect(try again.members("alpha") == ["alpha/", "f64", "u8", "i32", "i64", "bool", "none"])
    #expect(try again.strings("/", "layer_names") == ["zeta", "alpha", "naïve"])
    #expect(try again.strings("/", "keras_version") == ["2.4.0"])
    #expect(try again.strings("/", "weight_names") == [])
    #expect(try again.strings("/", "backend") == ["tensorflow"])
    #expect(try again.values("zeta/zeta/kernel:0", as: Float.self) == [1, -2, 3.5, .infinity])
    let bias = try again.describe("alpha/alpha/bias:0")
    #expect(bias.dtype == XFER_F16 && bias.shape == [2])
    #expect(try again.values("alpha/alpha/bias:0", as: UInt16.self) == [0x3C00, 0x0001])
    #expect(try again.describe("alpha/alpha/half:0").dtype == XFER_BF16)
    #expect(try again.values("alpha/alpha/half:0", as: UInt16.self) == [0x3F80, 0x4049])
    #expect(try again.values("alpha/u8", as: UInt8.self) == [0, 128, 255])
    #expect(try again.values("alpha/i32", as: Int32.self) == [.min, .max])
    #expect(try again.values("alpha/i64", as: Int64.self) == [.min, .max])
    #expect(try again.describe("alpha/bool").dtype == XFER_BOOL)
    #expect(try again.values("alpha/bool", as: UInt8.self) == [1, 0])
    #expect(try again.describe("alpha/none").shape == [0, 3])
  }

  /// Names of a large model take more than the 64 KB an object's header has room for.
  @Test func bigAttributes() throws {
    let folder = try Scratch()
    let names = (0..<6000).map { "block\($0)_sepconv_bn/moving_variance:0" }
    let config = String(repeating: #"{"class_name": "Dense"}, "#, count: 20_000)
    let file = try H5(folder.path("big.h5"), mode: Int(XFER_H5_CREATE))
    try file.setStrings("/", "layer_names", names)
    try file.setStrings("/", "model_config", [config], scalar: true)
    for i in 0..<20 { try file.setStrings("/", "more\(i)", ["\(i)"]) }
    try file.close()
    let again = try H5(folder.path("big.h5"))
    #expect(try again.strings("/", "layer_names") == names)
    #expect(try again.strings("/", "model_config") == [config])
    #expect(try again.strings("/", "more19") == ["19"])
  }

  @Test func sameContentsGiveTheSameFile() throws {
    let folder = try Scratch()
    let files = try ["a.h5", "b.h5"].map { name in
      let file = try H5(folder.path(name), mode: Int(XFER_H5_CREATE))
      try file.write("layer/kernel", XFER_F32, [4], [Float(1), 2, 3, 4])
      try file.setStrings("layer", "weight_names", ["kernel"])
      try file.close()
      return try Data(contentsOf: URL(filePath: folder.path(name)))
    }
    #expect(files[0] == files[1])
  }

  @Test func errors() throws {
    #expect(status { _ = try H5("/no/such/folder/a.h5", mode: Int(XFER_H5_CREATE)) } == XFER_E_NOT_FOUND)
    #expect(status { _ = try H5("/", mode: Int(XFER_H5_CREATE)) } == XFER_E_IO)
    #expect(status { _ = try H5("/tmp/a.h5", mode: 7) } == XFER_E_INVALID_ARGUMENT)
  }

  /// A device that is always full stands for a full disk: it has to be said, and the process has to live on.
  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full"), "there is no /dev/full here"))
  func fullDisk() throws {
    let values = [Float](repeating: 1, count: 100_000)
    let file = try H5("/dev/full", mode: Int(XFER_H5_CREATE))
    let failure = #expect(throws: Failure.self) { try file.write("layer/kernel", XFER_F32, [values.count], values) }
    #expect(failure?.status == XFER_E_IO && failure?.message.contains("No space left") == true)
    #expect(status { try file.write("layer/bias", XFER_F32, [1], [Float(1)]) } == XFER_E_IO)
    #expect(status { try file.close() } == XFER_E_IO)
    // What is written only at the end is reported at the end.
    let small = try H5("/dev/full", mode: Int(XFER_H5_CREATE))
    _ = status { try small.setStrings("/", "layer_names", ["a"]) }
    #expect(status { try small.close() } == XFER_E_IO)
    // The library is as good as before.
    let folder = try Scratch()
    let next = try H5(folder.path("next.h5"), mode: Int(XFER_H5_CREATE))
    try next.write("layer/kernel", XFER_F32, [values.count], values)
    try next.close()
    #expect(try H5(folder.path("next.h5")).values("layer/kernel", as: Float.self) == values)
  }
}
