public import CXfer
public import XferCore

public enum BinaryKind: Int32, Sendable {
  case add = 0, subtract, multiply, divide, maximum, minimum, power
  /// 1 where true, else 0.
  case equal, greater, greaterEqual
}
public enum ReduceKind: Int32, Sendable { case sum = 0, mean, max }

extension Graph {
  public func activation(_ x: ValueID, _ activation: xfer_activation) -> ValueID {
    if activation.isLinear { return x }
    let attributes = xfer_activation_attributes(
      struct_size: sized(xfer_activation_attributes.self), activation: activation, saved_is_output: 0)
    return add(.activation, .activation(attributes), [x], shape(x))
  }

  /// Softmax over `axis` (negative counts from the end).
  public func softmax(_ x: ValueID, axis: Int = -1) throws -> ValueID {
    let full = shape(x)
    let axis = axis < 0 ? axis + full.count : axis
    guard full.indices.contains(axis) else { throw XferError.invalid("\(label): axis \(axis) does not exist in shape \(full)") }
    let folded = try reshape(x, to: [full[..<axis].reduce(1, *), full[axis], full[(axis + 1)...].reduce(1, *)])
    return try reshape(add(.softmax, .none, [folded], shape(folded)), to: full)
  }

  /// Elementwise with dimensions of 1 stretched; the lower rank is filled with leading ones.
  public func binary(_ kind: BinaryKind, _ a: ValueID, _ b: ValueID) throws -> ValueID {
    let rank = max(shape(a).count, shape(b).count)
    let (wide, other) = (try widened(a, rank), try widened(b, rank))
    let result = try zip(shape(wide), shape(other)).map { p, q in
      guard p == q || p == 1 || q == 1 else {
        throw XferError.shape("\(label): shapes \(self.shape(a)) and \(self.shape(b)) do not fit each other")
      }
      return p == 1 ? q : p
    }
    let attributes = xfer_binary_attributes(struct_size: sized(xfer_binary_attributes.self), kind: kind.rawValue)
    return add(.binary, .binary(attributes), [wide, other], result)
  }

  private func widened(_ value: ValueID, _ rank: Int) throws -> ValueID {
    let missing = rank - shape(value).count
    return missing == 0 ? value : try reshape(value, to: Array(repeating: 1, count: missing) + shape(value))
  }

  /// `x` [outer,n,inner] → [outer,inner].
  public func reduce(_ kind: ReduceKind, _ x: ValueID) throws -> ValueID {
    let s = shape(x)
    guard s.count == 3 else { throw XferError.shape("\(label): a shape [outer,n,inner] is wanted, \(s) was given") }
    let attributes = xfer_reduce_attributes(struct_size: sized(xfer_reduce_attributes.self), kind: kind.rawValue)
    return add(.reduce, .reduce(attributes), [x], [s[0], s[2]])
  }

  /// `x` [outer,inner] → [outer,count,inner], times `scale`.
  func broadcast(_ x: ValueID, count: Int, scale: Float) -> ValueID {
    let attributes = xfer_broadcast_attributes(struct_size: sized(xfer_broadcast_attributes.self), scale: scale)
    return add(.broadcast, .broadcast(attributes), [x], [shape(x)[0], count, shape(x)[1]])
  }

  /// `x` [...,C] · `scale` [C] (+ `shift` [C]).
  public func scaleShift(_ x: ValueID, scale: ValueID, shift: ValueID?) throws -> ValueID {
    guard let channels = shape(x).last, shape(scale) == [channels] else {
      throw XferError.shape("\(label): \(shape(scale)) values are given for the last dimension of \(shape(x))")
    }
    let attributes = xfer_activation_attributes(
      struct_size: sized(xfer_activation_attributes.self), activation: .linear, saved_is_output: 0)
    return add(.scaleShift, .activation(attributes), [x, scale] + (shift.map { [$0] } ?? []), shape(x))
  }

  /// The mean and biased variance [C] of `x` [...,C].
  public func moments(_ x: ValueID) throws -> (mean: ValueID, variance: ValueID) {
    guard let channels = shape(x).last else { throw XferError.shape("\(label): a scalar has no channels") }
    let results = add(.moments, .none, [x], outputs: [TensorDescription([channels]), TensorDescription([channels])])
    return (results[0], results[1])
  }

  /// Batch normalization of `x` [...,C] with the given statistics [C].
  public func normalize(_ x: ValueID, gamma: ValueID, beta: ValueID, mean: ValueID, variance: ValueID, epsilon: Float) throws -> ValueID {
    let description = TensorDescription(shape(gamma))
    let attributes = xfer_normalize_attributes(struct_size: sized(xfer_normalize_attributes.self), epsilon: epsilon)
    let parameters = add(.normalizeParameters, .normalize(attributes), [gamma, beta, mean, variance], outputs: [description, description])
    return try scaleShift(x, scale: parameters[0], shift: parameters[1])
  }

  /// Moves a statistic: `variable = variable·momentum + batch·(1 − momentum)`.
  public func movingAverage(_ variable: Variable, towards batch: ValueID, momentum: Float) {
    let attributes = xfer_lerp_attributes(struct_size: sized(xfer_lerp_attributes.self), t: momentum)
    update(.lerp, .lerp(attributes), [self.variable(variable), batch], targets: [(variable.tensor, variable)])
  }

  /// Dropout with the state `[seed, step]` (int64); the plan advances the step before each run.
  public func dropout(_ x: ValueID, rate: Float, state: Tensor) -> ValueID {
    if !randomStates.contains(where: { $0 === state }) { randomStates.append(state) }
    let attributes = xfer_dropout_attributes(struct_size: sized(xfer_dropout_attributes.self), rate: rate)
    return add(.dropout, .dropout(attributes), [x, self.state(state)], shape(x))
  }

  public func concat(_ inputs: [ValueID], axis: Int) throws -> ValueID {
    guard let first = inputs.first else { throw XferError.invalid("\(label): nothing to concatenate") }
    var result = shape(first)
    let axis = axis < 0 ? axis + result.count : axis
    guard result.indices.contains(axis) else { throw XferError.invalid("\(label): axis \(axis) does not exist in shape \(result)") }
    result[axis] = 0
    for input in inputs {
      var s = shape(input)
      guard s.count == result.count else { throw XferError.shape("\(label): ranks differ: \(inputs.map { shape($0) })") }
      result[axis] += s[axis]
      s[axis] = result[axis]
      guard s == result else { throw XferError.shape("\(label): shapes may differ in dimension \(axis) only: \(inputs.map { shape($0) })") }
    }
    let attributes = xfer_axis_attributes(struct_size: sized(xfer_axis_attributes.self), axis: Int32(axis))
    return add(.concat, .axis(attributes), inputs, result)
  }

  /// The box of `shape` that starts at `begin`.
  func slice(_ x: ValueID, begin: [Int], shape: [Int]) -> ValueID { add(.slice, .box(box(begin)), [x], shape) }

  /// `x` inside a tensor of zeros (`value`), `before` and `after` elements more on each side.
  public func pad(_ x: ValueID, before: [Int], after: [Int], value: Float = 0) -> ValueID {
    let result = zip(shape(x), zip(before, after)).map { $0 + $1.0 + $1.1 }
    return add(.pad, .box(box(before, value)), [x], result)
  }

  private func box(_ begin: [Int], _ value: Float = 0) -> xfer_box_attributes {
    var attributes = xfer_box_attributes()
    attributes.struct_size = sized(xfer_box_attributes.self)
    attributes.value = value
    withUnsafeMutablePointer(to: &attributes.begin) {
      $0.withMemoryRebound(to: Int64.self, capacity: 8) { for (i, b) in begin.enumerated() { $0[i] = Int64(b) } }
    }
    return attributes
  }

  /// `y[..., d] = x[..., index[d]]`.
  public func permuteChannels(_ x: ValueID, index: [Int]) throws -> ValueID {
    let channels = shape(x).last ?? 0
    guard index.allSatisfy((0..<channels).contains) else {
      throw XferError.invalid("\(label): channel order \(index) is not within the input's \(channels) channels")
    }
    let order = constant(try Tensor(labels: index.map(Int32.init)))
    return add(.permuteChannels, .none, [x, order], shape(x).dropLast() + [index.count])
  }

  public func cast(_ x: ValueID, to dtype: DType) -> ValueID {
    self.dtype(x) == dtype ? x : add(.cast, .none, [x], outputs: [TensorDescription(shape(x), dtype)])[0]
  }

  public func resizeBilinear(_ x: ValueID, height: Int, width: Int) -> ValueID {
    add(.resizeBilinear, .none, [x], [shape(x)[0], height, width, shape(x)[3]])
  }
}
