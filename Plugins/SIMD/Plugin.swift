public import CXfer
import CPluginSupport

/// The host of the entry call. Kernels keep it; scores and packing need it for messages alone.
nonisolated(unsafe) private var currentHost: Host?
nonisolated(unsafe) private var pluginTable: UnsafePointer<xfer_plugin>?

#if XFER_ISA_AMX
  private let variant: (level: Int32, name: StaticString) = (4, "1.1 amx")
#elseif XFER_ISA_AVX512BF16
  private let variant: (level: Int32, name: StaticString) = (3, "1.1 avx512bf16")
#elseif XFER_ISA_AVX512
  private let variant: (level: Int32, name: StaticString) = (2, "1.1 avx512")
#elseif XFER_ISA_AVX2
  private let variant: (level: Int32, name: StaticString) = (1, "1.1 avx2")
#else
  private let variant: (level: Int32, name: StaticString) = (0, "1.1 baseline")
#endif

@c @implementation public func xfer_plugin_entry(_ host: UnsafePointer<xfer_host>?) -> UnsafePointer<xfer_plugin>? {
  guard let host else { return nil }
  currentHost = host
  if let pluginTable { return pluginTable }
  guard let backend = allocate(xfer_backend.self, host), let plugin = allocate(xfer_plugin.self, host) else { return nil }
  backend.initialize(
    to: xfer_backend(
      struct_size: MemoryLayout<xfer_backend>.size,
      supports: { desc in desc.map(supportLevel) ?? Int32(XFER_SUPPORT_NO) },
      pack_size: { desc, input, layout in packSize(desc, input, layout) },
      pack: { desc, input, source, packed in packInput(desc, input, source, packed) },
      prepare: { desc, kernel, workspace in prepareKernel(currentHost, desc, kernel, workspace) },
      execute: { kernel, inputs, outputs, workspace in executeKernel(kernel, inputs, outputs, workspace) },
      release: { kernel in releaseKernel(kernel) },
      variants: { desc in desc.map(variantCount) ?? 1 },
      concurrent: 1
    ))
  plugin.initialize(
    to: xfer_plugin(
      struct_size: MemoryLayout<xfer_plugin>.size,
      abi_major: UInt32(XFER_PLUGIN_ABI_MAJOR), abi_minor: UInt32(XFER_PLUGIN_ABI_MINOR),
      kind: Int32(XFER_PLUGIN_BACKEND), name: cString("simd"), version: cString(variant.name),
      score: { host in scoreVariant(host) },
      table: UnsafeRawPointer(backend),
      shutdown: nil
    ))
  pluginTable = UnsafePointer(plugin)
  return pluginTable
}

/// Higher for what is faster; 0 where the CPU, the system or XFER_MAX_ISA stands against it.
private func scoreVariant(_ host: Host?) -> Int32 {
  if let host, host.pointee.max_isa < variant.level {
    _ = fail(host, XFER_E_UNSUPPORTED, "XFER_MAX_ISA is below this variant")
    return 0
  }
  if xfer_cpu_isa() < variant.level {
    if let host { _ = fail(host, XFER_E_UNSUPPORTED, "this CPU or system lacks the instructions of this variant") }
    return 0
  }
  // Where vdpbf16ps is slow this stands behind plain AVX-512, unless XFER_MAX_ISA names it.
  #if XFER_ISA_AVX512BF16 && !XFER_ISA_AMX
    if let host, host.pointee.max_isa > variant.level, xfer_has_slow_pairs() != 0 { return 103 }
  #endif
  #if XFER_ISA_AMX
    if xfer_may_use_tiles() == 0 {
      if let host { _ = fail(host, XFER_E_UNSUPPORTED, "the system does not let this process use tile registers") }
      return 0
    }
  #endif
  return 100 + 2 &* variant.level
}

private func allocate<T>(_: T.Type, _ host: Host) -> UnsafeMutablePointer<T>? {
  host.pointee.alloc?(host, MemoryLayout<T>.size, 64)?.bindMemory(to: T.self, capacity: 1)
}

private func cString(_ text: StaticString) -> UnsafePointer<CChar> {
  UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}
