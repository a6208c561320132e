public import CXfer

/// The host of the latest entry call. Kernels keep the host they were prepared with.
nonisolated(unsafe) var currentHost: UnsafePointer<xfer_host>?
/// A host without functions: `supports` and `pack_size` ask the same questions as `prepare`, and a no is no error to tell.
nonisolated(unsafe) var quietHost: UnsafePointer<xfer_host>?
nonisolated(unsafe) private var pluginTable: UnsafePointer<xfer_plugin>?

@c @implementation public func xfer_plugin_entry(_ host: UnsafePointer<xfer_host>?) -> UnsafePointer<xfer_plugin>? {
  guard let host else { return nil }
  currentHost = host
  if let pluginTable { return pluginTable }
  guard let quiet = allocate(xfer_host.self, host), let backend = allocate(xfer_backend.self, host),
    let plugin = allocate(xfer_plugin.self, host)
  else { return nil }
  openLibrary(host)
  quiet.initialize(to: xfer_host())
  quietHost = UnsafePointer(quiet)
  backend.initialize(
    to: xfer_backend(
      struct_size: MemoryLayout<xfer_backend>.size,
      supports: { desc in supports(desc) },
      pack_size: { desc, input, layout in packSize(desc, input, layout) },
      pack: { desc, input, source, packed in packInput(desc, input, source, packed) },
      prepare: { desc, kernel, workspace in prepareKernel(desc, kernel, workspace) },
      execute: { kernel, inputs, outputs, workspace in executeKernel(kernel, inputs, outputs, workspace) },
      release: { kernel in releaseKernel(kernel) }
    ))
  plugin.initialize(
    to: xfer_plugin(
      struct_size: MemoryLayout<xfer_plugin>.size,
      abi_major: UInt32(XFER_PLUGIN_ABI_MAJOR), abi_minor: UInt32(XFER_PLUGIN_ABI_MINOR),
      kind: Int32(XFER_PLUGIN_BACKEND), name: cString("onednn"), version: libraryVersion ?? cString("1.0"),
      score: { host in
        if dnnl != nil { return 20 }
        if let host { reportMissingLibrary(to: host) }
        return 0
      },
      table: UnsafeRawPointer(backend),
      shutdown: nil
    ))
  pluginTable = UnsafePointer(plugin)
  return pluginTable
}

private func allocate<T>(_: T.Type, _ host: UnsafePointer<xfer_host>) -> UnsafeMutablePointer<T>? {
  host.pointee.alloc?(host, MemoryLayout<T>.size, 64)?.bindMemory(to: T.self, capacity: 1)
}

private func cString(_ text: StaticString) -> UnsafePointer<CChar> {
  UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}
