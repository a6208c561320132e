import CXfer
public import XferCore

/// An HDF5 file, through the plugin that has libhdf5.
public final class H5File {
  public enum Kind: Int32, Sendable { case group = 0, dataset }

  private let codec: UnsafePointer<xfer_h5_codec>
  private var handle: OpaquePointer?
  /// What errors call the file.
  private let name: String
  /// Memory a file opened from it reads.
  private let memory: Tensor?

  public convenience init(reading path: String) throws {
    try self.init(name: path, memory: nil) { $0.open(path, Int32(XFER_H5_READ), &$1) }
  }

  public convenience init(creating path: String) throws {
    try self.init(name: path, memory: nil) { $0.open(path, Int32(XFER_H5_CREATE), &$1) }
  }

  /// A file that lies in memory, as in a zip archive.
  public convenience init(reading memory: Tensor, name: String) throws {
    try self.init(name: name, memory: memory) { $0.open_memory(memory.data, memory.byteCount, &$1) }
  }

  private init(name: String, memory: Tensor?, _ open: (xfer_h5_codec, inout OpaquePointer?) -> xfer_status) throws {
    guard let plugin = PluginHost.shared.best(.hdf5), let table = plugin.pointer.pointee.table else {
      throw XferError(
        XFER_E_PLUGIN,
        "\(name): reading and writing HDF5 needs the plugin libxfer-hdf5.so, which was not found in \(PluginHost.searchPath.joined(separator: ":"))"
      )
    }
    codec = table.assumingMemoryBound(to: xfer_h5_codec.self)
    (self.name, self.memory) = (name, memory)
    try check(open(codec.pointee, &handle), name)
  }

  deinit { if let handle { _ = codec.pointee.close(handle) } }

  /// Closes the file; throws what could not be written.
  public func close() throws {
    guard let handle else { return }
    self.handle = nil
    try check(codec.pointee.close(handle), name)
  }

  public func exists(_ path: String) -> Bool { codec.pointee.exists(handle, path) != 0 }

  /// The direct members of a group.
  public func members(_ group: String) throws -> [(name: String, kind: Kind)] {
    var found: [(name: String, kind: Kind)] = []
    try withUnsafeMutablePointer(to: &found) { found in
      try check(
        codec.pointee.visit(
          handle, group,
          { user, name, kind in
            if let name, let kind = Kind(rawValue: kind) {
              user?.assumingMemoryBound(to: [(name: String, kind: Kind)].self).pointee.append((String(cString: name), kind))
            }
            return 0
          }, found), "\(name), group '\(group)'")
    }
    return found
  }

  public func describe(_ path: String) throws -> TensorDescription {
    var desc = xfer_tensor_desc()
    try check(codec.pointee.dataset_info(handle, path, &desc), "\(name), data set '\(path)'")
    guard let dtype = DType(rawValue: desc.dtype), (0...Int32(XFER_MAX_RANK)).contains(desc.rank) else {
      throw XferError.format("\(name), data set '\(path)': an element type or rank that is not supported")
    }
    let shape = withUnsafeBytes(of: desc.dims) { $0.bindMemory(to: Int64.self).prefix(Int(desc.rank)).map { Int($0) } }
    return TensorDescription(shape, dtype)
  }

  public func read(_ path: String) throws -> Tensor {
    let description = try describe(path)
    let tensor = try Tensor(zeros: description.shape, dtype: description.dtype)
    try check(codec.pointee.dataset_read(handle, path, tensor.data, tensor.byteCount), "\(name), data set '\(path)'")
    return tensor
  }

  public func write(_ path: String, _ tensor: Tensor) throws {
    var desc = tensor.description.c
    try check(codec.pointee.dataset_write(handle, path, &desc, tensor.data), "\(name), data set '\(path)'")
  }

  public func createGroup(_ path: String) throws { try check(codec.pointee.group_create(handle, path), "\(name), group '\(path)'") }

  /// The strings of an attribute, nil when there is none of this name. Attributes that Keras split into name0, name1, … come joined.
  public func strings(_ path: String, _ attribute: String) throws -> [String]? {
    if let whole = try piece(path, attribute) { return whole }
    var joined: [String]?
    var index = 0
    while let part = try piece(path, "\(attribute)\(index)") {
      joined = (joined ?? []) + part
      index += 1
    }
    return joined
  }

  private func piece(_ path: String, _ attribute: String) throws -> [String]? {
    var found: [String] = []
    let status = withUnsafeMutablePointer(to: &found) { found in
      codec.pointee.attribute_strings(
        handle, path, attribute,
        { user, text, bytes in
          let text = String(decoding: UnsafeRawBufferPointer(start: text, count: bytes), as: UTF8.self)
          user?.assumingMemoryBound(to: [String].self).pointee.append(text)
        }, found)
    }
    if status == XFER_E_NOT_FOUND { return nil }
    try check(status, "\(name), attribute '\(attribute)' of '\(path)'")
    return found
  }

  /// Writes one string, or with `scalar` false an array of them.
  public func setStrings(_ path: String, _ attribute: String, _ values: [String], scalar: Bool = false) throws {
    // One block of text with an end mark behind each string keeps all pointers valid at once.
    let block = values.flatMap { Array($0.utf8CString) }
    var offset = 0
    let offsets = values.map { value in
      defer { offset += value.utf8.count + 1 }
      return offset
    }
    try block.withUnsafeBufferPointer { block in
      let pointers = offsets.map { offset in block.baseAddress.map { $0 + offset } }
      try check(
        codec.pointee.attribute_write(handle, path, attribute, pointers, values.count, scalar ? 1 : 0),
        "\(name), attribute '\(attribute)' of '\(path)'")
    }
  }
}
