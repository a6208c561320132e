import COneDNN
import CXfer

/// YES for what the library has a fast way for. Its reference code, which anything falls back to, is slower than any other backend.
func supports(_ desc: UnsafePointer<xfer_op_desc>?) -> Int32 {
  let no = Int32(XFER_SUPPORT_NO)
  guard let dnnl, let quietHost, let desc, let op = Op(desc.pointee, quietHost), let problem = try? op.problem() else { return no }
  let fast = try? dnnl.pointee.withThreads(threadCount()) { () throws(Refusal) in
    try op.withDescriptor(dnnl, problem.described) { (pd, _) throws(Refusal) in
      var name: UnsafePointer<CChar>?
      try op.expectSuccess(
        dnnl.pointee.primitive_desc_query(pd, Int32(XFER_DNNL_IMPLEMENTATION), 0, &name), "dnnl_primitive_desc_query")
      return !isReference(name)
    }
  }
  return fast == true ? Int32(XFER_SUPPORT_YES) : no
}

/// Implementations are named "ref:any", "jit:avx512_core", "brgconv:avx2" and the like.
private func isReference(_ name: UnsafePointer<CChar>?) -> Bool {
  guard let name else { return true }
  return name[0] == 0x72 && name[1] == 0x65 && name[2] == 0x66
}
