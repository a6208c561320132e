import CXfer

/// From op numbers to the files that implement them.

private func isSupported(_ desc: Desc) -> Bool {
  switch Int(desc.pointee.op) {
  case XFER_OP_MATMUL: MatmulShape(desc).map { isKnown($0.attributes.activation) } ?? false
  case XFER_OP_CONV2D, XFER_OP_CONV2D_BACKWARD_INPUT, XFER_OP_CONV2D_BACKWARD_KERNEL:
    ConvOp.mixing(desc).map { isKnown($0.attributes.activation) } ?? false
  case XFER_OP_DEPTHWISE_CONV2D, XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT, XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL:
    ConvOp.depthwise(desc).map { isKnown($0.attributes.activation) } ?? false
  case XFER_OP_SEPARABLE_CONV2D: SeparableOp(desc) != nil
  case XFER_OP_POOL2D, XFER_OP_POOL2D_BACKWARD: poolPlan(desc) != nil
  case XFER_OP_REDUCE, XFER_OP_MOMENTS, XFER_OP_BATCHNORM_BACKWARD_REDUCE: narrowPlan(desc) != nil || reductionPlan(desc) != nil
  case XFER_OP_BINARY, XFER_OP_BROADCAST: isBinary(desc)
  case XFER_OP_SCALE_SHIFT, XFER_OP_BATCHNORM_BACKWARD_INPUT: rowwisePlan(desc) != nil
  case XFER_OP_ACTIVATION, XFER_OP_ACTIVATION_BACKWARD, XFER_OP_SGD, XFER_OP_ADAM, XFER_OP_LERP, XFER_OP_CAST:
    elementwisePlan(desc) != nil
  case XFER_OP_SOFTMAX, XFER_OP_SOFTMAX_BACKWARD: softmaxPlan(desc) != nil
  case XFER_OP_CONCAT: concatPlan(desc) != nil
  case XFER_OP_SLICE, XFER_OP_PAD: boxPlan(desc) != nil
  case XFER_OP_PERMUTE_CHANNELS: permutePlan(desc) != nil
  case XFER_OP_GATHER, XFER_OP_GATHER_BACKWARD: gatherPlan(desc) != nil
  case XFER_OP_DROPOUT, XFER_OP_RANDOM: chancePlan(desc) != nil
  case XFER_OP_RESIZE_BILINEAR: resizePlan(desc) != nil
  case XFER_OP_BINARY_CROSSENTROPY, XFER_OP_BINARY_CROSSENTROPY_BACKWARD, XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY,
    XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD:
    lossPlan(desc) != nil
  case XFER_OP_NORMALIZE_PARAMETERS: isNormalizeParameters(desc)
  case XFER_OP_UNARY, XFER_OP_SELECT: unaryPlan(desc) != nil
  case XFER_OP_TRANSPOSE: transposePlan(desc) != nil
  default: false
  }
}

/// Preferred wherever it can serve at all; the rest is left to the general backend.
func supportLevel(_ desc: Desc) -> Int32 {
  Int32(isSupported(desc) ? XFER_SUPPORT_PREFERRED : XFER_SUPPORT_NO)
}

func prepareKernel(
  _ host: Host?, _ desc: Desc?, _ kernel: UnsafeMutablePointer<OpaquePointer?>?, _ workspace: UnsafeMutablePointer<Int>?
) -> xfer_status {
  guard let host, let desc, let kernel else { return XFER_E_INVALID_ARGUMENT }
  if !isSupported(desc) { return fail(host, XFER_E_UNSUPPORTED, "simd was given an op or shapes that its supports() declines") }
  var bytes = 0
  let made: OpaquePointer?
  switch Int(desc.pointee.op) {
  case XFER_OP_MATMUL: made = prepareMatmul(host, desc, &bytes)
  case XFER_OP_CONV2D: made = prepareConvForward(host, desc, &bytes)
  case XFER_OP_CONV2D_BACKWARD_INPUT: made = prepareConvBackwardInput(host, desc, &bytes)
  case XFER_OP_CONV2D_BACKWARD_KERNEL: made = prepareConvBackwardKernel(host, desc, &bytes)
  case XFER_OP_DEPTHWISE_CONV2D, XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT: made = prepareDepthwise(host, desc, &bytes)
  case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL: made = prepareDepthwiseBackwardKernel(host, desc, &bytes)
  case XFER_OP_SEPARABLE_CONV2D: made = prepareSeparable(host, desc, &bytes)
  case XFER_OP_POOL2D, XFER_OP_POOL2D_BACKWARD: made = preparePool(host, desc, &bytes)
  case XFER_OP_REDUCE, XFER_OP_MOMENTS, XFER_OP_BATCHNORM_BACKWARD_REDUCE:
    made = narrowPlan(desc) != nil ? prepareNarrowReduction(host, desc, &bytes) : prepareReduction(host, desc, &bytes)
  case XFER_OP_BINARY, XFER_OP_BROADCAST: made = prepareBinary(host, desc, &bytes)
  case XFER_OP_SCALE_SHIFT, XFER_OP_BATCHNORM_BACKWARD_INPUT: made = prepareRowwise(host, desc, &bytes)
  case XFER_OP_SOFTMAX, XFER_OP_SOFTMAX_BACKWARD: made = prepareSoftmax(host, desc)
  case XFER_OP_CONCAT: made = prepareConcat(host, desc)
  case XFER_OP_SLICE, XFER_OP_PAD: made = prepareBox(host, desc)
  case XFER_OP_PERMUTE_CHANNELS: made = preparePermute(host, desc, &bytes)
  case XFER_OP_GATHER, XFER_OP_GATHER_BACKWARD: made = prepareGather(host, desc)
  case XFER_OP_DROPOUT, XFER_OP_RANDOM: made = prepareChance(host, desc)
  case XFER_OP_RESIZE_BILINEAR: made = prepareResize(host, desc, &bytes)
  case XFER_OP_BINARY_CROSSENTROPY, XFER_OP_BINARY_CROSSENTROPY_BACKWARD, XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY,
    XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD:
    made = prepareLoss(host, desc)
  case XFER_OP_NORMALIZE_PARAMETERS: made = prepareNormalizeParameters(host, desc)
  case XFER_OP_UNARY, XFER_OP_SELECT: made = prepareUnary(host, desc)
  case XFER_OP_TRANSPOSE: made = prepareTranspose(host, desc)
  default: made = prepareElementwise(host, desc)
  }
  guard let made else { return fail(host, XFER_E_OUT_OF_MEMORY, "no memory for a kernel") }
  kernel.pointee = made
  workspace?.pointee = bytes
  return XFER_OK
}

func executeKernel(
  _ kernel: OpaquePointer?, _ inputs: Inputs?, _ outputs: Outputs?, _ workspace: UnsafeMutableRawPointer?
) -> xfer_status {
  guard let kernel, let inputs, let outputs else { return XFER_E_INVALID_ARGUMENT }
  let memory = UnsafeMutableRawPointer(kernel)
  return KernelHead.of(memory).run(memory, inputs, outputs, workspace)
}

func releaseKernel(_ kernel: OpaquePointer?) {
  guard let kernel else { return }
  let memory = UnsafeMutableRawPointer(kernel)
  let host = KernelHead.of(memory).host
  host.pointee.free?(host, memory)
}
