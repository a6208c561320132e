import CXfer

/// The numbers of a (depthwise) convolution, from the point of view of its forward op.
struct ConvolutionShape {
  /// Input, kernel and output: [n,h,w,c], [kh,kw,...], [n,oh,ow,o].
  let n, h, w, c: Int
  let kh, kw: Int
  let oh, ow, o: Int
  let strideH, strideW, dilationH, dilationW, top, bottom, left, right: Int
  let groups: Int
  let hasBias, hasResidual: Bool
  let activation: xfer_activation

  init(x: xfer_tensor_desc, kernel: xfer_tensor_desc, y: xfer_tensor_desc, _ a: xfer_conv_attributes, depthwise: Bool) {
    (n, h, w, c) = (x[0], x[1], x[2], x[3])
    (kh, kw) = (kernel[0], kernel[1])
    (oh, ow, o) = (y[1], y[2], y[3])
    (strideH, strideW) = (Int(a.stride_h), Int(a.stride_w))
    (dilationH, dilationW) = (Int(a.dilation_h), Int(a.dilation_w))
    (top, bottom, left, right) = (Int(a.pad_top), Int(a.pad_bottom), Int(a.pad_left), Int(a.pad_right))
    groups = depthwise ? 1 : Int(a.groups)
    hasBias = a.has_bias != 0
    hasResidual = a.has_residual != 0
    activation = a.activation
  }

  /// Channels of one group, in and out.
  var groupInput: Int { c / groups }
  var groupOutput: Int { o / groups }
  /// Output channels of one input channel of a depthwise convolution.
  var multiplier: Int { c == 0 ? 0 : o / c }

  /// The input row under output row `oy` and kernel row `ky`; may lie outside the image.
  func inputRow(_ oy: Int, _ ky: Int) -> Int { oy * strideH - top + ky * dilationH }
  func inputColumn(_ ox: Int, _ kx: Int) -> Int { ox * strideW - left + kx * dilationW }

  /// The output columns within `range` whose input column under `kx` lies inside the image.
  func columns(_ range: Range<Int>, _ kx: Int) -> Range<Int> {
    let offset = kx * dilationW - left
    // ox·stride + offset ≥ 0 and ≤ w − 1.
    let low = offset >= 0 ? 0 : (-offset + strideW - 1) / strideW
    let high = w - 1 < offset ? 0 : (w - 1 - offset) / strideW + 1
    let begin = max(range.lowerBound, low)
    return begin..<max(begin, min(range.upperBound, high))
  }

  /// The output row that reads input row `iy` through kernel row `ky`, nil when none does.
  func outputRow(_ iy: Int, _ ky: Int) -> Int? {
    let t = iy + top - ky * dilationH
    guard t >= 0, t % strideH == 0, t / strideH < oh else { return nil }
    return t / strideH
  }

  /// The output columns that, through `kx`, read one of the input columns of `range`. Their input columns are `strideW` apart.
  func outputColumns(reading range: Range<Int>, _ kx: Int) -> Range<Int> {
    let offset = kx * dilationW - left
    let low = max(0, range.lowerBound - offset + strideW - 1) / strideW
    let high = range.upperBound - 1 < offset ? 0 : min(ow, (range.upperBound - 1 - offset) / strideW + 1)
    return low..<max(low, high)
  }
}

extension Op {
  /// The shapes of x, kernel and y fit each other and the attributes; y may be a gradient of the same shape.
  func expectConvolution(
    x: xfer_tensor_desc, kernel: xfer_tensor_desc, y: xfer_tensor_desc, depthwise: Bool
  ) throws(Refusal) -> ConvolutionShape {
    try expectConvolution(x: x, kernel: kernel, y: y, depthwise: depthwise, expectAttributes(xfer_conv_attributes.self))
  }

  func expectConvolution(
    x: xfer_tensor_desc, kernel: xfer_tensor_desc, y: xfer_tensor_desc, depthwise: Bool, _ a: xfer_conv_attributes
  ) throws(Refusal) -> ConvolutionShape {
    try require(
      a.stride_h > 0 && a.stride_w > 0 && a.dilation_h > 0 && a.dilation_w > 0, XFER_E_INVALID_ARGUMENT,
      "strides and dilations of at least 1 are wanted")
    try require(
      a.pad_top >= 0 && a.pad_bottom >= 0 && a.pad_left >= 0 && a.pad_right >= 0, XFER_E_INVALID_ARGUMENT,
      "padding of at least 0 is wanted")
    try require(depthwise || a.groups > 0, XFER_E_INVALID_ARGUMENT, "groups of at least 1 are wanted")
    try expectActivation(a.activation)
    try expectFloat(x, "the image", rank: 4)
    try expectFloat(kernel, "the kernel", rank: 4)
    try expectFloat(y, "the result", rank: 4)
    let s = ConvolutionShape(x: x, kernel: kernel, y: y, a, depthwise: depthwise)
    try require(s.kh > 0 && s.kw > 0, XFER_E_SHAPE, "the kernel has no elements")
    if depthwise {
      try expect(kernel, "the kernel", f32(s.kh, s.kw, s.c, kernel[3]))
    } else {
      try require(
        s.c % s.groups == 0 && s.o % s.groups == 0, XFER_E_SHAPE, "the channels of image and result are no multiples of groups")
      try expect(kernel, "the kernel", f32(s.kh, s.kw, s.c / s.groups, s.o))
    }
    let height = s.h + s.top + s.bottom - ((s.kh - 1) * s.dilationH + 1)
    let width = s.w + s.left + s.right - ((s.kw - 1) * s.dilationW + 1)
    try require(height >= 0 && width >= 0, XFER_E_SHAPE, "the kernel is larger than the padded image")
    let channels = depthwise ? s.c * kernel[3] : s.o
    try expect(y, "the result", f32(s.n, height / s.strideH + 1, width / s.strideW + 1, channels))
    return s
  }

  /// The optional inputs of a forward convolution.
  func expectEpilogue(_ s: ConvolutionShape) throws(Refusal) {
    try expectCounts(inputs: 2 + (s.hasBias ? 1 : 0) + (s.hasResidual ? 1 : 0), outputs: 1)
    if s.hasBias { try expect(inputs[2], "bias", f32(s.o)) }
    if s.hasResidual { try expect(inputs[inputCount - 1], "residual", outputs[0]) }
  }
}
