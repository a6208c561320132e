import CXfer

/// A random case of an op. `reference` serves ops whose inputs are other ops' results.
func makeCase(_ op: Int, _ random: inout Random, reference: Runner) throws(Failure) -> Case {
  switch op {
  case XFER_OP_MATMUL: return matmulCase(&random)
  case XFER_OP_CONV2D: return convolutionCase(&random, depthwise: false)
  case XFER_OP_CONV2D_BACKWARD_INPUT, XFER_OP_CONV2D_BACKWARD_KERNEL:
    return convolutionBackwardCase(&random, op: op, depthwise: false, toKernel: op == XFER_OP_CONV2D_BACKWARD_KERNEL)
  case XFER_OP_DEPTHWISE_CONV2D: return convolutionCase(&random, depthwise: true)
  case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT, XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL:
    return convolutionBackwardCase(&random, op: op, depthwise: true, toKernel: op == XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL)
  case XFER_OP_POOL2D: return poolCase(&random)
  case XFER_OP_POOL2D_BACKWARD: return try poolBackwardCase(&random, reference: reference)
  case XFER_OP_REDUCE: return reduceCase(&random)
  case XFER_OP_BROADCAST: return broadcastCase(&random)
  case XFER_OP_ACTIVATION: return activationCase(&random)
  case XFER_OP_ACTIVATION_BACKWARD: return try activationBackwardCase(&random, reference: reference)
  case XFER_OP_SOFTMAX: return try softmaxCase(&random, backward: false, reference: reference)
  case XFER_OP_SOFTMAX_BACKWARD: return try softmaxCase(&random, backward: true, reference: reference)
  case XFER_OP_BINARY: return binaryCase(&random)
  case XFER_OP_SCALE_SHIFT: return scaleShiftCase(&random)
  case XFER_OP_MOMENTS: return momentsCase(&random)
  case XFER_OP_NORMALIZE_PARAMETERS: return normalizeParametersCase(&random)
  case XFER_OP_BATCHNORM_BACKWARD_REDUCE: return batchNormReduceCase(&random)
  case XFER_OP_BATCHNORM_BACKWARD_INPUT: return batchNormInputCase(&random)
  case XFER_OP_CONCAT: return concatCase(&random)
  case XFER_OP_SLICE: return boxCase(&random, pad: false)
  case XFER_OP_PAD: return boxCase(&random, pad: true)
  case XFER_OP_DROPOUT: return dropoutCase(&random)
  case XFER_OP_PERMUTE_CHANNELS: return permuteCase(&random)
  case XFER_OP_CAST: return try castCase(&random, reference: reference)
  case XFER_OP_RESIZE_BILINEAR: return resizeCase(&random)
  case XFER_OP_BINARY_CROSSENTROPY: return binaryCrossentropyCase(&random, backward: false)
  case XFER_OP_BINARY_CROSSENTROPY_BACKWARD: return binaryCrossentropyCase(&random, backward: true)
  case XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY: return sparseCrossentropyCase(&random, backward: false)
  case XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD: return sparseCrossentropyCase(&random, backward: true)
  case XFER_OP_SGD: return sgdCase(&random)
  case XFER_OP_ADAM: return adamCase(&random)
  case XFER_OP_LERP: return lerpCase(&random)
  default: throw Failure(reason: "op \(op) has no cases")
  }
}
