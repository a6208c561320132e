import CXfer
import Glibc
import Testing

@testable import XferConformance

/// The ops of elements, order, picking, chance and image maps against their definitions, written out here once more.
@Suite("The reference's functions") struct FunctionTests {
  static let unary: [(kind: Int, definition: @Sendable (Double) -> Double)] = [
    (XFER_UNARY_IDENTITY, { $0 }), (XFER_UNARY_NEGATE, { -$0 }), (XFER_UNARY_ABS, { abs($0) }),
    (XFER_UNARY_SIGN, { $0 == 0 ? 0 : $0 / abs($0) }), (XFER_UNARY_SQUARE, { pow($0, 2) }), (XFER_UNARY_SQRT, { pow($0, 0.5) }),
    (XFER_UNARY_RSQRT, { pow($0, -0.5) }), (XFER_UNARY_RECIPROCAL, { pow($0, -1) }), (XFER_UNARY_EXP, { pow(M_E, $0) }),
    (XFER_UNARY_EXPM1, { 2 * sinh($0 / 2) * exp($0 / 2) }), (XFER_UNARY_LOG, { log2($0) * M_LN2 }),
    (XFER_UNARY_LOG1P, { log2(1 + $0) * M_LN2 }),
    (XFER_UNARY_SIN, { cos($0 - .pi / 2) }), (XFER_UNARY_COS, { sin($0 + .pi / 2) }), (XFER_UNARY_TANH, { sinh($0) / cosh($0) }),
    (XFER_UNARY_ERF, { 1 - erfc($0) }), (XFER_UNARY_FLOOR, { Double(Int(($0 + 1000).rounded(.towardZero)) - 1000) }),
    (
      XFER_UNARY_ROUND,
      {
        let low = floor($0); return $0 - low > 0.5 || $0 - low == 0.5 && Int(low) % 2 != 0 ? low + 1 : low
      }
    ),
  ]

  @Test("unary kinds", arguments: unary.indices)
  func unaryKinds(index: Int) throws {
    let (kind, definition) = Self.unary[index]
    let positive = [XFER_UNARY_SQRT, XFER_UNARY_RSQRT, XFER_UNARY_LOG, XFER_UNARY_RECIPROCAL, XFER_UNARY_LOG1P].contains(kind)
    let x: [Float] = positive ? [0.25, 1, 3, 7.5, 100] : [-3, -2.5, -1.5, -0.5, 0, 0.3, 0.5, 1, 1.5, 2.5, 3.7]
    let attributes = xfer_unary_attributes(struct_size: sized(xfer_unary_attributes.self), kind: Int32(kind))
    let y = try run(XFER_OP_UNARY, [CaseTensor([x.count], x)], [x.count], attributeBytes(attributes))
    for (x, y) in zip(x, y) {
      let wanted = definition(Double(x))
      #expect(abs(Double(y) - wanted) <= 2e-7 * max(1, abs(wanted)), "kind \(kind) of \(x): \(y) instead of \(wanted)")
    }
  }

  @Test("unary kinds at the ends of their ranges")
  func unaryEnds() throws {
    func one(_ kind: Int, _ x: Float) throws -> Float {
      let attributes = xfer_unary_attributes(struct_size: sized(xfer_unary_attributes.self), kind: Int32(kind))
      return try run(XFER_OP_UNARY, [CaseTensor([1], [x])], [1], attributeBytes(attributes))[0]
    }
    #expect(try one(XFER_UNARY_LOG, 0) == -.infinity && one(XFER_UNARY_LOG, -1).isNaN && one(XFER_UNARY_SQRT, -1).isNaN)
    #expect(try one(XFER_UNARY_EXP, 100) == .infinity && one(XFER_UNARY_RECIPROCAL, 0) == .infinity && one(XFER_UNARY_SIGN, .nan).isNaN)
    // Digits that exp(x) − 1 and log(1 + x) would lose.
    #expect(try abs(one(XFER_UNARY_EXPM1, 1e-7) - 1e-7) < 1e-13 && abs(one(XFER_UNARY_LOG1P, 1e-7) - 1e-7) < 1e-13)
  }

  @Test("comparisons give 1 or 0, powers are powers")
  func binaryKinds() throws {
    func combine(_ kind: Int, _ a: [Float], _ b: [Float]) throws -> [Float] {
      let attributes = xfer_binary_attributes(struct_size: sized(xfer_binary_attributes.self), kind: Int32(kind))
      return try run(
        XFER_OP_BINARY, [CaseTensor([a.count], a), CaseTensor([b.count], b)], [max(a.count, b.count)], attributeBytes(attributes))
    }
    let (a, b): ([Float], [Float]) = ([1, 2, 3, .nan, 0], [2, 2, 2, .nan, -0.0])
    #expect(try combine(XFER_BINARY_EQUAL, a, b) == [0, 1, 0, 0, 1])
    #expect(try combine(XFER_BINARY_GREATER, a, b) == [0, 0, 1, 0, 0])
    #expect(try combine(XFER_BINARY_GREATER_EQUAL, a, b) == [0, 1, 1, 0, 1])
    #expect(try combine(XFER_BINARY_GREATER, [1, 5], [3]) == [0, 1])
    #expect(try combine(XFER_BINARY_POWER, [2, 9, 4, -2, 0, 7], [10, 0.5, -1, 3, 2, 0]) == [1024, 3, 0.25, -8, 0, 1])
    #expect(try combine(XFER_BINARY_POWER, [-2], [0.5])[0].isNaN)
  }

  @Test("transposition moves the element of every place", arguments: 0..<10)
  func transpose(round: Int) throws {
    var random = Random(seed: 21, round)
    let shape = (0..<random.int(1...5)).map { _ in random.int(1...5) }
    let order = shape.indices.shuffled(using: &random)
    let x = CaseTensor(random: &random, shape)
    let result = order.map { shape[$0] }
    let y = try run(XFER_OP_TRANSPOSE, [x], result, transposeAttributes(order))
    for place in y.indices {
      // The place's coordinates in y, then its place in x.
      var (rest, coordinates) = (place, [Int](repeating: 0, count: shape.count))
      for axis in result.indices.reversed() {
        coordinates[order[axis]] = rest % result[axis]
        rest /= result[axis]
      }
      let source = zip(shape, coordinates).reduce(0) { $0 * $1.0 + $1.1 }
      #expect(y[place] == x.floats[source], "\(shape) in order \(order)")
    }
  }

  @Test("gathering picks rows, its gradient adds them up, numbers of no row are NaN and passed over")
  func gather() throws {
    let x = CaseTensor([2, 3, 2], [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15])
    let index = CaseTensor(XFER_I32, [5], [2, 0, 2, 3, -1] as [Int32])
    let y = try run(XFER_OP_GATHER, [x, index], [2, 5, 2])
    #expect(Array(y[..<6]) == [4, 5, 0, 1, 4, 5] && Array(y[10..<16]) == [14, 15, 10, 11, 14, 15])
    #expect(y[6..<10].allSatisfy(\.isNaN) && y[16...].allSatisfy(\.isNaN))
    let dy = CaseTensor([1, 5, 1], [1, 2, 4, 8, 16])
    #expect(try run(XFER_OP_GATHER_BACKWARD, [dy, index], [1, 3, 1]) == [2, 0, 5])
  }

  @Test("selection: anything but 0 is true")
  func select() throws {
    let condition = CaseTensor([6], [0, -0.0, 1, -1, .nan, 1e-40])
    let (a, b) = (CaseTensor([6], [1, 2, 3, 4, 5, 6]), CaseTensor([6], [-1, -2, -3, -4, -5, -6]))
    #expect(try run(XFER_OP_SELECT, [condition, a, b], [6]) == [-1, -2, 3, 4, 5, 6])
  }

  @Test("random numbers are those of the counter, and are spread as they say")
  func random() throws {
    func numbers(_ kind: Int, _ count: Int) throws -> [Float] {
      let attributes = xfer_random_attributes(struct_size: sized(xfer_random_attributes.self), kind: Int32(kind))
      return try run(XFER_OP_RANDOM, [CaseTensor(XFER_I64, [2], [5, 3] as [Int64])], [count], attributeBytes(attributes))
    }
    func mix(_ value: UInt64) -> UInt64 {
      var z = value &+ 0x9E37_79B9_7F4A_7C15
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    func u(_ i: Int) -> Double { Double(mix(mix(5 ^ mix(3)) &+ UInt64(i)) >> 40) / 16_777_216 }
    let uniform = try numbers(XFER_RANDOM_UNIFORM, 4000)
    for i in [0, 1, 2, 3999] { #expect(uniform[i] == Float(u(i))) }
    #expect(uniform.allSatisfy { (0..<1).contains($0) })
    #expect(abs(uniform.reduce(0, +) / 4000 - 0.5) < 0.02)
    let normal = try numbers(XFER_RANDOM_NORMAL, 4000)
    for i in [0, 7, 3999] {
      let wanted = sqrt(-2 * log(u(2 * i) + 1 / 16_777_216)) * cos(2 * .pi * u(2 * i + 1))
      #expect(abs(Double(normal[i]) - wanted) < 1e-6)
    }
    let mean = normal.reduce(0, +) / 4000
    let variance = normal.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 4000
    #expect(abs(mean) < 0.06 && abs(variance - 1) < 0.1)
  }

  private func transform(_ image: CaseTensor, _ m: [Float], _ size: [Int], bilinear: Bool, fill: Int, value: Float = 0) throws -> [Float] {
    let attributes = xfer_image_transform_attributes(
      struct_size: sized(xfer_image_transform_attributes.self),
      interpolation: Int32(bilinear ? XFER_INTERPOLATION_BILINEAR : XFER_INTERPOLATION_NEAREST), fill_mode: Int32(fill), fill_value: value)
    return try run(XFER_OP_IMAGE_TRANSFORM, [image, CaseTensor([1, 8], m)], [1, size[0], size[1], 1], attributeBytes(attributes))
  }

  @Test("an image map reads where its matrix says, and beyond the image what the fill mode says")
  func imageTransform() throws {
    let line = CaseTensor([1, 1, 4, 1], [1, 2, 3, 4])
    // Column c comes from column c − 4: the four beyond the left end, then the image, then four beyond the right.
    func moved(_ fill: Int) throws -> [Float] {
      try transform(line, [1, 0, -4, 0, 1, 0, 0, 0], [1, 12], bilinear: false, fill: fill, value: 9)
    }
    #expect(try moved(XFER_FILL_CONSTANT) == [9, 9, 9, 9, 1, 2, 3, 4, 9, 9, 9, 9])
    #expect(try moved(XFER_FILL_REFLECT) == [4, 3, 2, 1, 1, 2, 3, 4, 4, 3, 2, 1])
    #expect(try moved(XFER_FILL_NEAREST) == [1, 1, 1, 1, 1, 2, 3, 4, 4, 4, 4, 4])
    // Half a pixel to the right, halfway between neighbours; beyond the end the fill value counts as a neighbour.
    #expect(try transform(line, [1, 0, 0.5, 0, 1, 0, 0, 0], [1, 4], bilinear: true, fill: XFER_FILL_CONSTANT) == [1.5, 2.5, 3.5, 2])
    // A quarter turn of [[1, 2], [3, 4]].
    let square = CaseTensor([1, 2, 2, 1], [1, 2, 3, 4])
    #expect(try transform(square, [0, 1, 0, -1, 0, 1, 0, 0], [2, 2], bilinear: false, fill: XFER_FILL_CONSTANT) == [3, 1, 4, 2])
    // A projection: column c comes from c / (1 + c).
    let projected = try transform(line, [1, 0, 0, 0, 1, 0, 1, 0], [1, 4], bilinear: true, fill: XFER_FILL_NEAREST)
    #expect(projected.distance(to: [1, 1.5, 1 + 2.0 / 3, 1.75]) < 1e-6)
  }
}
