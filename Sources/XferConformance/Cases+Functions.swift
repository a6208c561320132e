import CXfer

private let unaryNames = [
  "identity", "negate", "abs", "sign", "square", "sqrt", "rsqrt", "reciprocal", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "erf",
  "floor", "round",
]

/// Each kind over the range it is defined on, with some values far out and some at its bends.
func unaryCase(_ random: inout Random) -> Case {
  let attributes = xfer_unary_attributes(struct_size: sized(xfer_unary_attributes.self), kind: Int32(random.int(0...unaryNames.count - 1)))
  let shape = random.shape(rank: random.int(1...4), elements: 5000)
  var special: [Float] = [0, 0.5, -0.5, 1.5, 2.5, -2.5, 1, -1, 1e-6, -1e-6, 30, -30]
  var tolerance = Tolerance.exact
  var range: ClosedRange<Float> = -5...5
  switch Int(attributes.kind) {
  case XFER_UNARY_SQRT, XFER_UNARY_RSQRT, XFER_UNARY_LOG:
    (range, special) = (0.01...9, [1, 4, 1e-6, 1e6, 0.25])
    tolerance = Int(attributes.kind) == XFER_UNARY_LOG ? .curves : .elementwise
  case XFER_UNARY_RECIPROCAL: (range, special, tolerance) = (0.1...4, [-1, -0.25, 1e-6, 1e6], .elementwise)
  case XFER_UNARY_LOG1P: (range, special, tolerance) = (-0.9...9, [0, 1e-6, -1e-6, 1e6], .curves)
  case XFER_UNARY_SQUARE: tolerance = .elementwise
  // The size of a result is what its approximation errs by.
  case XFER_UNARY_EXP, XFER_UNARY_EXPM1, XFER_UNARY_SIN, XFER_UNARY_COS, XFER_UNARY_TANH, XFER_UNARY_ERF: tolerance = .curves
  default: break
  }
  // What C's functions say of zeros, infinities, NaN, numbers out of range, subnormals and angles of many turns.
  if random.chance(30) {
    special += [
      0, -0.0, -1, -2, .infinity, -.infinity, .nan, 1e-40, -1e-40, 1e-30, 1e30, 3e38, -1e5, 1e7, 12345.678, 4_194_304.5, 100, -100,
    ]
  }
  let x = CaseTensor(
    shape, (0..<shape.reduce(1, *)).map { _ in random.chance(10) ? random.pick(special) : random.float(range.lowerBound, range.upperBound) }
  )
  var test = Case(XFER_OP_UNARY, [x], [floats(shape)], attributeBytes(attributes), tolerance)
  test.detail = unaryNames[Int(attributes.kind)]
  test.aliases = [[0: 0]]
  return test
}

func transposeAttributes(_ order: [Int]) -> [UInt8] {
  var attributes = xfer_transpose_attributes()
  attributes.struct_size = sized(xfer_transpose_attributes.self)
  withUnsafeMutableBytes(of: &attributes.order) { raw in
    for (axis, from) in order.enumerated() { raw.storeBytes(of: Int32(from), toByteOffset: axis * 4, as: Int32.self) }
  }
  return attributeBytes(attributes)
}

/// Any order of up to six dimensions, of elements of every size.
func transposeCase(_ random: inout Random) -> Case {
  let shape = random.shape(rank: random.int(1...6), elements: 8000, limit: 97)
  let order = shape.indices.shuffled(using: &random)
  let count = shape.reduce(1, *)
  let x: CaseTensor
  switch random.int(0...5) {
  case 0: x = CaseTensor(XFER_U8, shape, (0..<count).map { _ in UInt8(random.int(0...255)) })
  case 1: x = CaseTensor(XFER_I32, shape, (0..<count).map { _ in Int32(random.int(-9...9)) })
  case 2: x = CaseTensor(XFER_F64, shape, (0..<count).map { _ in Double(random.float()) })
  case 3: x = CaseTensor(XFER_BF16, shape, (0..<count).map { _ in UInt16(random.int(0...0x7F00)) })
  default: x = CaseTensor(random: &random, shape)
  }
  var test = Case(XFER_OP_TRANSPOSE, [x], [describe(x.desc.dtype, order.map { shape[$0] })], transposeAttributes(order), .exact)
  test.detail = "order \(order)"
  return test
}

/// Indices within the table, some of them equal and a few outside.
private func index(_ random: inout Random, _ count: Int, of n: Int) -> CaseTensor {
  CaseTensor(
    XFER_I32, [count], (0..<count).map { _ in random.chance(4) ? random.pick([-1, Int32(n), .max, .min]) : Int32(random.int(0...n - 1)) })
}

func gatherCase(_ random: inout Random, backward: Bool) -> Case {
  // Now and then enough to be cut into pieces.
  let many = random.chance(15)
  let table = many ? [random.int(1...2), random.size(65), random.pick([33, 64, 65])] : random.shape(rank: 3, elements: 6000, limit: 65)
  let count = many ? random.int(500...1500) : random.size(40)
  let picked = [table[0], count, table[2]]
  let index = index(&random, count, of: table[1])
  return backward
    ? Case(XFER_OP_GATHER_BACKWARD, [CaseTensor(random: &random, picked), index], [floats(table)], [], .sums)
    : Case(XFER_OP_GATHER, [CaseTensor(random: &random, table), index], [floats(picked)], [], .exact)
}

func randomCase(_ random: inout Random) -> Case {
  let normal = random.chance(50)
  let kind = Int32(normal ? XFER_RANDOM_NORMAL : XFER_RANDOM_UNIFORM)
  let state = CaseTensor(XFER_I64, [2], [Int64(bitPattern: random.next()), Int64(random.int(0...1000))])
  var test = Case(
    XFER_OP_RANDOM, [state], [floats(random.shape(rank: random.int(1...3), elements: random.chance(20) ? 60_000 : 6000))],
    attributeBytes(xfer_random_attributes(struct_size: sized(xfer_random_attributes.self), kind: kind)), normal ? .curves : .exact)
  test.detail = normal ? "normal" : "uniform"
  return test
}

/// Anything but 0 is true, NaN and −0's sign included.
func selectCase(_ random: inout Random) -> Case {
  let shape = random.shape(rank: random.int(1...4), elements: 5000)
  let condition = CaseTensor(shape, (0..<shape.reduce(1, *)).map { _ in random.pick([0, 0, -0.0, 1, 1, -2, 1e-30, .nan]) })
  var test = Case(
    XFER_OP_SELECT, [condition, CaseTensor(random: &random, shape), CaseTensor(random: &random, shape)], [floats(shape)], [], .exact)
  test.aliases = [[0: 0], [0: 1], [0: 2]]
  return test
}

/// Turned, moved and enlarged images. Random numbers do not meet the places where rounding decides between neighbours.
func imageTransformCase(_ random: inout Random) -> Case {
  let (n, h, w, c) = (random.int(1...3), random.int(1...9), random.int(1...9), random.int(1...4))
  let (height, width) = (random.int(1...9), random.int(1...9))
  let attributes = xfer_image_transform_attributes(
    struct_size: sized(xfer_image_transform_attributes.self), interpolation: Int32(random.int(0...1)), fill_mode: Int32(random.int(0...3)),
    fill_value: random.float())
  let matrices = (0..<n).flatMap { _ in
    [
      random.float(0.6, 1.4), random.float(-0.4, 0.4), random.float(-4, 4), random.float(-0.4, 0.4), random.float(0.6, 1.4),
      random.float(-4, 4),
      random.chance(50) ? 0 : random.float(-0.02, 0.02), random.chance(50) ? 0 : random.float(-0.02, 0.02),
    ]
  }
  var test = Case(
    XFER_OP_IMAGE_TRANSFORM, [CaseTensor(random: &random, [n, h, w, c]), CaseTensor([n, 8], matrices)], [floats([n, height, width, c])],
    attributeBytes(attributes), attributes.interpolation == 0 ? .exact : Tolerance(relative: 1e-5, absolute: 1e-5))
  test.detail = "interpolation \(attributes.interpolation) fill \(attributes.fill_mode) \(attributes.fill_value)"
  return test
}
