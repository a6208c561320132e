import CXfer

func reduceCase(_ random: inout Random) -> Case {
  var attributes = xfer_reduce_attributes(struct_size: sized(xfer_reduce_attributes.self), kind: Int32(random.int(0...2)))
  var x = random.shape(rank: 3)
  // A long sum, whose error must not grow with its length.
  if random.chance(20) { x = random.chance(50) ? [1, random.int(5000...40_000), 1] : [1, random.int(1000...4000), random.size(17)] }
  var test = Case(
    XFER_OP_REDUCE, [CaseTensor(random: &random, x)], [floats([x[0], x[2]])], attributeBytes(attributes),
    attributes.kind == Int32(XFER_REDUCE_MAX) ? .exact : Tolerance(relative: 1e-6, magnitude: 1e-6))
  test.detail = ["sum", "mean", "max"][Int(attributes.kind)]
  attributes.kind = attributes.kind == Int32(XFER_REDUCE_MEAN) ? attributes.kind : Int32(XFER_REDUCE_SUM)
  test.linearAttributes = attributeBytes(attributes)
  return test
}

func broadcastCase(_ random: inout Random) -> Case {
  let attributes = xfer_broadcast_attributes(
    struct_size: sized(xfer_broadcast_attributes.self), scale: random.chance(30) ? 1 : random.float())
  let y = random.shape(rank: 3)
  return Case(
    XFER_OP_BROADCAST, [CaseTensor(random: &random, [y[0], y[2]])], [floats(y)], attributeBytes(attributes), .elementwise)
}

/// Each kind in turn, over the range where it bends, with some values far out.
private func activationInput(_ random: inout Random, _ shape: [Int]) -> CaseTensor {
  CaseTensor(
    shape, (0..<shape.reduce(1, *)).map { _ in random.chance(5) ? random.pick([-80, -30, -10, 10, 30, 80]) : random.float(-5, 5) })
}

private func activationAttributes(_ random: inout Random) -> xfer_activation_attributes {
  var activation = randomActivation(&random, linear: 4)
  if activation.kind == Int32(XFER_ACTIVATION_ELU) { activation.alpha = random.float(0.2, 2) }
  return xfer_activation_attributes(struct_size: sized(xfer_activation_attributes.self), activation: activation, saved_is_output: 0)
}

private func detail(_ a: xfer_activation_attributes) -> String {
  "kind \(a.activation.kind) alpha \(a.activation.alpha) max \(a.activation.max_value) threshold \(a.activation.threshold)"
    + (a.saved_is_output != 0 ? " from the output" : "")
}

func activationCase(_ random: inout Random) -> Case {
  let attributes = activationAttributes(&random)
  let shape = random.shape(rank: random.int(1...4), elements: 5000)
  var x = activationInput(&random, shape)
  if attributes.activation.kind == Int32(XFER_ACTIVATION_EXPONENTIAL) { x.floats = x.floats.map { min($0, 40) } }
  var test = Case(
    XFER_OP_ACTIVATION, [x], [floats(shape)], attributeBytes(attributes), attributes.activation.kind < 2 ? .elementwise : .curves)
  test.detail = detail(attributes)
  test.aliases = [[0: 0]]
  return test
}

func activationBackwardCase(_ random: inout Random, reference: Runner) throws(Failure) -> Case {
  var attributes = activationAttributes(&random)
  let shape = random.shape(rank: random.int(1...4), elements: 5000)
  var saved = activationInput(&random, shape)
  if attributes.activation.kind == Int32(XFER_ACTIVATION_EXPONENTIAL) { saved.floats = saved.floats.map { min($0, 10) } }
  let fromOutput =
    [XFER_ACTIVATION_SIGMOID, XFER_ACTIVATION_TANH, XFER_ACTIVATION_EXPONENTIAL].contains(Int(attributes.activation.kind))
    || attributes.activation.kind == Int32(XFER_ACTIVATION_RELU) && attributes.activation.alpha == 0 && attributes.activation.threshold == 0
  if fromOutput, random.chance(60) {
    saved.bytes = try reference.run(Case(XFER_OP_ACTIVATION, [saved], [floats(shape)], attributeBytes(attributes), .exact))[0]
    attributes.saved_is_output = 1
  }
  var test = Case(
    XFER_OP_ACTIVATION_BACKWARD, [saved, CaseTensor(random: &random, shape)], [floats(shape)], attributeBytes(attributes),
    attributes.activation.kind < 2 ? .elementwise : .curves)
  test.detail = detail(attributes)
  test.aliases = [[0: 0], [0: 1]]
  return test
}

func softmaxCase(_ random: inout Random, backward: Bool, reference: Runner) throws(Failure) -> Case {
  let shape = random.chance(60) ? [random.size(33), random.size(129), 1] : random.shape(rank: 3, elements: 8000, limit: 64)
  let x = CaseTensor(random: &random, shape, -6, 6)
  var test = Case(XFER_OP_SOFTMAX, [x], [floats(shape)], [], .curves)
  test.aliases = [[0: 0]]
  if backward {
    var y = x
    y.bytes = try reference.run(test)[0]
    test = Case(XFER_OP_SOFTMAX_BACKWARD, [y, CaseTensor(random: &random, shape)], [floats(shape)], [], .curves)
    test.aliases = [[0: 0], [0: 1]]
  }
  return test
}

func binaryCase(_ random: inout Random) -> Case {
  let attributes = xfer_binary_attributes(struct_size: sized(xfer_binary_attributes.self), kind: Int32(random.int(0...9)))
  var y = random.shape(rank: random.int(1...5), elements: random.chance(15) ? 50_000 : 6000)
  var (a, b) = (y, y)
  if random.chance(30) {
    // What models are made of: numbers, channels, samples, samples' channels and pixels beside images.
    y = [random.int(1...4), random.size(17), random.size(17), random.pick([1, 2, 3, 3, 4, 16, 33])]
    let part = random.pick([
      [1, 1, 1, 1], [1, 1, 1, y[3]], [y[0], 1, 1, 1], [y[0], 1, 1, y[3]], [y[0], y[1], y[2], 1], [1, y[1], 1, y[3]],
    ])
    (a, b) = random.chance(50) ? (y, part) : (part, y)
  } else if random.chance(70) {
    for axis in y.indices {
      switch random.int(0...5) {
      case 0: a[axis] = 1
      case 1: b[axis] = 1
      default: break
      }
    }
  }
  // The larger of each size, so that both being 1 fits as well.
  let result = zip(a, b).map { max($0, $1) }
  var (first, second) = (CaseTensor(random: &random, a), CaseTensor(random: &random, b))
  var tolerance = Tolerance.exact
  switch Int(attributes.kind) {
  case XFER_BINARY_DIVIDE: (second, tolerance) = (CaseTensor(random: &random, b, 0.5, 2), .elementwise)
  case XFER_BINARY_POWER:
    (first, second, tolerance) = (CaseTensor(random: &random, a, 0.1, 3), CaseTensor(random: &random, b, -2, 3), .curves)
    // Powers of what C's pow treats by itself.
    if random.chance(40) {
      let special: [Float] = [0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, .infinity, -.infinity, .nan, 1e-40, 1e30, 8_388_609, 1e10]
      first.floats = first.floats.map { random.chance(50) ? random.pick(special) : $0 }
      second.floats = second.floats.map { random.chance(50) ? random.pick(special) : $0 }
    }
  case XFER_BINARY_EQUAL, XFER_BINARY_GREATER, XFER_BINARY_GREATER_EQUAL:
    // Few values, so that many are equal.
    first.floats = first.floats.map { ($0 * 2).rounded() }
    second.floats = second.floats.map { $0 > 0.9 ? .nan : ($0 * 2).rounded() }
  default: break
  }
  var test = Case(XFER_OP_BINARY, [first, second], [floats(result)], attributeBytes(attributes), tolerance)
  test.detail =
    ["add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "equal", "greater", "greater or equal"][Int(attributes.kind)]
  if a == result { test.aliases.append([0: 0]) }
  if b == result { test.aliases.append([0: 1]) }
  return test
}

func lerpCase(_ random: inout Random) -> Case {
  let attributes = xfer_lerp_attributes(struct_size: sized(xfer_lerp_attributes.self), t: random.float(0, 1))
  let shape = random.shape(rank: random.int(1...3), elements: 5000)
  var test = Case(
    XFER_OP_LERP, [CaseTensor(random: &random, shape), CaseTensor(random: &random, shape)], [floats(shape)], attributeBytes(attributes),
    Tolerance(relative: 1e-6, absolute: 2e-7))
  test.detail = "t \(attributes.t)"
  test.aliases = [[0: 0]]
  return test
}

func dropoutCase(_ random: inout Random) -> Case {
  let attributes = xfer_dropout_attributes(struct_size: sized(xfer_dropout_attributes.self), rate: random.pick([0, 0.1, 0.25, 0.5, 0.9]))
  let shape = random.shape(rank: random.int(1...3), elements: random.chance(20) ? 60_000 : 9000)
  let state = CaseTensor(XFER_I64, [2], [Int64(bitPattern: random.next()), Int64(random.int(0...1000))])
  var test = Case(
    XFER_OP_DROPOUT, [CaseTensor(random: &random, shape), state], [floats(shape)], attributeBytes(attributes), .elementwise)
  test.detail = "rate \(attributes.rate)"
  test.aliases = [[0: 0]]
  return test
}
