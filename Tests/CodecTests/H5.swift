import CXfer
import Foundation

/// The HDF5 table with Swift's types.
final class H5 {
  let codec: xfer_h5_codec
  private(set) var file: OpaquePointer?

  init(_ path: String, mode: Int = Int(XFER_H5_READ)) throws {
    codec = try H5.table()
    try check(codec.open(path, Int32(mode), &file))
  }

  /// The bytes are to outlive the file.
  init(memory: UnsafeRawBufferPointer) throws {
    codec = try H5.table()
    try check(codec.open_memory(memory.baseAddress, memory.count, &file))
  }

  private static func table() throws -> xfer_h5_codec {
    guard let codec = Codecs.h5 else { throw Failure(status: XFER_E_PLUGIN, message: "no plugin") }
    return codec.table
  }

  deinit { _ = codec.close(file) }

  func close() throws {
    defer { file = nil }
    try check(codec.close(file))
  }

  func exists(_ path: String) -> Bool { codec.exists(file, path) != 0 }

  func members(_ group: String) throws -> [String] {
    var names: [String] = []
    try withUnsafeMutablePointer(to: &names) {
      try check(
        codec.visit(
          file, group,
          { user, name, kind in
            guard let name else { return 1 }
            user?.assumingMemoryBound(to: [String].self).pointee.append(String(cString: name) + (kind == Int32(XFER_H5_GROUP) ? "/" : ""))
            return 0
          }, $0))
    }
    return names
  }

  func describe(_ path: String) throws -> (dtype: xfer_dtype, shape: [Int]) {
    var desc = xfer_tensor_desc()
    try check(codec.dataset_info(file, path, &desc))
    let dims = withUnsafeBytes(of: desc.dims) { Array($0.bindMemory(to: Int64.self)) }
    return (desc.dtype, dims.prefix(Int(desc.rank)).map(Int.init))
  }

  static func size(_ dtype: xfer_dtype) -> Int {
    switch dtype {
    case XFER_F64, XFER_I64: 8
    case XFER_F32, XFER_I32: 4
    case XFER_F16, XFER_BF16: 2
    default: 1
    }
  }

  func bytes(_ path: String) throws -> [UInt8] {
    let (dtype, shape) = try describe(path)
    var data = [UInt8](repeating: 0xAA, count: shape.reduce(H5.size(dtype), *))
    try check(codec.dataset_read(file, path, &data, data.count))
    return data
  }

  func values<T>(_ path: String, as type: T.Type) throws -> [T] {
    try bytes(path).withUnsafeBytes { Array($0.bindMemory(to: T.self)) }
  }

  func strings(_ path: String, _ name: String) throws -> [String] {
    var found: [String] = []
    try withUnsafeMutablePointer(to: &found) {
      try check(
        codec.attribute_strings(
          file, path, name,
          { user, text, bytes in
            let text = String(decoding: UnsafeRawBufferPointer(start: text, count: bytes), as: UTF8.self)
            user?.assumingMemoryBound(to: [String].self).pointee.append(text)
          }, $0))
    }
    return found
  }

  func write<T>(_ path: String, _ dtype: xfer_dtype, _ shape: [Int], _ values: [T]) throws {
    var desc = xfer_tensor_desc()
    desc.dtype = dtype
    desc.rank = Int32(shape.count)
    withUnsafeMutableBytes(of: &desc.dims) {
      let dims = $0.bindMemory(to: Int64.self)
      for i in 0..<8 { dims[i] = i < shape.count ? Int64(shape[i]) : 1 }
    }
    try values.withUnsafeBytes { try check(codec.dataset_write(file, path, &desc, $0.baseAddress)) }
  }

  func setStrings(_ path: String, _ name: String, _ values: [String], scalar: Bool = false) throws {
    let copies = values.map { strdup($0) }
    defer { copies.forEach { free($0) } }
    try check(codec.attribute_write(file, path, name, copies.map { UnsafePointer($0) }, values.count, scalar ? 1 : 0))
  }
}
