import CXfer

/// The gradient of a transposition is the inverse one.
@Sendable func transposeGradient(_ random: inout Random) -> GradientCheck {
  let shape = (0..<random.int(1...4)).map { _ in random.int(1...5) }
  let order = shape.indices.shuffled(using: &random)
  var inverse = order
  for (to, from) in order.enumerated() { inverse[from] = to }
  let (forward, backward) = (transposeAttributes(order), transposeAttributes(inverse))
  let x = CaseTensor(random: &random, shape)
  return GradientCheck(
    Case(XFER_OP_TRANSPOSE, [x], [floats(order.map { shape[$0] })], forward, .exact), step: 0.125,
    backward: [0: { _, dy in Case(XFER_OP_TRANSPOSE, [dy], [x.desc], backward, .exact) }])
}

/// Rows picked several times gather all their gradients.
@Sendable func gatherGradient(_ random: inout Random) -> GradientCheck {
  let (outer, n, inner, count) = (random.int(1...3), random.int(1...6), random.int(1...5), random.int(1...10))
  let x = CaseTensor(random: &random, [outer, n, inner])
  let index = CaseTensor(XFER_I32, [count], (0..<count).map { _ in Int32(random.int(0...n - 1)) })
  return GradientCheck(
    Case(XFER_OP_GATHER, [x, index], [floats([outer, count, inner])], [], .exact), step: 0.125,
    backward: [0: { _, dy in Case(XFER_OP_GATHER_BACKWARD, [dy, index], [x.desc], [], .sums) }])
}

/// The gradient goes where the value came from.
@Sendable func selectGradient(_ random: inout Random) -> GradientCheck {
  let shape = [random.int(1...40)]
  let condition = CaseTensor(shape, (0..<shape[0]).map { _ in Float(random.int(0...1)) })
  let (a, b, zero) = (
    CaseTensor(random: &random, shape), CaseTensor(random: &random, shape), CaseTensor(shape, Array(repeating: 0, count: shape[0]))
  )
  return GradientCheck(
    Case(XFER_OP_SELECT, [condition, a, b], [floats(shape)], [], .exact), step: 0.125,
    backward: [
      1: { _, dy in Case(XFER_OP_SELECT, [condition, dy, zero], [a.desc], [], .exact) },
      2: { _, dy in Case(XFER_OP_SELECT, [condition, zero, dy], [b.desc], [], .exact) },
    ])
}
