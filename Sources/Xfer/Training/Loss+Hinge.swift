import XferCore
import XferGraph

extension Graph {
  /// Labels that are all 0 or 1 become −1 and 1; others stay.
  fileprivate func hingeLabels(_ t: ValueID) throws -> ValueID {
    let binary = try add(self.binary(.equal, t, scalar(0)), self.binary(.equal, t, scalar(1)))
    let others = try subtract(1, minus: binary)
    let count = shape(t).reduce(1, *)
    let any = try reshape(reduce(.max, reshape(others, to: [1, count, 1])), to: Array(repeating: 1, count: shape(t).count))
    return try select(any, t, add(multiply(t, 2), -1))
  }

  fileprivate func hinge(_ t: ValueID, _ p: ValueID) throws -> ValueID {
    try binary(.maximum, subtract(1, minus: multiply(hingeLabels(t), p)), scalar(0))
  }
}

/// mean(max(1 − target·prediction, 0)) with targets −1 and 1; targets of 0 and 1 are converted.
public final class Hinge: FunctionLoss {
  public override class var className: String { "Hinge" }
  public init(reduction: Reduction = .sumOverBatchSize) { super.init(name: "hinge", reduction: reduction) }
  init(config: inout Configuration) throws { try super.init(&config, name: "hinge") }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID { try graph.meanOfLast(graph.hinge(t, p)) }
}

/// mean(max(1 − target·prediction, 0)²) with targets −1 and 1; targets of 0 and 1 are converted.
public final class SquaredHinge: FunctionLoss {
  public override class var className: String { "SquaredHinge" }
  public init(reduction: Reduction = .sumOverBatchSize) { super.init(name: "squared_hinge", reduction: reduction) }
  init(config: inout Configuration) throws { try super.init(&config, name: "squared_hinge") }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    try graph.meanOfLast(graph.unary(.square, graph.hinge(t, p)))
  }
}

/// max(neg − pos + 1, 0) with pos = Σ target·prediction and neg = max((1 − target)·prediction).
public final class CategoricalHinge: FunctionLoss {
  public override class var className: String { "CategoricalHinge" }
  public init(reduction: Reduction = .sumOverBatchSize) { super.init(name: "categorical_hinge", reduction: reduction) }
  init(config: inout Configuration) throws { try super.init(&config, name: "categorical_hinge") }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let right = try graph.reduce(.sum, graph.multiply(t, p), axes: [-1])
    let wrong = try graph.reduce(.max, graph.multiply(graph.subtract(1, minus: t), p), axes: [-1])
    return try graph.binary(.maximum, graph.add(graph.subtract(wrong, right), 1), graph.scalar(0))
  }
}
