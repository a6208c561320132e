import CXfer

func scaleShiftCase(_ random: inout Random) -> Case {
  var attributes = xfer_activation_attributes(
    struct_size: sized(xfer_activation_attributes.self), activation: randomActivation(&random, linear: 60), saved_is_output: 0)
  let shape = random.shape(rank: random.int(1...4), elements: 8000)
  let channels = [shape[shape.count - 1]]
  var inputs = [CaseTensor(random: &random, shape, -2, 2), CaseTensor(random: &random, channels)]
  if random.chance(75) { inputs.append(CaseTensor(random: &random, channels)) }
  let curved = attributes.activation.kind > 1
  var test = Case(
    XFER_OP_SCALE_SHIFT, inputs, [floats(shape)], attributeBytes(attributes),
    curved ? Tolerance(relative: 2e-5, absolute: 4e-6) : Tolerance(relative: 1e-6, magnitude: 1e-6))
  test.detail = "activation \(attributes.activation.kind)"
  test.constants = 0b110
  test.aliases = [[0: 0]]
  attributes.activation = linearActivation
  test.linearAttributes = attributeBytes(attributes)
  return test
}

/// Data whose channels have means beside zero, as activations have.
private func channelData(_ random: inout Random, _ shape: [Int]) -> CaseTensor {
  let channels = shape[shape.count - 1]
  let means = (0..<channels).map { _ in random.float(-3, 3) }
  return CaseTensor(shape, (0..<shape.reduce(1, *)).map { means[$0 % channels] + random.float() })
}

func momentsCase(_ random: inout Random) -> Case {
  let shape = random.shape(rank: random.int(2...4), elements: 20_000)
  let channels = [shape[shape.count - 1]]
  return Case(
    XFER_OP_MOMENTS, [channelData(&random, shape)], [floats(channels), floats(channels)], [], Tolerance(relative: 2e-5, absolute: 2e-6))
}

private func normalize(_ random: inout Random) -> xfer_normalize_attributes {
  xfer_normalize_attributes(struct_size: sized(xfer_normalize_attributes.self), epsilon: random.pick([1e-3, 1e-5, 0.1]))
}

func normalizeParametersCase(_ random: inout Random) -> Case {
  let channels = [random.size(129)]
  let attributes = normalize(&random)
  let vectors = (0..<3).map { _ in CaseTensor(random: &random, channels, -2, 2) }
  // beta − mean·scale cancels: the absolute part is some roundings of the largest mean·scale.
  let test = Case(
    XFER_OP_NORMALIZE_PARAMETERS, vectors + [CaseTensor(random: &random, channels, 0.01, 2)], [floats(channels), floats(channels)],
    attributeBytes(attributes), Tolerance(relative: 3e-6, absolute: 1e-5))
  return test
}

func batchNormReduceCase(_ random: inout Random) -> Case {
  let shape = random.shape(rank: random.int(2...4), elements: 20_000)
  let channels = [shape[shape.count - 1]]
  let rows = Double(shape.dropLast().reduce(1, *))
  let attributes = normalize(&random)
  return Case(
    XFER_OP_BATCHNORM_BACKWARD_REDUCE,
    [
      channelData(&random, shape), CaseTensor(random: &random, shape), CaseTensor(random: &random, channels),
      CaseTensor(random: &random, channels, 0.5, 2),
    ], [floats(channels), floats(channels)], attributeBytes(attributes), Tolerance(relative: 1e-5, absolute: 4e-6 * rows))
}

func batchNormInputCase(_ random: inout Random) -> Case {
  let shape = random.shape(rank: random.int(2...4), elements: 20_000)
  let channels = [shape[shape.count - 1]]
  let attributes = normalize(&random)
  let vectors = [(-1, 1), (0.5, 2), (-2, 2), (-3, 3), (-3, 3)].map { CaseTensor(random: &random, channels, $0.0, $0.1) }
  return Case(
    XFER_OP_BATCHNORM_BACKWARD_INPUT, [channelData(&random, shape), CaseTensor(random: &random, shape)] + vectors, [floats(shape)],
    attributeBytes(attributes), Tolerance(relative: 1e-5, absolute: 3e-5))
}
