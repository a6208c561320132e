import CBLASLoader
public import CXfer

/// The library, looked for when the plugin is entered; nil when there is none. Read only from then on.
nonisolated(unsafe) private(set) var blas: UnsafePointer<xfer_blas>?
/// What the search said, for `score`.
nonisolated(unsafe) private var search: UnsafeMutablePointer<xfer_blas>?

@c @implementation public func xfer_plugin_entry(_ host: UnsafePointer<xfer_host>?) -> UnsafePointer<xfer_plugin>? {
  if search == nil, let host, let memory = host.pointee.alloc?(host, MemoryLayout<xfer_blas>.size, 64) {
    let found = memory.bindMemory(to: xfer_blas.self, capacity: 1)
    search = found
    if xfer_blas_open(found) != 0 { blas = UnsafePointer(found) }
  }
  return makePlugin(
    host,
    BackendDescription(
      name: "blas", version: xfer_blas_version(blas),
      score: { host in
        if blas != nil { return 10 }
        if let host { reportMissingLibrary(to: host) }
        return 0
      },
      supports: { desc in
        guard blas != nil, let desc else { return Int32(XFER_SUPPORT_NO) }
        return supports(desc.pointee)
      },
      // The library's number of threads is one for the whole process.
      isConcurrent: false))
}

private func reportMissingLibrary(to host: UnsafePointer<xfer_host>) {
  var message = Message()
  message.text("no CBLAS was found, set XFER_BLAS_LIBRARY to the path of one; tried: ")
  if let search {
    withUnsafeBytes(of: search.pointee.tried) { text in
      for byte in text where byte != 0 { message.byte(byte) }
    }
  }
  message.send(to: host)
}
