import Glibc
public import XferCore

extension SafetensorsFile {
  /// Writes tensors as a `.safetensors` file, in full or not at all. Equal contents give equal files.
  ///
  /// - Parameters:
  ///   - tensors: names, each once, and values.
  ///   - metadata: a few words for the header.
  public static func write(_ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], to path: String) throws {
    // Wide elements first: then each tensor is aligned to its elements.
    let ordered = tensors.sorted { ($1.tensor.dtype.size, $0.name) < ($0.tensor.dtype.size, $1.name) }
    var header: [String: JSONValue] = [:]
    var end = 0
    for (name, tensor) in ordered {
      guard name != "__metadata__", header[name] == nil else { throw XferError.invalid("\(path): two tensors are called '\(name)'") }
      guard let dtype = dtypes.first(where: { $0.value == tensor.dtype })?.key else {
        throw XferError.dtype("\(path): no \(tensor.dtype.name) in this format")
      }
      header[name] = [
        "dtype": .string(dtype), "shape": .array(tensor.shape.map { .int($0) }),
        "data_offsets": [.int(end), .int(end + tensor.byteCount)],
      ]
      end += tensor.byteCount
    }
    if !metadata.isEmpty { header["__metadata__"] = .object(metadata.mapValues { .string($0) }) }
    var text = Array(JSONValue.object(header).text().utf8)
    text += repeatElement(UInt8(ascii: " "), count: (8 - text.count % 8) % 8)

    try AtomicFile.replace(path) { temporary in
      let file = open(temporary, O_WRONLY | O_TRUNC | O_CLOEXEC)
      guard file >= 0 else { throw systemError(path, "cannot be written") }
      defer { close(file) }
      try withUnsafeBytes(of: UInt64(text.count).littleEndian) { try writeAll(file, $0, path: path) }
      try text.withUnsafeBytes { try writeAll(file, $0, path: path) }
      for (_, tensor) in ordered { try writeAll(file, UnsafeRawBufferPointer(start: tensor.data, count: tensor.byteCount), path: path) }
    }
  }
}
