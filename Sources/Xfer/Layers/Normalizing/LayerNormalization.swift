public import XferCore
public import XferGraph

/// Normalizes each sample over `axis`, with a scale and an offset for each place in it (Ba, Kiros & Hinton 2016).
///
/// `rmsScaling` is Keras' deprecated argument: no mean is taken off and no offset added.
public final class LayerNormalization: Layer {
  public override class var className: String { "LayerNormalization" }
  private var axes: Axes
  let epsilon: Double
  let affine: AffineOptions
  let rmsScaling: Bool
  private var gamma: Variable?
  private var beta: Variable?

  public init(
    axis: [Int] = [-1], epsilon: Double = 1e-3, center: Bool = true, scale: Bool = true, rmsScaling: Bool = false, name: String? = nil
  ) {
    axes = Axes(numbers: axis.sorted(), isList: true)
    (self.epsilon, self.rmsScaling) = (epsilon, rmsScaling)
    affine = AffineOptions(center: center, scale: scale)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    axes = try config.axes("axis", -1)
    epsilon = try config.double("epsilon", 1e-3)
    affine = try AffineOptions(&config)
    rmsScaling = try config.bool("rms_scaling", false)
    try super.init(reading: &config)
  }

  public override func build(_ inputs: [OpenShape]) throws {
    // Keras lists the dimensions in order once the layer is built.
    axes = Axes(numbers: axes.numbers.sorted(), isList: true)
    let shape = try inputs[0].sizes(axes.positions(in: inputs[0].count, name), name)
    if affine.scale || rmsScaling { gamma = try addWeight("gamma", shape, affine.gamma) }
    if affine.center, !rmsScaling { beta = try addWeight("beta", shape, affine.beta) }
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let (x, shape) = (inputs[0], graph.shape(inputs[0]))
    let positions = try axes.positions(in: shape.count, name)
    let wide = shape.indices.map { positions.contains($0) ? shape[$0] : 1 }
    let (mean, variance) = try graph.statistics(x, axes: positions)
    let inverse = graph.unary(.rsqrt, try graph.add(variance, epsilon))
    var y = try graph.multiply(rmsScaling ? x : graph.subtract(x, mean), inverse)
    if let gamma { y = try graph.multiply(y, graph.reshape(graph.variable(gamma), to: wide)) }
    if let beta { y = try graph.add(y, graph.reshape(graph.variable(beta), to: wide)) }
    return y
  }

  public override var ownConfig: [String: JSONValue] {
    affine.config.merging(["axis": axes.config, "epsilon": .double(epsilon), "rms_scaling": .bool(rmsScaling)]) { own, _ in own }
  }
}

/// Divides each sample by its root mean square over `axis`, times a weight `scale` (Zhang & Sennrich 2019).
public final class RMSNormalization: Layer {
  public override class var className: String { "RMSNormalization" }
  private var axes: Axes
  let epsilon: Double
  private var scale: Variable?

  public init(axis: [Int] = [-1], epsilon: Double = 1e-6, name: String? = nil) {
    axes = Axes(numbers: axis.sorted(), isList: true)
    self.epsilon = epsilon
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    axes = try config.axes("axis", -1)
    epsilon = try config.double("epsilon", 1e-6)
    try super.init(reading: &config)
  }

  public override func build(_ inputs: [OpenShape]) throws {
    axes = Axes(numbers: axes.numbers.sorted(), isList: true)
    scale = try addWeight("scale", inputs[0].sizes(axes.positions(in: inputs[0].count, name), name), .ones)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard let scale else { throw XferError.state("\(name) has no weights yet") }
    let graph = context.graph
    let (x, shape) = (inputs[0], graph.shape(inputs[0]))
    let positions = try axes.positions(in: shape.count, name)
    let square = try graph.reduce(.mean, graph.unary(.square, x), axes: positions, keepDims: true)
    let y = try graph.multiply(x, graph.unary(.rsqrt, graph.add(square, epsilon)))
    return try graph.multiply(y, graph.reshape(graph.variable(scale), to: shape.indices.map { positions.contains($0) ? shape[$0] : 1 }))
  }

  public override var ownConfig: [String: JSONValue] { ["axis": axes.config, "epsilon": .double(epsilon)] }
}

/// Divides by the Euclidean norm over `axis`. Where all is 0 it stays 0.
public final class UnitNormalization: Layer {
  public override class var className: String { "UnitNormalization" }
  let axes: Axes

  public init(axis: [Int] = [-1], name: String? = nil) {
    axes = Axes(numbers: axis, isList: true)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    axes = try config.axes("axis", -1)
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let positions = try axes.positions(in: graph.shape(inputs[0]).count, name)
    let square = try graph.reduce(.sum, graph.unary(.square, inputs[0]), axes: positions, keepDims: true)
    // Keras caps 1/‖x‖ at 1e12. Capping the square instead gives the same and a gradient at 0 that is a number.
    return try graph.multiply(inputs[0], graph.unary(.rsqrt, graph.binary(.maximum, square, graph.scalar(1e-24))))
  }

  public override var ownConfig: [String: JSONValue] { ["axis": axes.config] }
}
