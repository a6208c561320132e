import CXfer

/// Both halves of a separable convolution, a pixel at a time.
private struct SeparableShape {
  let depthwise: ConvolutionShape
  let outputs: Int
  let attributes: xfer_separable_conv_attributes

  init(_ op: Op, _ attributes: xfer_separable_conv_attributes) {
    self.attributes = attributes
    let a = SeparableShape.half(attributes)
    depthwise = ConvolutionShape(x: op.inputs[0], kernel: op.inputs[1], y: SeparableShape.middle(op), a, depthwise: true)
    outputs = op.outputs[0][3]
  }

  /// The depthwise half's attributes.
  static func half(_ a: xfer_separable_conv_attributes) -> xfer_conv_attributes {
    xfer_conv_attributes(
      struct_size: MemoryLayout<xfer_conv_attributes>.size, stride_h: a.stride_h, stride_w: a.stride_w, dilation_h: a.dilation_h,
      dilation_w: a.dilation_w, pad_top: a.pad_top, pad_bottom: a.pad_bottom, pad_left: a.pad_left, pad_right: a.pad_right, groups: 1,
      has_bias: a.has_depthwise_bias, has_residual: 0, activation: a.depthwise_activation)
  }

  /// The tensor between the halves.
  static func middle(_ op: Op) -> xfer_tensor_desc {
    var d = op.outputs[0]
    d.dims.3 = op.inputs[0].dims.3
    return d
  }

  /// Sums of C and of O numbers, and the C floats between.
  var slotBytes: Int { (depthwise.c + outputs) * 8 + (depthwise.c + 1) / 2 * 8 }
}

func validateSeparable(_ op: Op) throws(Refusal) -> Int {
  let a = try op.expectAttributes(xfer_separable_conv_attributes.self)
  let extras = (a.has_depthwise_bias != 0 ? 1 : 0) + (a.has_bias != 0 ? 1 : 0) + (a.has_residual != 0 ? 1 : 0)
  try op.expectCounts(inputs: 3 + extras, outputs: 1)
  try op.expectActivation(a.input_activation)
  try op.expectActivation(a.activation)
  try op.expectFloat(op.inputs[0], "the image", rank: 4)
  try op.expectFloat(op.outputs[0], "the result", rank: 4)
  try op.expectFloat(op.inputs[1], "the depthwise kernel", rank: 4)
  try op.expect(op.inputs[1], "the depthwise kernel", f32(op.inputs[1][0], op.inputs[1][1], op.inputs[0][3], 1))
  let s = try op.expectConvolution(
    x: op.inputs[0], kernel: op.inputs[1], y: SeparableShape.middle(op), depthwise: true, SeparableShape.half(a))
  try op.expect(op.inputs[2], "the pointwise kernel", f32(1, 1, s.c, op.outputs[0][3]))
  var next = 3
  if a.has_depthwise_bias != 0 {
    try op.expect(op.inputs[next], "depthwise bias", f32(s.c))
    next += 1
  }
  if a.has_bias != 0 {
    try op.expect(op.inputs[next], "bias", f32(op.outputs[0][3]))
    next += 1
  }
  if a.has_residual != 0 { try op.expect(op.inputs[next], "residual", op.outputs[0]) }
  return op.slots(s.n * s.oh) * SeparableShape(op, a).slotBytes
}

func separable(_ call: Call) {
  let shape = SeparableShape(call.op, call.op.attributes(xfer_separable_conv_attributes.self))
  let (s, a, outputs) = (shape.depthwise, shape.attributes, shape.outputs)
  let (x, window, kernel, y) = (call.input(0), call.input(1), call.input(2), call.output(0))
  var next = 3
  func optional(_ present: Int32) -> UnsafePointer<Float>? {
    if present == 0 { return nil }
    next += 1
    return call.input(next - 1)
  }
  let (depthwiseBias, bias, residual) = (optional(a.has_depthwise_bias), optional(a.has_bias), optional(a.has_residual))
  let bytes = shape.slotBytes
  call.op.parallelSlots(s.n * s.oh) { slot, row in
    let (image, oy) = (row / s.oh, row % s.oh)
    let sums = (call.workspace + slot * bytes).assumingMemoryBound(to: Double.self)
    let products = sums + s.c
    let middle = UnsafeMutableRawPointer(products + outputs).assumingMemoryBound(to: Float.self)
    for ox in 0..<s.ow {
      sums.update(repeating: 0, count: s.c)
      s.forEachTap(of: x, image, oy, ox) { tap, pixel in
        let weights = window + tap * s.c
        for c in 0..<s.c { sums[c] += activate(Double(pixel[c]), a.input_activation) * Double(weights[c]) }
      }
      finish(sums, s.c, bias: depthwiseBias, residual: nil, a.depthwise_activation, into: middle)
      products.update(repeating: 0, count: outputs)
      for c in 0..<s.c {
        let value = Double(middle[c])
        for o in 0..<outputs { products[o] += value * Double(kernel[c * outputs + o]) }
      }
      let at = (row * s.ow + ox) * outputs
      finish(products, outputs, bias: bias, residual: residual.map { $0 + at }, a.activation, into: y + at)
    }
  }
}
