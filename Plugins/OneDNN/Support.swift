import COneDNN
import CXfer

/// YES for what the library has a fast way for, PREFERRED for what that was measured to be better at than the SIMD backend. The
/// library's reference code, which anything falls back to, is slower than any other backend.
func supports(_ desc: UnsafePointer<xfer_op_desc>?) -> Int32 {
  let no = Int32(XFER_SUPPORT_NO)
  guard let dnnl, let quietHost, let desc, let op = Op(desc.pointee, quietHost), let problem = try? op.problem() else { return no }
  let fast = try? dnnl.pointee.withThreads(typicalThreads) { () throws(Refusal) in
    try op.withDescriptor(dnnl, problem.described) { (pd, _) throws(Refusal) in
      var name: UnsafePointer<CChar>?
      try op.expectSuccess(
        dnnl.pointee.primitive_desc_query(pd, Int32(XFER_DNNL_IMPLEMENTATION), 0, &name), "dnnl_primitive_desc_query")
      return !isReference(name)
    }
  }
  guard fast == true else { return no }
  return Int32(isBetter(problem.described) ? XFER_SUPPORT_PREFERRED : XFER_SUPPORT_YES)
}

/// Implementations are named "ref:any", "jit:avx512_core", "brgconv:avx2" and the like.
private func isReference(_ name: UnsafePointer<CChar>?) -> Bool {
  guard let name else { return true }
  let reference: StaticString = "ref"
  for i in 0..<reference.utf8CodeUnitCount where UInt8(bitPattern: name[i]) != reference.utf8Start[i] { return false }
  return true
}

/// Windows over few channels, where a product of matrices has little to share: forward 1.2 to 2.5 times as fast on one thread, to the
/// input 1.2 to 1.4. Pointwise products and gradients of kernels are equal within the noise of a busy machine, depthwise ones slower.
private func isBetter(_ p: xfer_dnnl_problem) -> Bool {
  guard p.kind == Int32(XFER_DNNL_CONVOLUTION), p.direction != Int32(XFER_DNNL_TO_WEIGHTS), p.weights.rank == 4 else { return false }
  let (outputs, inputs, height, width) = (p.weights.dims.0, p.weights.dims.1, p.weights.dims.2, p.weights.dims.3)
  let pixels = p.dst.dims.0 * p.dst.dims.2 * p.dst.dims.3
  // Nothing smaller was measured.
  return height * width > 1 && pixels * outputs * inputs * height * width >= 1 << 24
}
