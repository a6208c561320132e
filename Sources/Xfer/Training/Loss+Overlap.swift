public import XferCore
import XferGraph

extension Configuration {
  /// Dimensions given as a number, several numbers, or null for all.
  fileprivate mutating func axes() throws -> [Int]? {
    guard let value = value("axis") else { return nil }
    let list = value.intValue.map { [$0] } ?? value.arrayValue?.compactMap(\.intValue)
    guard let list, list.count == value.arrayValue?.count ?? 1 else { throw wrong("axis", "a whole number or several", value) }
    return list
  }
}

extension Graph {
  fileprivate func sum(_ x: ValueID, _ axes: [Int]?) throws -> ValueID { try reduce(.sum, x, axes: axes ?? Array(shape(x).indices)) }
}

/// 1 − 2·Σtp/(Σt + Σp + 1e-7) over `axis`, null for all dimensions (Milletari et al. 2016).
public final class Dice: FunctionLoss {
  public override class var className: String { "Dice" }
  let axes: [Int]?
  public init(axes: [Int]? = nil, reduction: Reduction = .sumOverBatchSize) {
    self.axes = axes
    super.init(name: "dice", reduction: reduction)
  }
  init(config: inout Configuration) throws {
    axes = try config.axes()
    try super.init(&config, name: "dice")
  }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let both = try graph.multiply(graph.sum(graph.multiply(t, p), axes), 2)
    let sizes = try graph.add(graph.add(graph.sum(t, axes), graph.sum(p, axes)), kerasEpsilon)
    return try graph.reshape(graph.subtract(1, minus: graph.divide(both, sizes)), to: graph.shape(graph.sum(p, axes)))
  }
  public override var ownConfig: [String: JSONValue] { ["axis": axes.map { .array($0.map { .int($0) }) } ?? .null] }
}

/// 1 − tp/(tp + alpha·fp + beta·fn + 1e-7) over `axis`, null for all dimensions (Salehi et al. 2017), with Keras' naming of fp and fn.
public final class Tversky: FunctionLoss {
  public override class var className: String { "Tversky" }
  let alpha: Double
  let beta: Double
  let axes: [Int]?
  public init(alpha: Double = 0.5, beta: Double = 0.5, axes: [Int]? = nil, reduction: Reduction = .sumOverBatchSize) {
    (self.alpha, self.beta, self.axes) = (alpha, beta, axes)
    super.init(name: "tversky", reduction: reduction)
  }
  init(config: inout Configuration) throws {
    alpha = try config.double("alpha", 0.5)
    beta = try config.double("beta", 0.5)
    axes = try config.axes()
    try super.init(&config, name: "tversky")
  }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let both = try graph.sum(graph.multiply(t, p), axes)
    let first = try graph.multiply(graph.sum(graph.multiply(graph.subtract(1, minus: p), t), axes), alpha)
    let second = try graph.multiply(graph.sum(graph.multiply(p, graph.subtract(1, minus: t)), axes), beta)
    let overlap = try graph.divide(both, graph.add(graph.add(graph.add(both, first), second), kerasEpsilon))
    return try graph.reshape(graph.subtract(1, minus: overlap), to: graph.shape(both))
  }
  public override var ownConfig: [String: JSONValue] {
    ["alpha": .double(alpha), "beta": .double(beta), "axis": axes.map { .array($0.map { .int($0) }) } ?? .null]
  }
}
