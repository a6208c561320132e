public import CXfer

/// A host without functions: `supports` and `pack_size` ask the same questions as `prepare`, and a no is no error to tell.
nonisolated(unsafe) private(set) var quietHost: UnsafePointer<xfer_host>?

@c @implementation public func xfer_plugin_entry(_ host: UnsafePointer<xfer_host>?) -> UnsafePointer<xfer_plugin>? {
  if quietHost == nil, let host, let quiet = allocate(xfer_host.self, from: host) {
    openLibrary(host)
    quiet.initialize(to: xfer_host())
    quietHost = UnsafePointer(quiet)
  }
  return makePlugin(
    host,
    BackendDescription(
      name: "onednn", version: libraryVersion ?? cString("1.0"),
      score: { host in
        if dnnl != nil { return 20 }
        if let host { reportMissingLibrary(to: host) }
        return 0
      },
      supports: { desc in supports(desc) },
      packSize: { desc, input, layout in packSize(desc, input, layout) },
      pack: { desc, input, source, packed in packInput(desc, input, source, packed) }))
}
