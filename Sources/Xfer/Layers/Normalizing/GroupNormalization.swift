public import XferCore
public import XferGraph

/// Normalizes each sample over groups of the channels at `axis` and all other dimensions (Wu & He 2018); `groups` −1 is one a channel.
public final class GroupNormalization: Layer {
  public override class var className: String { "GroupNormalization" }
  private var groups: Int
  let axis: Int
  let epsilon: Double
  let affine: AffineOptions
  private var gamma: Variable?
  private var beta: Variable?

  public init(groups: Int = 32, axis: Int = -1, epsilon: Double = 1e-3, center: Bool = true, scale: Bool = true, name: String? = nil) {
    (self.groups, self.axis, self.epsilon) = (groups, axis, epsilon)
    affine = AffineOptions(center: center, scale: scale)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    groups = try config.int("groups", 32)
    axis = try config.int("axis", -1)
    epsilon = try config.double("epsilon", 1e-3)
    affine = try AffineOptions(&config)
    guard groups == -1 || groups > 0 else {
      throw XferError.invalid("GroupNormalization: 'groups' is to be above 0, or -1 for one a channel, \(groups) was given")
    }
    try super.init(reading: &config)
  }

  private func position(_ rank: Int) throws -> Int {
    let position = try Axes(numbers: [axis], isList: false).positions(in: rank, name)[0]
    guard position > 0 else { throw XferError.invalid("\(name): axis \(axis) is the batch, a dimension of the samples is wanted") }
    return position
  }

  public override func build(_ inputs: [OpenShape]) throws {
    let channels = try inputs[0].sizes([position(inputs[0].count)], name)[0]
    if groups == -1 { groups = channels }
    guard groups > 0, channels % groups == 0 else {
      throw XferError.shape("\(name): \(channels) channels cannot be cut into \(groups) equal groups")
    }
    if affine.scale { gamma = try addWeight("gamma", [channels], affine.gamma) }
    if affine.center { beta = try addWeight("beta", [channels], affine.beta) }
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let shape = graph.shape(inputs[0])
    let at = try position(shape.count)
    guard shape[at] % groups == 0 else { throw XferError.shape("\(name): \(shape[at]) channels cannot be cut into \(groups) equal groups") }
    let grouped = Array(shape[..<at]) + [groups, shape[at] / groups] + shape[(at + 1)...]
    let x = try graph.reshape(inputs[0], to: grouped)
    let (mean, variance) = try graph.statistics(x, axes: grouped.indices.filter { $0 != 0 && $0 != at })
    var y = try graph.multiply(graph.subtract(x, mean), graph.unary(.rsqrt, graph.add(variance, epsilon)))
    y = try graph.reshape(y, to: shape)
    let wide = shape.indices.map { $0 == at ? shape[at] : 1 }
    if let gamma { y = try graph.multiply(y, graph.reshape(graph.variable(gamma), to: wide)) }
    if let beta { y = try graph.add(y, graph.reshape(graph.variable(beta), to: wide)) }
    return y
  }

  public override var ownConfig: [String: JSONValue] {
    affine.config.merging(["groups": .int(groups), "axis": .int(axis), "epsilon": .double(epsilon)]) { own, _ in own }
  }
}
