import CXfer

/// Below this many products in an op, the call into the library costs more than it gains.
private let worthwhile = 4096

/// A library with 32-bit integers is asked for nothing larger.
private let largest = Int(Int32.max)

/// PREFERRED for every product of matrices of some size, as plain as a convolution may hide it; NO for all else.
func supports(_ desc: xfer_op_desc) -> Int32 {
  let no = Int32(XFER_SUPPORT_NO)
  guard let inputs = desc.inputs, let outputs = desc.outputs, desc.n_inputs >= 2, desc.n_outputs == 1, let raw = desc.attributes else {
    return no
  }
  for i in 0..<Int(desc.n_inputs) where inputs[i].dtype != XFER_F32 || inputs[i].count == 0 || inputs[i].count > largest { return no }
  guard outputs[0].dtype == XFER_F32, outputs[0].count > 0, outputs[0].count <= largest else { return no }
  let products: Int
  switch Int(desc.op) {
  case XFER_OP_MATMUL:
    guard raw.loadUnaligned(as: Int.self) >= MemoryLayout<xfer_matmul_attributes>.size else { return no }
    let a = raw.loadUnaligned(as: xfer_matmul_attributes.self)
    let rank = Int(inputs[0].rank)
    products = outputs[0].count * inputs[0][a.transpose_a != 0 ? rank - 2 : rank - 1]
  case XFER_OP_CONV2D: products = outputs[0].rows * inputs[1].count
  case XFER_OP_CONV2D_BACKWARD_INPUT: products = inputs[0].rows * inputs[1].count
  case XFER_OP_CONV2D_BACKWARD_KERNEL: products = inputs[1].rows * outputs[0].count
  default: return no
  }
  guard products >= worthwhile else { return no }
  if Int(desc.op) == XFER_OP_MATMUL { return Int32(XFER_SUPPORT_PREFERRED) }
  guard raw.loadUnaligned(as: Int.self) >= MemoryLayout<xfer_conv_attributes>.size else { return no }
  let groups = raw.loadUnaligned(as: xfer_conv_attributes.self).groups
  // Narrow groups are narrow matrices.
  return Int32(
    groups == 1 ? XFER_SUPPORT_PREFERRED : groups > 1 && inputs[1].channels / Int(groups) >= 16 ? XFER_SUPPORT_YES : XFER_SUPPORT_NO)
}

func validate(_ op: Op) throws(Refusal) -> Int {
  switch Int(op.kind) {
  case XFER_OP_MATMUL:
    try validateMatmul(op)
    return 0
  case XFER_OP_CONV2D: return try validateConvolution(op)
  case XFER_OP_CONV2D_BACKWARD_INPUT: return try validateConvolutionBackwardInput(op)
  case XFER_OP_CONV2D_BACKWARD_KERNEL: return try validateConvolutionBackwardKernel(op)
  default: throw op.refuse(XFER_E_UNSUPPORTED, "this backend multiplies matrices and convolves, nothing else")
  }
}

func run(_ call: Call) {
  switch Int(call.op.kind) {
  case XFER_OP_MATMUL: matmul(call)
  case XFER_OP_CONV2D: convolution(call)
  case XFER_OP_CONV2D_BACKWARD_INPUT: convolutionBackwardInput(call)
  case XFER_OP_CONV2D_BACKWARD_KERNEL: convolutionBackwardKernel(call)
  default: break
  }
}
