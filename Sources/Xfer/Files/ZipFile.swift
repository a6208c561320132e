import CXfer
public import XferCore

/// A zip archive, through the plugin that has libzip.
public final class ZipFile {
  private let codec: UnsafePointer<xfer_zip_codec>
  private var handle: OpaquePointer?
  /// What errors call the archive.
  private let name: String

  /// An archive to read.
  public convenience init(reading path: String) throws { try self.init(path, Int32(XFER_H5_READ)) }

  /// An archive to write: the file is made by ``close()``, an archive that goes without it leaves none.
  public convenience init(creating path: String) throws { try self.init(path, Int32(XFER_H5_CREATE)) }

  private init(_ path: String, _ mode: Int32) throws {
    guard let plugin = PluginHost.shared.best(.zip), let table = plugin.pointer.pointee.table else {
      let folders = PluginHost.searchPath.joined(separator: ":")
      throw XferError(XFER_E_PLUGIN, "\(path): zip archives (.keras) need the plugin libxfer-zip.so, which was not found in \(folders)")
    }
    codec = table.assumingMemoryBound(to: xfer_zip_codec.self)
    name = path
    try check(codec.pointee.open(path, mode, &handle), name)
  }

  deinit { codec.pointee.discard(handle) }

  /// Closes the archive; one that was made is written now. Throws what could not be written.
  public func close() throws {
    guard let handle else { return }
    self.handle = nil
    try check(codec.pointee.close(handle), name)
  }

  /// The entries in the order of the archive, with their sizes in bytes.
  public func entries() throws -> [(name: String, bytes: Int)] {
    try opened()
    var found: [(name: String, bytes: Int)] = []
    try withUnsafeMutablePointer(to: &found) { found in
      try check(
        codec.pointee.visit(
          handle,
          { user, name, bytes in
            if let name {
              user?.assumingMemoryBound(to: [(name: String, bytes: Int)].self).pointee.append((String(cString: name), Int(clamping: bytes)))
            }
            return 0
          }, found), name)
    }
    return found
  }

  /// The bytes of an entry as a uint8 tensor of one dimension.
  public func read(_ entry: String) throws -> Tensor {
    guard let bytes = try entries().first(where: { $0.name == entry })?.bytes else {
      throw XferError.notFound("\(name) has no entry '\(entry)'")
    }
    let tensor = try Tensor(zeros: [bytes], dtype: .uint8)
    try check(codec.pointee.entry_read(handle, entry, tensor.data, bytes), "\(name), entry '\(entry)'")
    return tensor
  }

  /// Adds an entry, stored without compression. The bytes are copied.
  public func write(_ entry: String, _ bytes: UnsafeRawBufferPointer) throws {
    try opened()
    try check(codec.pointee.entry_write(handle, entry, bytes.baseAddress, bytes.count), "\(name), entry '\(entry)'")
  }

  public func write(_ entry: String, text: String) throws {
    var text = text
    try text.withUTF8 { try write(entry, UnsafeRawBufferPointer($0)) }
  }

  private func opened() throws {
    if handle == nil { throw XferError.state("\(name) was closed") }
  }
}
