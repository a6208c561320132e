import CXfer
import XferCore
public import XferGraph

/// Keras' activations that are made of several ops. Where a function bends, its gradient is that of TensorFlow.
extension Graph {
  /// max(x, 0) cut at `maxValue`, `negativeSlope·(x − threshold)` below the threshold; x at the threshold is below it.
  func relu(_ x: ValueID, maxValue: Double?, negativeSlope: Double, threshold: Double) throws -> ValueID {
    let maximum = Float(maxValue ?? .infinity)
    guard threshold != 0 else { return activation(x, .of(Int(XFER_ACTIVATION_RELU), alpha: Float(negativeSlope), maxValue: maximum)) }
    let edge = try scalar(threshold)
    var y = try select(binary(.greater, x, edge), x, scalar(0))
    if let maxValue { y = try clip(y, 0, maxValue) }
    guard negativeSlope != 0 else { return y }
    let below = activation(try binary(.subtract, edge, x), .of(Int(XFER_ACTIVATION_RELU)))
    return try subtract(y, multiply(below, negativeSlope))
  }

  /// max(x, 0) + α·(exp(min(x, 0)/α) − 1), smooth for every α (Barron 2017).
  func celu(_ x: ValueID, alpha: Double) throws -> ValueID {
    guard alpha != 0 else { throw XferError.invalid("\(label): 'alpha' of celu is not to be 0") }
    let below = try unary(.expm1, multiply(binary(.minimum, x, scalar(0)), 1 / alpha))
    return try add(binary(.maximum, x, scalar(0)), multiply(below, alpha))
  }

  /// The first half times the sigmoid of the second, along `axis` (Dauphin et al. 2016).
  func gatedLinearUnit(_ x: ValueID, axis: Int) throws -> ValueID {
    let s = shape(x)
    let place = axis < 0 ? axis + s.count : axis
    guard s.indices.contains(place) else { throw XferError.invalid("\(label): axis \(axis) does not exist in shape \(s)") }
    let half = s[place] / 2
    guard s[place] == 2 * half else {
      throw XferError.shape("\(label): glu wants an even size along axis \(axis), shape \(s) was given")
    }
    let gate = activation(slice(x, axis: place, from: half, count: half), .of(Int(XFER_ACTIVATION_SIGMOID)))
    return try multiply(slice(x, axis: place, from: 0, count: half), gate)
  }

  func hardShrink(_ x: ValueID, _ threshold: Double) throws -> ValueID {
    try select(binary(.greater, unary(.abs, x), scalar(threshold)), x, scalar(0))
  }

  func softShrink(_ x: ValueID, _ threshold: Double) throws -> ValueID {
    let below = try select(binary(.greater, scalar(-threshold), x), add(x, threshold), scalar(0))
    return try select(binary(.greater, x, scalar(threshold)), add(x, -threshold), below)
  }

  /// −log(1 + exp(−x)).
  func logSigmoid(_ x: ValueID) -> ValueID {
    unary(.negate, activation(unary(.negate, x), .of(Int(XFER_ACTIVATION_SOFTPLUS))))
  }

  /// `x` with `axis` in the middle of [outer,n,inner].
  private func folded(_ x: ValueID, _ axis: Int) throws -> ValueID {
    let s = shape(x)
    let place = axis < 0 ? axis + s.count : axis
    guard s.indices.contains(place) else { throw XferError.invalid("\(label): axis \(axis) does not exist in shape \(s)") }
    return try reshape(x, to: [s[..<place].reduce(1, *), s[place], s[(place + 1)...].reduce(1, *)])
  }

  /// x − log Σ exp(x). A whole number beside the maximum is taken off first: it keeps exp in range, and `floor` passes no gradient on.
  func logSoftmax(_ x: ValueID, axis: Int) throws -> ValueID {
    let wide = try folded(x, axis)
    let s = shape(wide)
    let shift = unary(.floor, try reduce(.max, wide))
    let z = try subtract(wide, reshape(shift, to: [s[0], 1, s[2]]))
    let total = unary(.log, try reduce(.sum, unary(.exp, z)))
    return try reshape(subtract(z, reshape(total, to: [s[0], 1, s[2]])), to: shape(x))
  }

  /// Softmax over several dimensions together.
  func softmax(_ x: ValueID, axes: [Int]) throws -> ValueID {
    let s = shape(x)
    let chosen = axes.map { $0 < 0 ? $0 + s.count : $0 }
    guard !chosen.isEmpty, chosen.allSatisfy(s.indices.contains), Set(chosen).count == chosen.count else {
      throw XferError.invalid("\(label): axes \(axes) do not all exist, once each, in shape \(s)")
    }
    if chosen.count == 1 { return try softmax(x, axis: chosen[0]) }
    let order = s.indices.filter { !chosen.contains($0) } + chosen.sorted()
    let moved = try transpose(x, order)
    let rows = try reshape(moved, to: [order.dropLast(chosen.count).map { s[$0] }.reduce(1, *), chosen.map { s[$0] }.reduce(1, *)])
    let back = order.indices.map { to in order.firstIndex(of: to) ?? to }
    return try transpose(reshape(softmax(rows), to: shape(moved)), back)
  }

  /// 0 up to −1, (x + 1)²/4 up to 1, then x.
  func sparsePlus(_ x: ValueID) throws -> ValueID {
    let middle = try multiply(unary(.square, add(x, 1)), 0.25)
    let upper = try select(binary(.greater, scalar(1), x), middle, x)
    return try select(binary(.greaterEqual, scalar(-1), x), scalar(0), upper)
  }

  /// 0 up to −1, (x + 1)/2 up to 1, then 1.
  func sparseSigmoid(_ x: ValueID) throws -> ValueID {
    let upper = try select(binary(.greaterEqual, x, scalar(1)), scalar(1), multiply(add(x, 1), 0.5))
    return try select(binary(.greaterEqual, scalar(-1), x), scalar(0), upper)
  }

  /// (x + √(x² + b))/2 (Barron 2021).
  func squareplus(_ x: ValueID, _ b: Double) throws -> ValueID {
    try multiply(add(x, unary(.sqrt, add(unary(.square, x), b))), 0.5)
  }

  /// The nearest point of the simplex (Martins & Astudillo 2016).
  ///
  /// z belongs to the support when 1 + k·z > Σ, where k counts the elements at or above z and Σ is their sum. Comparing all pairs gives both without
  /// sorting, at the price of n² numbers a row.
  func sparsemax(_ x: ValueID, axis: Int) throws -> ValueID {
    let z = try folded(x, axis)
    let s = shape(z)
    guard s[1] <= 4096 else { throw XferError.unsupported("\(label): sparsemax over \(s[1]) elements; at most 4096 are supported") }
    let (one, other) = (try reshape(z, to: [s[0], s[1], 1, s[2]]), try reshape(z, to: [s[0], 1, s[1], s[2]]))
    let above = try binary(.greaterEqual, other, one)
    let count = try reduce(.sum, above, axes: [2])
    let sum = try reduce(.sum, multiply(above, other), axes: [2])
    let support = try binary(.greater, add(multiply(count, z), 1), sum)
    let size = try reduce(.sum, support)
    let tau = try divide(add(reduce(.sum, multiply(support, z)), -1), size)
    let y = try binary(.maximum, subtract(z, reshape(tau, to: [s[0], 1, s[2]])), scalar(0))
    return try reshape(y, to: shape(x))
  }
}
