import CXfer

/// The host of the latest entry call. Kernels keep the host they were prepared with.
nonisolated(unsafe) var currentHost: UnsafePointer<xfer_host>?
nonisolated(unsafe) private var pluginTable: UnsafePointer<xfer_plugin>?

/// What differs between the backends built on this frame.
struct BackendDescription {
  let name: StaticString
  let version: UnsafePointer<CChar>
  let score: @convention(c) (UnsafePointer<xfer_host>?) -> Int32
  let supports: @convention(c) (UnsafePointer<xfer_op_desc>?) -> Int32
  /// Of a backend that has a form of its own for constants.
  var packSize: (@convention(c) (UnsafePointer<xfer_op_desc>?, UInt32, UnsafeMutablePointer<UInt64>?) -> Int)?
  var pack: (@convention(c) (UnsafePointer<xfer_op_desc>?, UInt32, UnsafeRawPointer?, UnsafeMutableRawPointer?) -> xfer_status)?
  /// Whether threads are the host's, or a library's that each calling thread has for itself.
  var isConcurrent = true
}

/// Builds the tables on the first call; they live as long as the process.
func makePlugin(_ host: UnsafePointer<xfer_host>?, _ description: BackendDescription) -> UnsafePointer<xfer_plugin>? {
  guard let host else { return nil }
  currentHost = host
  if let pluginTable { return pluginTable }
  guard let backend = allocate(xfer_backend.self, from: host), let plugin = allocate(xfer_plugin.self, from: host) else { return nil }
  backend.initialize(
    to: xfer_backend(
      struct_size: MemoryLayout<xfer_backend>.size,
      supports: description.supports,
      pack_size: description.packSize,
      pack: description.pack,
      prepare: { desc, kernel, workspace in prepareKernel(desc, kernel, workspace) },
      execute: { kernel, inputs, outputs, workspace in executeKernel(kernel, inputs, outputs, workspace) },
      release: { kernel in releaseKernel(kernel) },
      variants: nil,
      concurrent: description.isConcurrent ? 1 : 0
    ))
  plugin.initialize(
    to: xfer_plugin(
      struct_size: MemoryLayout<xfer_plugin>.size,
      abi_major: UInt32(XFER_PLUGIN_ABI_MAJOR), abi_minor: UInt32(XFER_PLUGIN_ABI_MINOR),
      kind: Int32(XFER_PLUGIN_BACKEND), name: cString(description.name), version: description.version,
      score: description.score,
      table: UnsafeRawPointer(backend),
      shutdown: nil
    ))
  pluginTable = UnsafePointer(plugin)
  return pluginTable
}

func allocate<T>(_: T.Type, from host: UnsafePointer<xfer_host>) -> UnsafeMutablePointer<T>? {
  host.pointee.alloc?(host, MemoryLayout<T>.size, 64)?.bindMemory(to: T.self, capacity: 1)
}

func cString(_ text: StaticString) -> UnsafePointer<CChar> {
  UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}
