public import XferCore
public import XferGraph

/// The common part of the layers that combine their inputs element by element.
///
/// Inputs of lower rank get dimensions of 1 behind the batch; then dimensions of 1 stretch, as in Keras.
public class Merge: Layer {
  public override var mergesInputs: Bool { true }

  public override init(name: String? = nil) { super.init(name: name) }
  init(config: inout Configuration) throws { try super.init(reading: &config) }

  /// How many inputs the layer takes.
  var counts: ClosedRange<Int> { 1...Int.max }

  public override func build(_ inputs: [OpenShape]) throws {
    let batches = Set(inputs.compactMap { $0.first ?? nil })
    guard batches.count < 2 else { throw XferError.shape("\(name) wants inputs of one batch size, \(described(inputs)) were given") }
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    guard counts ~= inputs.count else {
      let wanted = counts.lowerBound == counts.upperBound ? "\(counts.lowerBound)" : "at least \(counts.lowerBound)"
      throw XferError.invalid("\(name) wants \(wanted) inputs, \(inputs.count) \(inputs.count == 1 ? "was" : "were") given")
    }
    let rank = inputs.map { graph.shape($0).count }.max() ?? 0
    return try merge(
      inputs.map { input in
        let s = graph.shape(input)
        return try graph.reshape(input, to: s.prefix(1) + Array(repeating: 1, count: rank - s.count) + s.dropFirst())
      }, graph)
  }

  func merge(_ inputs: [ValueID], _ graph: Graph) throws -> ValueID {
    throw XferError.unsupported("\(Self.className) cannot be called")
  }

  /// The inputs combined from the left.
  func chain(_ kind: BinaryKind, _ inputs: [ValueID], _ graph: Graph) throws -> ValueID {
    try inputs.dropFirst().reduce(inputs[0]) { try graph.binary(kind, $0, $1) }
  }
}

/// The sum of its inputs.
public final class Add: Merge {
  public override class var className: String { "Add" }
  override func merge(_ inputs: [ValueID], _ graph: Graph) throws -> ValueID { try chain(.add, inputs, graph) }
}

/// The first of two inputs less the second.
public final class Subtract: Merge {
  public override class var className: String { "Subtract" }
  override var counts: ClosedRange<Int> { 2...2 }
  override func merge(_ inputs: [ValueID], _ graph: Graph) throws -> ValueID { try graph.subtract(inputs[0], inputs[1]) }
}

/// The product of its inputs.
public final class Multiply: Merge {
  public override class var className: String { "Multiply" }
  override func merge(_ inputs: [ValueID], _ graph: Graph) throws -> ValueID { try chain(.multiply, inputs, graph) }
}

/// The mean of its inputs.
public final class Average: Merge {
  public override class var className: String { "Average" }
  override func merge(_ inputs: [ValueID], _ graph: Graph) throws -> ValueID {
    try graph.divide(chain(.add, inputs, graph), graph.scalar(Double(inputs.count)))
  }
}

/// The largest of its inputs, element by element.
public final class Maximum: Merge {
  public override class var className: String { "Maximum" }
  override func merge(_ inputs: [ValueID], _ graph: Graph) throws -> ValueID { try chain(.maximum, inputs, graph) }
}

/// The smallest of its inputs, element by element.
public final class Minimum: Merge {
  public override class var className: String { "Minimum" }
  override func merge(_ inputs: [ValueID], _ graph: Graph) throws -> ValueID { try chain(.minimum, inputs, graph) }
}

/// Its inputs one after another along `axis`.
public final class Concatenate: Layer {
  public override class var className: String { "Concatenate" }
  public override var mergesInputs: Bool { true }
  let axis: Int

  public init(axis: Int = -1, name: String? = nil) {
    self.axis = axis
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    try config.refuseNull("axis")
    axis = try config.int("axis", -1)
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard inputs.count >= 1 else { throw XferError.invalid("\(name) wants at least one input") }
    return try context.graph.concat(inputs, axis: axis)
  }

  public override var ownConfig: [String: JSONValue] { ["axis": .int(axis)] }
}

/// Products of two inputs summed along one axis of each: [B, …, k, …] · [B, …, k, …] → [B, the rest of the first, the rest of the second].
///
/// Of two matrices it gives [B,1]. `normalize` scales both to length 1 along their axes first, which makes cosines.
public final class Dot: Layer {
  public override class var className: String { "Dot" }
  public override var mergesInputs: Bool { true }
  let axes: [Int]
  let normalize: Bool
  private let isList: Bool

  public init(axes: (Int, Int), normalize: Bool = false, name: String? = nil) {
    (self.axes, self.normalize, isList) = ([axes.0, axes.1], normalize, true)
    super.init(name: name)
  }

  public init(axes: Int, normalize: Bool = false, name: String? = nil) {
    (self.axes, self.normalize, isList) = ([axes, axes], normalize, false)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    guard let given = config.value("axes"), let list = try config.integers("axes") else {
      throw XferError.invalid("Dot: 'axes' is required: a whole number or two of them")
    }
    isList = given.arrayValue != nil
    axes = isList ? list : list + list
    guard axes.count == 2 else { throw config.wrong("axes", "a whole number or two of them", given) }
    normalize = try config.bool("normalize", false)
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let shapes = inputs.map { graph.shape($0) }
    guard inputs.count == 2, shapes.allSatisfy({ $0.count >= 2 }), shapes[0][0] == shapes[1][0] else {
      throw XferError.shape("\(name) wants two inputs [batch, …] of one batch size, shapes \(shapes) were given")
    }
    let places = zip(axes, shapes).map { $0 < 0 ? $0 + $1.count : $0 }
    guard zip(places, shapes).allSatisfy({ $0 > 0 && $0 < $1.count }), shapes[0][places[0]] == shapes[1][places[1]] else {
      throw XferError.shape(
        "\(name): axes \(axes) are to name dimensions of one size, the batch excepted; shapes \(shapes[0]) and \(shapes[1]) were given")
    }
    // [B, rest, k] both, then a · bᵀ.
    let rows = try zip(inputs, places).map { input, place -> ValueID in
      let s = graph.shape(input)
      let value = normalize ? try unit(input, place, graph) : input
      let moved = try graph.transpose(value, s.indices.filter { $0 != place } + [place])
      return try graph.reshape(moved, to: [s[0], s.indices.filter { $0 != place && $0 != 0 }.map { s[$0] }.reduce(1, *), s[place]])
    }
    let product = try graph.batchMatmul(rows[0], rows[1], transposeB: true)
    let rest = zip(shapes, places).flatMap { s, place in s.indices.filter { $0 != place && $0 != 0 }.map { s[$0] } }
    return try graph.reshape(product, to: [shapes[0][0]] + (rest.isEmpty ? [1] : rest))
  }

  /// x / max(‖x‖, 1e-7) by way of the reciprocal root, as Keras computes it.
  private func unit(_ x: ValueID, _ axis: Int, _ graph: Graph) throws -> ValueID {
    let squares = try graph.reduce(.sum, graph.unary(.square, x), axes: [axis], keepDims: true)
    return try graph.multiply(x, graph.binary(.minimum, graph.unary(.rsqrt, squares), graph.scalar(1e7)))
  }

  public override var ownConfig: [String: JSONValue] {
    ["axes": isList ? .array(axes.map { .int($0) }) : .int(axes[0]), "normalize": .bool(normalize)]
  }
}
