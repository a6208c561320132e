public import CXfer
public import XferCore

public enum UnaryKind: Int32, Sendable {
  case identity = 0, negate, abs, sign, square, sqrt, rsqrt, reciprocal, exp, expm1, log, log1p, sin, cos, tanh, erf, floor, round
}

public enum Interpolation: Int32, Sendable { case nearest = 0, bilinear }
public enum FillMode: Int32, Sendable { case constant = 0, reflect, wrap, nearest }

/// Functions of elements, and what moves elements about.
extension Graph {
  public func unary(_ kind: UnaryKind, _ x: ValueID) -> ValueID {
    add(.unary, .unary(.init(struct_size: sized(xfer_unary_attributes.self), kind: kind.rawValue)), [x], shape(x))
  }

  /// A number as a tensor of ones' rank, for ``binary(_:_:_:)``.
  public func scalar(_ value: Double) throws -> ValueID { constant(try Tensor([Float(value)])) }

  public func add(_ a: ValueID, _ b: ValueID) throws -> ValueID { try binary(.add, a, b) }
  public func subtract(_ a: ValueID, _ b: ValueID) throws -> ValueID { try binary(.subtract, a, b) }
  public func multiply(_ a: ValueID, _ b: ValueID) throws -> ValueID { try binary(.multiply, a, b) }
  public func divide(_ a: ValueID, _ b: ValueID) throws -> ValueID { try binary(.divide, a, b) }
  public func add(_ a: ValueID, _ b: Double) throws -> ValueID { b == 0 ? a : try binary(.add, a, scalar(b)) }
  public func multiply(_ a: ValueID, _ b: Double) throws -> ValueID { b == 1 ? a : try binary(.multiply, a, scalar(b)) }
  /// `b − a`.
  public func subtract(_ b: Double, minus a: ValueID) throws -> ValueID { try binary(.subtract, scalar(b), a) }
  public func clip(_ x: ValueID, _ low: Double, _ high: Double) throws -> ValueID {
    try binary(.minimum, binary(.maximum, x, scalar(low)), scalar(high))
  }

  /// `condition ≠ 0 ? a : b`; the three broadcast to one shape.
  public func select(_ condition: ValueID, _ a: ValueID, _ b: ValueID) throws -> ValueID {
    let shapes = [condition, a, b].map { shape($0) }
    let rank = shapes.map(\.count).max() ?? 0
    var result = Array(repeating: 1, count: rank)
    for s in shapes { for (axis, size) in s.enumerated() where size != 1 { result[axis + rank - s.count] = size } }
    return add(.select, .none, try [condition, a, b].map { try broadcast($0, to: result) }, result)
  }

  /// Dimensions of 1 stretched to `target`; missing leading ones are filled in.
  public func broadcast(_ x: ValueID, to target: [Int]) throws -> ValueID {
    let s = shape(x)
    guard s.count <= target.count else { throw XferError.shape("\(label): \(s) cannot be broadcast to \(target)") }
    var value = try reshape(x, to: Array(repeating: 1, count: target.count - s.count) + s)
    for axis in target.indices where shape(value)[axis] != target[axis] {
      var full = shape(value)
      guard full[axis] == 1 else { throw XferError.shape("\(label): \(s) cannot be broadcast to \(target)") }
      let flat = try reshape(value, to: [full[..<axis].reduce(1, *), full[(axis + 1)...].reduce(1, *)])
      full[axis] = target[axis]
      value = try reshape(broadcast(flat, count: target[axis], scale: 1), to: full)
    }
    return value
  }

  /// `y`'s dimension i is `x`'s dimension `order[i]`.
  public func transpose(_ x: ValueID, _ order: [Int]) throws -> ValueID {
    let s = shape(x)
    guard order.sorted() == Array(s.indices) else { throw XferError.invalid("\(label): \(order) is no order of the dimensions of \(s)") }
    let result = order.map { s[$0] }
    // Dimensions of 1 move nothing: where all others keep their order, the memory is the same.
    let moving = order.filter { s[$0] != 1 }
    if moving == moving.sorted() { return try reshape(x, to: result) }
    var attributes = xfer_transpose_attributes()
    attributes.struct_size = sized(xfer_transpose_attributes.self)
    withUnsafeMutableBytes(of: &attributes.order) { raw in
      for (axis, from) in order.enumerated() { raw.storeBytes(of: Int32(from), toByteOffset: axis * 4, as: Int32.self) }
    }
    return add(.transpose, .transpose(attributes), [x], outputs: [TensorDescription(result, dtype(x))])[0]
  }

  /// Rows of `x` [outer,n,inner] by `index` (int32 [m]) → [outer,m,inner].
  public func gather(_ x: ValueID, index: ValueID) throws -> ValueID {
    let s = shape(x)
    guard s.count == 3, shape(index).count == 1 else {
      throw XferError.shape("\(label): a table [outer,n,inner] and an index [m] are wanted")
    }
    return add(.gather, .none, [x, index], [s[0], shape(index)[0], s[2]])
  }

  /// Elements of dimension `axis` by number.
  public func take(_ x: ValueID, axis: Int, _ index: [Int]) throws -> ValueID {
    var s = shape(x)
    let folded = try reshape(x, to: [s[..<axis].reduce(1, *), s[axis], s[(axis + 1)...].reduce(1, *)])
    s[axis] = index.count
    return try reshape(gather(folded, index: constant(Tensor(labels: index.map(Int32.init)))), to: s)
  }

  /// Reduces over some dimensions; negative ones count from the end.
  public func reduce(_ kind: ReduceKind, _ x: ValueID, axes: [Int], keepDims: Bool = false) throws -> ValueID {
    let s = shape(x)
    let chosen = Set(axes.map { $0 < 0 ? $0 + s.count : $0 })
    guard chosen.allSatisfy(s.indices.contains) else { throw XferError.invalid("\(label): axes \(axes) do not all exist in shape \(s)") }
    let kept = s.indices.filter { !chosen.contains($0) }
    let result = keepDims ? s.indices.map { chosen.contains($0) ? 1 : s[$0] } : kept.map { s[$0] }
    guard !chosen.isEmpty else { return x }
    // Neighbouring dimensions need no moving.
    let (first, last) = (chosen.min() ?? 0, chosen.max() ?? 0)
    var (value, outer, inner) = (x, s[..<first].reduce(1, *), s[(last + 1)...].reduce(1, *))
    if last - first + 1 != chosen.count {
      value = try transpose(x, kept + chosen.sorted())
      (outer, inner) = (kept.map { s[$0] }.reduce(1, *), 1)
    }
    let count = chosen.map { s[$0] }.reduce(1, *)
    return try reshape(reduce(kind, reshape(value, to: [outer, count, inner])), to: result)
  }

  /// A part along one dimension.
  public func slice(_ x: ValueID, axis: Int, from: Int, count: Int) -> ValueID {
    var (begin, size) = (shape(x).map { _ in 0 }, shape(x))
    (begin[axis], size[axis]) = (from, count)
    return slice(x, begin: begin, shape: size)
  }

  /// `a` [B,M,K] · `b` [B,K,N] → [B,M,N], each transposed where asked.
  public func batchMatmul(_ a: ValueID, _ b: ValueID, transposeA: Bool = false, transposeB: Bool = false) throws -> ValueID {
    let (sa, sb) = (shape(a), shape(b))
    guard sa.count == 3, sb.count == 3, sa[0] == sb[0] else {
      throw XferError.shape("\(label): [batch,m,k] and [batch,k,n] are wanted, shapes \(sa) and \(sb) were given")
    }
    let (m, k) = transposeA ? (sa[2], sa[1]) : (sa[1], sa[2])
    let (k2, n) = transposeB ? (sb[2], sb[1]) : (sb[1], sb[2])
    guard k == k2 else { throw XferError.shape("\(label): inner sizes differ, \(k) and \(k2), for shapes \(sa) and \(sb)") }
    let attributes = xfer_matmul_attributes(
      struct_size: sized(xfer_matmul_attributes.self), transpose_a: transposeA ? 1 : 0, transpose_b: transposeB ? 1 : 0,
      has_bias: 0, has_residual: 0, activation: .linear)
    return add(.matmul, .matmul(attributes), [a, b], [sa[0], m, n])
  }

  /// Fresh random numbers each run: uniform in [0,1) or standard normal. The plan advances `state` [seed, step] (int64).
  public func random(_ shape: [Int], normal: Bool, state: Tensor) -> ValueID {
    if !randomStates.contains(where: { $0 === state }) { randomStates.append(state) }
    let kind = Int32(normal ? XFER_RANDOM_NORMAL : XFER_RANDOM_UNIFORM)
    return add(.random, .random(.init(struct_size: sized(xfer_random_attributes.self), kind: kind)), [self.state(state)], shape)
  }

  /// `x` [N,H,W,C] through the projective map of each image, `matrices` [N,8] → [N,height,width,C].
  public func imageTransform(
    _ x: ValueID, matrices: ValueID, height: Int, width: Int, interpolation: Interpolation, fill: FillMode, value: Float
  ) throws -> ValueID {
    let s = shape(x)
    guard s.count == 4, shape(matrices) == [s[0], 8] else {
      throw XferError.shape("\(label): images [N,H,W,C] and matrices [N,8] are wanted, shapes \(s) and \(shape(matrices)) were given")
    }
    let attributes = xfer_image_transform_attributes(
      struct_size: sized(xfer_image_transform_attributes.self), interpolation: interpolation.rawValue, fill_mode: fill.rawValue,
      fill_value: value)
    return add(.imageTransform, .imageTransform(attributes), [x, matrices], [s[0], height, width, s[3]])
  }

  /// Copies a value over a weight or a state of the optimizer.
  public func assign(_ value: ValueID, to target: Tensor, _ variable: Variable? = nil) {
    update(
      .unary, .unary(.init(struct_size: sized(xfer_unary_attributes.self), kind: UnaryKind.identity.rawValue)), [value],
      targets: [(target, variable)])
  }

  /// The transposed convolution: the gradient of a convolution with respect to its input, as an op of its own.
  ///
  /// `y` [N,H,W,O] with `kernel` [kh,kw,C,O] → [N,height,width,C], where a convolution of the result with these numbers has the shape of `y`.
  public func conv2DTranspose(
    _ y: ValueID, _ kernel: ValueID, height: WindowPadding, width: WindowPadding, strides: (Int, Int), dilation: (Int, Int),
    output: (Int, Int)
  ) -> ValueID {
    let (s, k) = (shape(y), shape(kernel))
    let attributes = xfer_conv_attributes(
      struct_size: sized(xfer_conv_attributes.self), stride_h: Int32(strides.0), stride_w: Int32(strides.1),
      dilation_h: Int32(dilation.0), dilation_w: Int32(dilation.1),
      pad_top: Int32(height.before), pad_bottom: Int32(height.after), pad_left: Int32(width.before), pad_right: Int32(width.after),
      groups: 1, has_bias: 0, has_residual: 0, activation: .linear)
    return add(.conv2DBackwardInput, .conv(attributes), [y, kernel], [s[0], output.0, output.1, k[2]])
  }
}
