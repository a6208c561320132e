import CXfer

private func crossentropy(_ random: inout Random, smoothing: Bool) -> xfer_crossentropy_attributes {
  xfer_crossentropy_attributes(
    struct_size: sized(xfer_crossentropy_attributes.self), from_logits: random.chance(50) ? 1 : 0,
    label_smoothing: smoothing && random.chance(40) ? random.float(0, 0.3) : 0)
}

func binaryCrossentropyCase(_ random: inout Random, backward: Bool) -> Case {
  let attributes = crossentropy(&random, smoothing: true)
  let shape = [random.size(65), random.chance(50) ? 1 : random.size(33)]
  let truth = CaseTensor(shape, (0..<shape[0] * shape[1]).map { _ in random.chance(90) ? Float(random.int(0...1)) : random.float(0, 1) })
  var prediction = attributes.from_logits != 0 ? CaseTensor(random: &random, shape, -8, 8) : CaseTensor(random: &random, shape, 0.01, 0.99)
  // Clipped ones.
  if attributes.from_logits == 0, !backward {
    prediction.floats = prediction.floats.map { random.chance(5) ? Float(random.int(0...1)) : $0 }
  }
  var inputs = [truth, prediction]
  if backward { inputs.append(CaseTensor(random: &random, [shape[0]])) }
  var test = Case(
    backward ? XFER_OP_BINARY_CROSSENTROPY_BACKWARD : XFER_OP_BINARY_CROSSENTROPY, inputs, [floats(backward ? shape : [shape[0]])],
    attributeBytes(attributes), Tolerance(relative: 2e-5, absolute: 2e-6))
  test.detail = "from logits \(attributes.from_logits) smoothing \(attributes.label_smoothing)"
  return test
}

func sparseCrossentropyCase(_ random: inout Random, backward: Bool) -> Case {
  let attributes = crossentropy(&random, smoothing: false)
  let shape = [random.size(65), random.size(100)]
  var labels = (0..<shape[0]).map { _ in Int32(random.int(0...shape[1] - 1)) }
  if random.chance(20) { labels[0] = random.pick([-1, Int32(shape[1])]) }
  let prediction = attributes.from_logits != 0 ? CaseTensor(random: &random, shape, -8, 8) : CaseTensor(random: &random, shape, 0.05, 1)
  var inputs = [CaseTensor(XFER_I32, [shape[0]], labels), prediction]
  if backward { inputs.append(CaseTensor(random: &random, [shape[0]])) }
  // −log p next to 0 loses what p lost next to 1.
  var test = Case(
    backward ? XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD : XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY, inputs,
    [floats(backward ? shape : [shape[0]])], attributeBytes(attributes), Tolerance(relative: 2e-5, absolute: 4e-6))
  test.detail = "from logits \(attributes.from_logits)"
  return test
}

func sgdCase(_ random: inout Random) -> Case {
  let shape = random.shape(rank: random.int(1...3), elements: 5000)
  let momentum = random.chance(60)
  let attributes = xfer_sgd_attributes(
    struct_size: sized(xfer_sgd_attributes.self), momentum: momentum ? 0.9 : 0, nesterov: momentum && random.chance(50) ? 1 : 0)
  let tensors = (0..<(momentum ? 3 : 2)).map { _ in CaseTensor(random: &random, shape) }
  var test = Case(
    XFER_OP_SGD, tensors + [CaseTensor([1], [random.float(0.001, 0.1)])], Array(repeating: floats(shape), count: momentum ? 2 : 1),
    attributeBytes(attributes), Tolerance(relative: 1e-6, absolute: 3e-7))
  test.detail = "momentum \(attributes.momentum) nesterov \(attributes.nesterov)"
  test.aliases = [momentum ? [0: 0, 1: 1] : [0: 0]]
  return test
}

func adamCase(_ random: inout Random) -> Case {
  let shape = random.shape(rank: random.int(1...3), elements: 5000)
  let attributes = xfer_adam_attributes(
    struct_size: sized(xfer_adam_attributes.self), beta_1: 0.9, beta_2: 0.999, epsilon: random.pick([1e-7, 1e-3]))
  let inputs = [
    CaseTensor(random: &random, shape), CaseTensor(random: &random, shape, -0.1, 0.1), CaseTensor(random: &random, shape, 1e-4, 0.1),
    CaseTensor(random: &random, shape), CaseTensor([1], [random.float(1e-5, 1e-2)]),
  ]
  var test = Case(
    XFER_OP_ADAM, inputs, Array(repeating: floats(shape), count: 3), attributeBytes(attributes), Tolerance(relative: 1e-6, absolute: 1e-6))
  test.aliases = [[0: 0, 1: 1, 2: 2]]
  return test
}
