public import CXfer

#if XFER_PLUGIN
  /// The symbol of `libxfer-naive.so`.
  @c @implementation public func xfer_plugin_entry(_ host: UnsafePointer<xfer_host>?) -> UnsafePointer<xfer_plugin>? {
    makePlugin(host, naive)
  }
#else
  /// The same plugin, linked into the runtime so that it is always there.
  @c(xfer_plugin_naive_entry) public func xfer_plugin_naive_entry(_ host: UnsafePointer<xfer_host>?) -> UnsafePointer<xfer_plugin>? {
    makePlugin(host, naive)
  }
#endif

/// The reference: every op, in plain loops that sum in Double. It runs everywhere, and everything else is better at it.
private var naive: BackendDescription {
  BackendDescription(
    name: "naive", version: cString("1.0 reference"),
    score: { _ in 1 },
    supports: { desc in
      guard let desc else { return Int32(XFER_SUPPORT_NO) }
      return Int32(opName(desc.pointee.op) == nil ? XFER_SUPPORT_NO : XFER_SUPPORT_YES)
    })
}
