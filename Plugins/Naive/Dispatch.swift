import CXfer

/// Checks the shapes, types and attributes of an op and gives the bytes of workspace it needs.
func validate(_ op: Op) throws(Refusal) -> Int {
  switch Int(op.kind) {
  case XFER_OP_MATMUL:
    try validateMatmul(op)
    return matmulWorkspace(op)
  case XFER_OP_CONV2D: return try validateConvolution(op)
  case XFER_OP_CONV2D_BACKWARD_INPUT: return try validateConvolutionBackwardInput(op)
  case XFER_OP_CONV2D_BACKWARD_KERNEL: return try validateConvolutionBackwardKernel(op)
  case XFER_OP_DEPTHWISE_CONV2D: return try validateDepthwise(op)
  case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT: return try validateDepthwiseBackwardInput(op)
  case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL: return try validateDepthwiseBackwardKernel(op)
  case XFER_OP_POOL2D: try validatePool(op)
  case XFER_OP_POOL2D_BACKWARD: try validatePoolBackward(op)
  case XFER_OP_REDUCE: try validateReduce(op)
  case XFER_OP_BROADCAST: try validateBroadcast(op)
  case XFER_OP_ACTIVATION: try validateActivation(op)
  case XFER_OP_ACTIVATION_BACKWARD: try validateActivationBackward(op)
  case XFER_OP_SOFTMAX: try validateSoftmax(op, inputs: 1)
  case XFER_OP_SOFTMAX_BACKWARD: try validateSoftmax(op, inputs: 2)
  case XFER_OP_BINARY: try validateBinary(op)
  case XFER_OP_SCALE_SHIFT: try validateScaleShift(op)
  case XFER_OP_MOMENTS: try validateMoments(op)
  case XFER_OP_NORMALIZE_PARAMETERS: try validateNormalizeParameters(op)
  case XFER_OP_BATCHNORM_BACKWARD_REDUCE: try validateBatchNormBackwardReduce(op)
  case XFER_OP_BATCHNORM_BACKWARD_INPUT: try validateBatchNormBackwardInput(op)
  case XFER_OP_CONCAT: try validateConcat(op)
  case XFER_OP_SLICE: try validateBox(op, large: op.inputs[0], small: op.outputs[0])
  case XFER_OP_PAD: try validateBox(op, large: op.outputs[0], small: op.inputs[0])
  case XFER_OP_DROPOUT: try validateDropout(op)
  case XFER_OP_PERMUTE_CHANNELS: try validatePermuteChannels(op)
  case XFER_OP_CAST: try validateCast(op)
  case XFER_OP_RESIZE_BILINEAR: try validateResize(op)
  case XFER_OP_BINARY_CROSSENTROPY: try validateCrossentropy(op, sparse: false, backward: false)
  case XFER_OP_BINARY_CROSSENTROPY_BACKWARD: try validateCrossentropy(op, sparse: false, backward: true)
  case XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY: try validateCrossentropy(op, sparse: true, backward: false)
  case XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD: try validateCrossentropy(op, sparse: true, backward: true)
  case XFER_OP_SGD: try validateSGD(op)
  case XFER_OP_ADAM: try validateAdam(op)
  case XFER_OP_LERP: try validateLerp(op)
  default:
    throw op.refuse(XFER_E_UNSUPPORTED) {
      $0.text("number ")
      $0.number(Int(op.kind))
      $0.text(" is not known to this backend")
    }
  }
  return 0
}

func run(_ call: Call) {
  switch Int(call.op.kind) {
  case XFER_OP_MATMUL: matmul(call)
  case XFER_OP_CONV2D: convolution(call)
  case XFER_OP_CONV2D_BACKWARD_INPUT: convolutionBackwardInput(call)
  case XFER_OP_CONV2D_BACKWARD_KERNEL: convolutionBackwardKernel(call)
  case XFER_OP_DEPTHWISE_CONV2D: depthwise(call)
  case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT: depthwiseBackwardInput(call)
  case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL: depthwiseBackwardKernel(call)
  case XFER_OP_POOL2D: pool(call)
  case XFER_OP_POOL2D_BACKWARD: poolBackward(call)
  case XFER_OP_REDUCE: reduce(call)
  case XFER_OP_BROADCAST: broadcast(call)
  case XFER_OP_ACTIVATION: activation(call)
  case XFER_OP_ACTIVATION_BACKWARD: activationBackward(call)
  case XFER_OP_SOFTMAX: softmax(call)
  case XFER_OP_SOFTMAX_BACKWARD: softmaxBackward(call)
  case XFER_OP_BINARY: binary(call)
  case XFER_OP_SCALE_SHIFT: scaleShift(call)
  case XFER_OP_MOMENTS: moments(call)
  case XFER_OP_NORMALIZE_PARAMETERS: normalizeParameters(call)
  case XFER_OP_BATCHNORM_BACKWARD_REDUCE: batchNormBackwardReduce(call)
  case XFER_OP_BATCHNORM_BACKWARD_INPUT: batchNormBackwardInput(call)
  case XFER_OP_CONCAT: concat(call)
  case XFER_OP_SLICE: slice(call)
  case XFER_OP_PAD: pad(call)
  case XFER_OP_DROPOUT: dropout(call)
  case XFER_OP_PERMUTE_CHANNELS: permuteChannels(call)
  case XFER_OP_CAST: cast(call)
  case XFER_OP_RESIZE_BILINEAR: resizeBilinear(call)
  case XFER_OP_BINARY_CROSSENTROPY: binaryCrossentropy(call)
  case XFER_OP_BINARY_CROSSENTROPY_BACKWARD: binaryCrossentropyBackward(call)
  case XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY: sparseCrossentropy(call)
  case XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD: sparseCrossentropyBackward(call)
  case XFER_OP_SGD: sgd(call)
  case XFER_OP_ADAM: adam(call)
  case XFER_OP_LERP: lerp(call)
  default: break
  }
}
