import CXfer

/// An activation for an epilogue: half the time none.
func randomActivation(_ random: inout Random, linear: Int = 50) -> xfer_activation {
  var activation = xfer_activation(kind: Int32(XFER_ACTIVATION_LINEAR), alpha: 0, max_value: .infinity, threshold: 0)
  if random.chance(linear) { return activation }
  if random.chance(50) {
    activation.kind = Int32(XFER_ACTIVATION_RELU)
    if random.chance(30) { activation.alpha = random.float(0, 0.5) }
    if random.chance(30) { activation.max_value = random.float(0.5, 6) }
    if random.chance(15) { activation.threshold = random.float(0, 0.4) }
  } else {
    activation.kind = Int32(random.int(2...13))
    activation.alpha = 1
  }
  return activation
}

let linearActivation = xfer_activation(kind: Int32(XFER_ACTIVATION_LINEAR), alpha: 0, max_value: .infinity, threshold: 0)

/// The tolerance of sums that go through an activation.
///
/// An error before the activation is stretched by its slope, which is below 2 but for the exponential, where it is the result itself.
private func tolerance(_ activation: xfer_activation) -> Tolerance {
  switch Int(activation.kind) {
  case XFER_ACTIVATION_LINEAR, XFER_ACTIVATION_RELU: .sums
  case XFER_ACTIVATION_EXPONENTIAL: Tolerance(relative: 2e-4, absolute: 2e-6)
  default: Tolerance(relative: 1e-5, absolute: 2e-6, magnitude: 8e-6)
  }
}

private func detail(_ activation: xfer_activation) -> String {
  activation.kind == 0
    ? "" : " activation \(activation.kind) alpha \(activation.alpha) max \(activation.max_value) threshold \(activation.threshold)"
}

func matmulCase(_ random: inout Random) -> Case {
  let batch = random.chance(20) ? [random.int(1...4)] : []
  var m = random.size(129)
  var n = random.chance(4) ? random.int(770...1100) : random.size(129)
  var k = random.chance(15) ? random.int(200...900) : random.size(129)
  // Sums of so many terms that they are made in several goes, whatever a step of them is.
  if random.chance(3) { (m, n, k) = (random.int(1...40), random.int(1...40), random.int(4600...9400)) }
  var attributes = xfer_matmul_attributes()
  attributes.struct_size = sized(xfer_matmul_attributes.self)
  attributes.transpose_a = random.chance(35) ? 1 : 0
  attributes.transpose_b = random.chance(35) ? 1 : 0
  attributes.has_bias = random.chance(50) ? 1 : 0
  attributes.has_residual = random.chance(30) ? 1 : 0
  attributes.activation = randomActivation(&random)
  let y = batch + [m, n]
  // A smaller exponent keeps exp of the sums within range.
  let scale: Float = attributes.activation.kind == Int32(XFER_ACTIVATION_EXPONENTIAL) ? 0.2 : 1
  var inputs = [
    CaseTensor(random: &random, batch + (attributes.transpose_a != 0 ? [k, m] : [m, k]), -scale, scale),
    CaseTensor(random: &random, batch + (attributes.transpose_b != 0 ? [n, k] : [k, n]), -scale, scale),
  ]
  if attributes.has_bias != 0 { inputs.append(CaseTensor(random: &random, [n])) }
  if attributes.has_residual != 0 { inputs.append(CaseTensor(random: &random, y)) }
  var test = Case(XFER_OP_MATMUL, inputs, [floats(y)], attributeBytes(attributes), tolerance(attributes.activation))
  test.detail =
    "transpose \(attributes.transpose_a) \(attributes.transpose_b) bias \(attributes.has_bias) residual \(attributes.has_residual)"
    + detail(attributes.activation)
  test.constants = attributes.has_bias != 0 ? 0b110 : 0b10
  attributes.activation = linearActivation
  test.linearAttributes = attributeBytes(attributes)
  return test
}

/// The numbers of a random (depthwise) convolution.
struct RandomConvolution {
  var attributes = xfer_conv_attributes()
  var x: [Int]
  var kernel: [Int]
  var y: [Int]

  init(_ random: inout Random, depthwise: Bool, limit: Int = 1) {
    attributes.struct_size = sized(xfer_conv_attributes.self)
    attributes.groups = 1
    attributes.activation = linearActivation
    let pointwise = !depthwise && random.chance(35)
    let window = pointwise ? (1, 1) : (random.pick([1, 2, 3, 3, 3, 5, 7]), random.pick([1, 2, 3, 3, 3, 4, 5]))
    let stride = pointwise && random.chance(70) ? (1, 1) : (random.pick([1, 1, 2, 2, 3]), random.pick([1, 1, 2, 2, 3]))
    let dilation = pointwise || random.chance(75) ? (1, 1) : (random.int(1...3), random.int(1...3))
    let effective = ((window.0 - 1) * dilation.0 + 1, (window.1 - 1) * dilation.1 + 1)
    var padding = [0, 0, 0, 0]
    if !pointwise, random.chance(65) {
      padding = [
        random.int(0...effective.0 - 1), random.int(0...effective.0 - 1), random.int(0...effective.1 - 1), random.int(0...effective.1 - 1),
      ]
      if random.chance(60) {
        padding = [(effective.0 - 1) / 2, effective.0 / 2, (effective.1 - 1) / 2, effective.1 / 2]
      }
    }
    var h = max(random.size(24), effective.0 - padding[0] - padding[1])
    var w = max(random.size(24), effective.1 - padding[2] - padding[3])
    var channels = random.size(pointwise ? 129 : depthwise ? 80 : 40)
    var outputs = random.size(pointwise ? 129 : 72)
    // Images of few channels, as a network's first; and sums of more terms than fit one block.
    if !depthwise, random.chance(12) { channels = random.int(1...4) }
    if random.chance(4) {
      if random.chance(50) { channels = random.int(750...800) } else { outputs = random.int(750...800) }
      (h, w) = (max(1, effective.0 - padding[0] - padding[1]), max(1, effective.1 - padding[2] - padding[3]))
    }
    if depthwise {
      let multiplier = random.chance(70) ? 1 : random.int(2...3)
      kernel = [window.0, window.1, channels, multiplier]
      outputs = channels * multiplier
    } else {
      if random.chance(25) {
        let groups = random.chance(30) ? min(channels, 16) : random.int(2...4)
        channels = random.int(1...8) * groups
        outputs = random.int(1...20) * groups
        attributes.groups = Int32(groups)
      }
      kernel = [window.0, window.1, channels / Int(attributes.groups), outputs]
    }
    (attributes.stride_h, attributes.stride_w) = (Int32(stride.0), Int32(stride.1))
    (attributes.dilation_h, attributes.dilation_w) = (Int32(dilation.0), Int32(dilation.1))
    (attributes.pad_top, attributes.pad_bottom) = (Int32(padding[0]), Int32(padding[1]))
    (attributes.pad_left, attributes.pad_right) = (Int32(padding[2]), Int32(padding[3]))
    let n = random.pick([1, 1, 2, 3])
    x = [n, h, w, channels]
    y = [
      n, (h + padding[0] + padding[1] - effective.0) / stride.0 + 1, (w + padding[2] + padding[3] - effective.1) / stride.1 + 1, outputs,
    ]
  }

  var detail: String {
    let a = attributes
    return "stride \(a.stride_h),\(a.stride_w) dilation \(a.dilation_h),\(a.dilation_w) "
      + "padding \(a.pad_top),\(a.pad_bottom),\(a.pad_left),\(a.pad_right) groups \(a.groups) bias \(a.has_bias) residual \(a.has_residual)"
  }
}

func convolutionCase(_ random: inout Random, depthwise: Bool) -> Case {
  var shapes = RandomConvolution(&random, depthwise: depthwise)
  shapes.attributes.has_bias = random.chance(50) ? 1 : 0
  shapes.attributes.has_residual = random.chance(30) ? 1 : 0
  shapes.attributes.activation = randomActivation(&random)
  let activation = shapes.attributes.activation
  let scale: Float = activation.kind == Int32(XFER_ACTIVATION_EXPONENTIAL) ? 0.2 : 1
  var inputs = [CaseTensor(random: &random, shapes.x, -scale, scale), CaseTensor(random: &random, shapes.kernel, -scale, scale)]
  // Libraries' rectifiers lose a NaN.
  if activation.kind == Int32(XFER_ACTIVATION_LINEAR) { poison(&inputs[0], shapes, &random) }
  if shapes.attributes.has_bias != 0 { inputs.append(CaseTensor(random: &random, [shapes.y[3]])) }
  if shapes.attributes.has_residual != 0 { inputs.append(CaseTensor(random: &random, shapes.y)) }
  var test = Case(
    depthwise ? XFER_OP_DEPTHWISE_CONV2D : XFER_OP_CONV2D, inputs, [floats(shapes.y)], attributeBytes(shapes.attributes),
    tolerance(activation))
  test.detail = shapes.detail + detail(activation)
  test.constants = shapes.attributes.has_bias != 0 ? 0b110 : 0b10
  shapes.attributes.activation = linearActivation
  test.linearAttributes = attributeBytes(shapes.attributes)
  return test
}

/// Sometimes a NaN in an image of several groups: it may show in its own group alone.
private func poison(_ image: inout CaseTensor, _ shapes: RandomConvolution, _ random: inout Random) {
  guard shapes.attributes.groups > 1, random.chance(20) else { return }
  image.floats[random.int(0...image.desc.elementCount - 1)] = .nan
}

/// A separable convolution: a random depthwise half and a pointwise one behind it.
func separableCase(_ random: inout Random) -> Case {
  let shapes = RandomConvolution(&random, depthwise: true)
  // Few outputs and many; widths of more than one tile of pixels come from the random image.
  let outputs = random.size(129)
  let (h, c) = (shapes.attributes, shapes.x[3])
  var attributes = xfer_separable_conv_attributes()
  attributes.struct_size = sized(xfer_separable_conv_attributes.self)
  (attributes.stride_h, attributes.stride_w, attributes.dilation_h, attributes.dilation_w) = (
    h.stride_h, h.stride_w, h.dilation_h, h.dilation_w
  )
  (attributes.pad_top, attributes.pad_bottom) = (h.pad_top, h.pad_bottom)
  (attributes.pad_left, attributes.pad_right) = (h.pad_left, h.pad_right)
  attributes.has_depthwise_bias = random.chance(30) ? 1 : 0
  attributes.has_bias = random.chance(50) ? 1 : 0
  attributes.has_residual = random.chance(30) ? 1 : 0
  var rectifier = linearActivation
  rectifier.kind = Int32(XFER_ACTIVATION_RELU)
  attributes.input_activation = random.chance(40) ? rectifier : linearActivation
  attributes.depthwise_activation = linearActivation
  if random.chance(30) {
    attributes.depthwise_activation = rectifier
    if random.chance(50) { attributes.depthwise_activation.max_value = random.float(0.5, 6) }
  }
  attributes.activation = randomActivation(&random)
  let activation = attributes.activation
  let scale: Float = activation.kind == Int32(XFER_ACTIVATION_EXPONENTIAL) ? 0.05 : 1
  let y = [shapes.y[0], shapes.y[1], shapes.y[2], outputs]
  var inputs = [
    CaseTensor(random: &random, shapes.x, -scale, scale),
    CaseTensor(random: &random, [shapes.kernel[0], shapes.kernel[1], c, 1], -scale, scale),
    CaseTensor(random: &random, [1, 1, c, outputs], -scale, scale),
  ]
  if attributes.has_depthwise_bias != 0 { inputs.append(CaseTensor(random: &random, [c])) }
  if attributes.has_bias != 0 { inputs.append(CaseTensor(random: &random, [outputs])) }
  if attributes.has_residual != 0 { inputs.append(CaseTensor(random: &random, y)) }
  var test = Case(XFER_OP_SEPARABLE_CONV2D, inputs, [floats(y)], attributeBytes(attributes), tolerance(activation))
  test.detail =
    shapes.detail + detail(activation) + " input \(attributes.input_activation.kind) middle \(attributes.depthwise_activation.kind)"
  test.constants = 0b110
  attributes.activation = linearActivation
  attributes.depthwise_activation = linearActivation
  test.linearAttributes = attributeBytes(attributes)
  return test
}

func convolutionBackwardCase(_ random: inout Random, op: Int, depthwise: Bool, toKernel: Bool) -> Case {
  let shapes = RandomConvolution(&random, depthwise: depthwise)
  var dy = CaseTensor(random: &random, shapes.y)
  var other = CaseTensor(random: &random, toKernel ? shapes.x : shapes.kernel)
  // Not in dy where it meets the zeros around x.
  if toKernel { poison(&other, shapes, &random) } else { poison(&dy, shapes, &random) }
  var test = Case(
    op, toKernel ? [other, dy] : [dy, other], [floats(toKernel ? shapes.kernel : shapes.x)], attributeBytes(shapes.attributes), .sums)
  test.detail = shapes.detail
  // The kernel of a frozen layer in the middle of a network.
  test.constants = toKernel ? 0 : 0b10
  return test
}
