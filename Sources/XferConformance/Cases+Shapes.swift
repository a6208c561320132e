import CXfer

private let everyDtype = [XFER_F32, XFER_F64, XFER_BF16, XFER_F16, XFER_U8, XFER_I32, XFER_I64, XFER_BOOL]

func concatCase(_ random: inout Random) -> Case {
  var shape = random.shape(rank: random.int(1...4), elements: 6000)
  let attributes = xfer_axis_attributes(struct_size: sized(xfer_axis_attributes.self), axis: Int32(random.int(0...shape.count - 1)))
  let axis = Int(attributes.axis)
  let parts = (0..<random.int(1...4)).map { _ -> CaseTensor in
    shape[axis] = random.int(1...9)
    return CaseTensor(random: &random, shape)
  }
  shape[axis] = parts.reduce(0) { $0 + $1.desc.shape[axis] }
  var test = Case(XFER_OP_CONCAT, parts, [floats(shape)], attributeBytes(attributes), .exact)
  test.detail = "axis \(axis)"
  return test
}

private func box(_ begin: [Int], value: Float = 0) -> xfer_box_attributes {
  var attributes = xfer_box_attributes()
  attributes.struct_size = sized(xfer_box_attributes.self)
  attributes.value = value
  withUnsafeMutableBytes(of: &attributes.begin) { raw in
    for (axis, place) in begin.enumerated() { raw.storeBytes(of: Int64(place), toByteOffset: axis * 8, as: Int64.self) }
  }
  return attributes
}

func boxCase(_ random: inout Random, pad: Bool) -> Case {
  let small = random.shape(rank: random.int(1...4), elements: 2000, limit: 33)
  // Some dimensions are whole.
  let begin = small.map { _ in random.chance(30) ? 0 : random.int(0...3) }
  let large = zip(small, begin).map { $0 + $1 + (random.chance(30) ? 0 : random.int(0...3)) }
  // Fractions may be rounded towards another type; what is asked of them is 0.
  let dtype = random.chance(60) ? XFER_F32 : random.pick(everyDtype)
  let attributes = box(begin, value: dtype != XFER_F32 || random.chance(50) ? 0 : random.float())
  var input = CaseTensor(random: &random, pad ? small : large)
  if dtype != XFER_F32 {
    let desc = describe(dtype, pad ? small : large)
    input = CaseTensor(dtype, desc.shape, [UInt8]())
    input.bytes = (0..<desc.byteCount).map { _ in UInt8(random.int(0...1)) }
  }
  var test = Case(
    pad ? XFER_OP_PAD : XFER_OP_SLICE, [input], [describe(dtype, pad ? large : small)], attributeBytes(attributes), .exact)
  test.detail = "begin \(begin) value \(attributes.value)"
  return test
}

func permuteCase(_ random: inout Random) -> Case {
  let shape = random.shape(rank: random.int(1...4), elements: 4000)
  let channels = shape[shape.count - 1]
  let count = random.chance(50) ? channels : random.size(40)
  let index = (0..<count).map { _ in Int32(random.int(0...channels - 1)) }
  let bytes = random.chance(25)
  let x =
    bytes
    ? CaseTensor(XFER_U8, shape, (0..<shape.reduce(1, *)).map { _ in UInt8(random.int(0...255)) }) : CaseTensor(random: &random, shape)
  return Case(
    XFER_OP_PERMUTE_CHANNELS, [x, CaseTensor(XFER_I32, [count], index)], [describe(x.desc.dtype, shape.dropLast() + [count])], [], .exact)
}

/// From and to every type. Numbers that round, saturate and overflow are among them; NaN only towards floats.
func castCase(_ random: inout Random, reference: Runner) throws(Failure) -> Case {
  let (from, to) = (random.pick(everyDtype), random.pick(everyDtype))
  let toInteger = [XFER_U8, XFER_I32, XFER_I64, XFER_BOOL].contains(to)
  let shape = random.shape(rank: random.int(1...3), elements: 3000)
  let count = shape.reduce(1, *)
  var special: [Double] = [
    0, 0.5, 1.5, 2.5, -0.5, -1.5, 254.5, 255.5, 300, -7, 65504, 65519, 65520, 1e5, 3e9, -3e9, 1e19, -1e19, 1e-5, 6e-8, 1e-40,
  ]
  if !toInteger { special += [.infinity, -.infinity, .nan, 1e39] }
  let values = (0..<count).map { _ -> Double in
    if to == XFER_BOOL { return Double(random.int(0...1)) * 3 }
    if random.chance(40) { return random.pick(special) }
    return Double.random(in: -1...1, using: &random) * random.pick([1, 300, 1e6])
  }
  let source: CaseTensor
  switch from {
  case XFER_F64: source = CaseTensor(from, shape, values)
  case XFER_I64:
    source = CaseTensor(from, shape, values.map { Int64(clamping: $0) &+ Int64(random.chance(30) ? random.int(0...1 << 60) : 0) })
  case XFER_I32: source = CaseTensor(from, shape, values.map { Int32(clamping: Int64(clamping: $0)) })
  case XFER_U8: source = CaseTensor(from, shape, values.map { UInt8(clamping: Int64(clamping: $0)) })
  case XFER_BOOL: source = CaseTensor(from, shape, values.map { UInt8($0 == 0 ? 0 : 1) })
  case XFER_F32: source = CaseTensor(from, shape, values.map { Float($0) })
  default:
    // The 16-bit floats by way of the reference's own cast.
    var half = CaseTensor(from, shape, [UInt16](repeating: 0, count: count))
    half.bytes = try reference.run(Case(XFER_OP_CAST, [CaseTensor(XFER_F64, shape, values)], [half.desc], [], .exact))[0]
    source = half
  }
  return Case(XFER_OP_CAST, [source], [describe(to, shape)], [], .exact)
}

extension Int64 {
  /// The nearest integer of a number that may be too large; 0 for NaN.
  fileprivate init(clamping value: Double) {
    self = value.isNaN ? 0 : value >= 9.2e18 ? .max : value <= -9.2e18 ? .min : Int64(value)
  }
}
