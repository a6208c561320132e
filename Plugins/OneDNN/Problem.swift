import COneDNN
import CXfer

/// An op as libdnnl sees it.
struct Problem {
  var described = xfer_dnnl_problem()
  /// The weights as the host has them. `described.weights` may leave their layout to the library.
  var weights = xfer_dnnl_tensor()
  /// The input that holds the weights; nil where they are a result or there are none.
  var weightsInput: Int?
}

/// A tensor in any order of its axes: `strides` are elements.
func tensor(_ dims: [5 of Int], _ strides: [5 of Int], rank: Int, any: Bool = false) -> xfer_dnnl_tensor {
  func five(_ a: [5 of Int]) -> (Int64, Int64, Int64, Int64, Int64) { (Int64(a[0]), Int64(a[1]), Int64(a[2]), Int64(a[3]), Int64(a[4])) }
  return xfer_dnnl_tensor(rank: Int32(rank), any: any ? 1 : 0, dims: five(dims), strides: five(strides))
}

/// An image as [n,c,h,w], in memory [n,h,w,c].
func imageTensor(_ n: Int, _ h: Int, _ w: Int, _ c: Int) -> xfer_dnnl_tensor {
  tensor([n, c, h, w, 0], [h * w * c, 1, w * c, c, 0], rank: 4)
}

extension Op {
  /// Checks the op against the ABI and turns it into a problem, or refuses what libdnnl has no words for.
  ///
  /// - Parameter rows: stands for the batch (images, rows of a matrix), where the answer must not depend on it.
  func problem(rows: Int? = nil, packed: Bool = false) throws(Refusal) -> Problem {
    try expectPlainTensors()
    for i in 0..<inputCount { try require(inputs[i].count > 0, XFER_E_SHAPE, "an input is empty") }
    for i in 0..<outputCount { try require(outputs[i].count > 0, XFER_E_SHAPE, "an output is empty") }
    switch Int(kind) {
    case XFER_OP_MATMUL: return try matmulProblem(rows, packed)
    case XFER_OP_CONV2D, XFER_OP_CONV2D_BACKWARD_INPUT, XFER_OP_CONV2D_BACKWARD_KERNEL, XFER_OP_DEPTHWISE_CONV2D,
      XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT, XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL:
      return try convolutionProblem(rows)
    case XFER_OP_POOL2D, XFER_OP_POOL2D_BACKWARD: return try poolProblem()
    default: throw refuse(XFER_E_UNSUPPORTED, "this backend convolves, multiplies matrices and pools, nothing else")
    }
  }

  /// The activations that follow the sums within libdnnl: none, and ReLU with a slope and an upper bound.
  ///
  /// Its ReLU gives 0 for NaN where the slope is 0.
  func setEpilogue(_ p: inout xfer_dnnl_problem, residual: Bool, _ activation: xfer_activation) throws(Refusal) {
    p.residual = residual ? 1 : 0
    if activation.kind == Int32(XFER_ACTIVATION_LINEAR) { return }
    try require(
      activation.kind == Int32(XFER_ACTIVATION_RELU) && activation.threshold == 0 && activation.max_value > 0, XFER_E_UNSUPPORTED,
      "of the activations, this backend has ReLU with threshold 0")
    p.relu = 1
    p.slope = activation.alpha
    p.clip = activation.max_value.isFinite ? 1 : 0
    p.top = activation.max_value
  }
}

extension xfer_dnnl_problem {
  /// The forward direction a gradient belongs to.
  var forward: xfer_dnnl_problem {
    var p = self
    p.direction = Int32(XFER_DNNL_FORWARD_KEPT)
    return p
  }
}
