import CXfer

/// Every kind, by its input and, where that is enough, by its output. Points beside a kink are moved away from it.
@Sendable func activationGradient(_ random: inout Random) -> GradientCheck {
  var activation = randomActivation(&random, linear: 0)
  if activation.kind == Int32(XFER_ACTIVATION_ELU) { activation.alpha = random.float(0.5, 1.5) }
  var kinks: [Float]
  switch Int(activation.kind) {
  case XFER_ACTIVATION_RELU: kinks = [activation.threshold, activation.max_value]
  case XFER_ACTIVATION_HARD_SIGMOID, XFER_ACTIVATION_HARD_SILU: kinks = [-3, 3]
  default: kinks = [0]
  }
  kinks = kinks.filter(\.isFinite)
  var attributes = xfer_activation_attributes(
    struct_size: sized(xfer_activation_attributes.self), activation: activation, saved_is_output: 0)
  let forwardAttributes = attributeBytes(attributes)
  let shape = [random.int(20...60)]
  var x = CaseTensor(random: &random, shape, -4, 4)
  x.floats = x.floats.map { value in kinks.contains { ($0 - value).magnitude < 0.03 } ? value + 0.1 : value }
  let fromOutput =
    [XFER_ACTIVATION_SIGMOID, XFER_ACTIVATION_TANH, XFER_ACTIVATION_EXPONENTIAL].contains(Int(activation.kind))
    || activation.kind == Int32(XFER_ACTIVATION_RELU) && activation.alpha == 0 && activation.threshold == 0
  attributes.saved_is_output = fromOutput && random.chance(50) ? 1 : 0
  let backwardAttributes = attributes
  let input = x
  var forward = Case(XFER_OP_ACTIVATION, [x], [floats(shape)], forwardAttributes, .curves)
  forward.detail = "activation \(activation.kind) alpha \(activation.alpha) from output \(attributes.saved_is_output)"
  return GradientCheck(
    forward,
    backward: [
      0: { y, dy in
        let saved = backwardAttributes.saved_is_output != 0 ? y[0] : input
        return Case(XFER_OP_ACTIVATION_BACKWARD, [saved, dy], [input.desc], attributeBytes(backwardAttributes), .curves)
      }
    ])
}

@Sendable func softmaxGradient(_ random: inout Random) -> GradientCheck {
  let x = CaseTensor(random: &random, [random.int(1...4), random.int(1...12), random.int(1...3)], -2, 2)
  return GradientCheck(
    Case(XFER_OP_SOFTMAX, [x], [x.desc], [], .curves),
    backward: [0: { y, dy in Case(XFER_OP_SOFTMAX_BACKWARD, [y[0], dy], [x.desc], [], .curves) }])
}

/// The gradient is the same op with the same state.
@Sendable func dropoutGradient(_ random: inout Random) -> GradientCheck {
  let x = CaseTensor(random: &random, [random.int(1...200)])
  let state = CaseTensor(XFER_I64, [2], [Int64(random.int(0...1 << 40)), Int64(random.int(0...9))])
  let attributes = attributeBytes(xfer_dropout_attributes(struct_size: sized(xfer_dropout_attributes.self), rate: 0.4))
  return GradientCheck(
    Case(XFER_OP_DROPOUT, [x, state], [x.desc], attributes, .elementwise), step: 0.125,
    backward: [0: { _, dy in Case(XFER_OP_DROPOUT, [dy, state], [x.desc], attributes, .elementwise) }])
}

func crossentropyGradient(_ random: inout Random, sparse: Bool) -> GradientCheck {
  let logits = random.chance(50)
  let shape = [random.int(1...6), random.int(2...8)]
  let attributes = attributeBytes(
    xfer_crossentropy_attributes(
      struct_size: sized(xfer_crossentropy_attributes.self), from_logits: logits ? 1 : 0,
      label_smoothing: !sparse && random.chance(50) ? 0.1 : 0))
  let truth =
    sparse
    ? CaseTensor(XFER_I32, [shape[0]], (0..<shape[0]).map { _ in Int32(random.int(0...shape[1] - 1)) })
    : CaseTensor(shape, (0..<shape[0] * shape[1]).map { _ in Float(random.int(0...1)) })
  let prediction = logits ? CaseTensor(random: &random, shape, -3, 3) : CaseTensor(random: &random, shape, 0.3, 0.7)
  let forward = sparse ? XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY : XFER_OP_BINARY_CROSSENTROPY
  let backward = sparse ? XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD : XFER_OP_BINARY_CROSSENTROPY_BACKWARD
  return GradientCheck(
    Case(forward, [truth, prediction], [floats([shape[0]])], attributes, .curves),
    backward: [1: { _, dloss in Case(backward, [truth, prediction, dloss], [prediction.desc], attributes, .curves) }])
}
