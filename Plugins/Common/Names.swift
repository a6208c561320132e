import CXfer

/// The word messages use for an op; nil for a number this backend does not know.
func opName(_ op: Int32) -> StaticString? {
  switch Int(op) {
  case XFER_OP_MATMUL: "matmul"
  case XFER_OP_CONV2D: "conv2d"
  case XFER_OP_CONV2D_BACKWARD_INPUT: "conv2d_backward_input"
  case XFER_OP_CONV2D_BACKWARD_KERNEL: "conv2d_backward_kernel"
  case XFER_OP_DEPTHWISE_CONV2D: "depthwise_conv2d"
  case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT: "depthwise_conv2d_backward_input"
  case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL: "depthwise_conv2d_backward_kernel"
  case XFER_OP_POOL2D: "pool2d"
  case XFER_OP_POOL2D_BACKWARD: "pool2d_backward"
  case XFER_OP_REDUCE: "reduce"
  case XFER_OP_BROADCAST: "broadcast"
  case XFER_OP_ACTIVATION: "activation"
  case XFER_OP_ACTIVATION_BACKWARD: "activation_backward"
  case XFER_OP_SOFTMAX: "softmax"
  case XFER_OP_SOFTMAX_BACKWARD: "softmax_backward"
  case XFER_OP_BINARY: "binary"
  case XFER_OP_SCALE_SHIFT: "scale_shift"
  case XFER_OP_MOMENTS: "moments"
  case XFER_OP_NORMALIZE_PARAMETERS: "normalize_parameters"
  case XFER_OP_BATCHNORM_BACKWARD_REDUCE: "batchnorm_backward_reduce"
  case XFER_OP_BATCHNORM_BACKWARD_INPUT: "batchnorm_backward_input"
  case XFER_OP_CONCAT: "concat"
  case XFER_OP_SLICE: "slice"
  case XFER_OP_PAD: "pad"
  case XFER_OP_DROPOUT: "dropout"
  case XFER_OP_PERMUTE_CHANNELS: "permute_channels"
  case XFER_OP_CAST: "cast"
  case XFER_OP_RESIZE_BILINEAR: "resize_bilinear"
  case XFER_OP_BINARY_CROSSENTROPY: "binary_crossentropy"
  case XFER_OP_BINARY_CROSSENTROPY_BACKWARD: "binary_crossentropy_backward"
  case XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY: "sparse_categorical_crossentropy"
  case XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD: "sparse_categorical_crossentropy_backward"
  case XFER_OP_SGD: "sgd"
  case XFER_OP_ADAM: "adam"
  case XFER_OP_LERP: "lerp"
  default: nil
  }
}
