import COneDNN
import CXfer

extension Op {
  /// Depthwise convolutions are those of as many groups as channels.
  func convolutionProblem(_ rows: Int?) throws(Refusal) -> Problem {
    var direction = XFER_DNNL_FORWARD
    var depthwise = false
    switch Int(kind) {
    case XFER_OP_DEPTHWISE_CONV2D: depthwise = true
    case XFER_OP_CONV2D_BACKWARD_INPUT: direction = XFER_DNNL_TO_SRC
    case XFER_OP_CONV2D_BACKWARD_KERNEL: direction = XFER_DNNL_TO_WEIGHTS
    case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT: (direction, depthwise) = (XFER_DNNL_TO_SRC, true)
    case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL: (direction, depthwise) = (XFER_DNNL_TO_WEIGHTS, true)
    default: break
    }
    if direction == XFER_DNNL_FORWARD { try expectCounts(inputs: 2...4, outputs: 1) } else { try expectCounts(inputs: 2, outputs: 1) }
    let (x, kernel, y) =
      direction == XFER_DNNL_TO_SRC
      ? (outputs[0], inputs[1], inputs[0])
      : direction == XFER_DNNL_TO_WEIGHTS ? (inputs[0], outputs[0], inputs[1]) : (inputs[0], inputs[1], outputs[0])
    let s = try expectConvolution(x: x, kernel: kernel, y: y, depthwise: depthwise)
    // Of a strided image the library copies the rows it wants, in whole registers: beyond the end of what it asked for, and of
    // sums it then takes too many (2.6 and 3.2 do so).
    let strided = s.strideH > 1 || s.strideW > 1
    try require(
      direction != XFER_DNNL_TO_WEIGHTS || s.kh * s.kw > 1 || !strided || s.groupInput % 16 == 0, XFER_E_UNSUPPORTED,
      "the gradient of a strided pointwise kernel wants channels in multiples of 16")
    // Where the sums of a pixel come in several goes, whole registers of them are written in between (2.6): beyond the end of the image. Seen
    // with 750 channels and more, never with 72 and less.
    try require(
      direction != XFER_DNNL_TO_SRC || depthwise || s.groupInput % 16 == 0 || s.o / s.groups <= 72, XFER_E_UNSUPPORTED,
      "the gradient to an image from more than 72 channels wants its own in multiples of 16")

    let n = rows ?? s.n
    var p = xfer_dnnl_problem()
    p.kind = Int32(XFER_DNNL_CONVOLUTION)
    p.direction = Int32(direction)
    p.algorithm = Int32(XFER_DNNL_DIRECT)
    p.src = imageTensor(n, s.h, s.w, s.c)
    p.dst = imageTensor(n, s.oh, s.ow, s.o)
    p.strides = (Int64(s.strideH), Int64(s.strideW))
    p.dilates = (Int64(s.dilationH - 1), Int64(s.dilationW - 1))
    p.before = (Int64(s.top), Int64(s.left))
    p.after = (Int64(s.bottom), Int64(s.right))
    if direction == XFER_DNNL_FORWARD {
      try expectEpilogue(s)
      if s.hasBias { p.bias = tensor([s.o, 0, 0, 0, 0], [1, 0, 0, 0, 0], rank: 1) }
      try setEpilogue(&p, residual: s.hasResidual, s.activation)
    }
    let weights = kernelTensor(s, groups: depthwise ? s.c : s.groups)
    p.weights = weights
    p.weights.any = 1
    return Problem(described: p, weights: weights, weightsInput: direction == XFER_DNNL_TO_WEIGHTS ? nil : 1)
  }

  /// [g,o,i,kh,kw], in memory [kh,kw,i,g,o] for groups and [kh,kw,g,o] for a depthwise kernel, whose i is 1; without g for one group.
  private func kernelTensor(_ s: ConvolutionShape, groups: Int) -> xfer_dnnl_tensor {
    let (inputs, outputs) = (s.c / groups, s.o / groups)
    let row = inputs * s.o
    if groups == 1 { return tensor([outputs, inputs, s.kh, s.kw, 0], [1, s.o, s.kw * row, row, 0], rank: 4) }
    return tensor([groups, outputs, inputs, s.kh, s.kw], [outputs, 1, s.o, s.kw * row, row], rank: 5)
  }
}
