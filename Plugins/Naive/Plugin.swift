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
      guard let desc, opName(desc.pointee.op) != nil, !asksForHalves(desc.pointee) else { return Int32(XFER_SUPPORT_NO) }
      return Int32(XFER_SUPPORT_YES)
    })
}

/// Whether an op that computes is to do so on bfloat16: what only moves elements takes any type.
private func asksForHalves(_ desc: xfer_op_desc) -> Bool {
  switch Int(desc.op) {
  case XFER_OP_CAST, XFER_OP_CONCAT, XFER_OP_SLICE, XFER_OP_PAD, XFER_OP_TRANSPOSE: return false
  default: break
  }
  guard let inputs = desc.inputs, let outputs = desc.outputs else { return false }
  for i in 0..<Int(desc.n_inputs) where inputs[i].dtype == XFER_BF16 { return true }
  for i in 0..<Int(desc.n_outputs) where outputs[i].dtype == XFER_BF16 { return true }
  return false
}
