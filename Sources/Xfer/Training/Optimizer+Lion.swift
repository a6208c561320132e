public import XferCore
public import XferGraph

/// Steps of one length along the sign of the momentum (Chen et al. 2023).
public final class Lion: Optimizer {
  public override class var className: String { "Lion" }
  let beta1: Double
  let beta2: Double

  public init(
    learningRate: Double = 1e-3, beta1: Double = 0.9, beta2: Double = 0.99, options: OptimizerOptions = OptimizerOptions(),
    name: String? = nil
  ) throws {
    guard beta1 > 0, beta1 <= 1 else { throw XferError.invalid("Lion: 'beta_1' is to be above 0 and at most 1, \(beta1) was given") }
    (self.beta1, self.beta2) = (beta1, beta2)
    try super.init(learningRate: learningRate, options: options, name: name)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      learningRate: config.learningRate(), beta1: config.double("beta_1", 0.9), beta2: config.double("beta_2", 0.99),
      options: OptimizerOptions(&config), name: config.optimizerName())
  }

  public override var slotNames: [String] { ["momentum"] }

  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor], numbers: [Tensor]) throws {
    let blend = try graph.add(graph.multiply(graph.state(slots[0]), beta1), graph.multiply(gradient, 1 - beta1))
    try graph.move(variable, by: graph.multiply(graph.unary(.sign, blend), graph.state(numbers[0])))
    _ = try graph.average(slots[0], with: gradient, keeping: beta2)
  }

  public override var ownConfig: [String: JSONValue] { ["beta_1": .double(beta1), "beta_2": .double(beta2)] }
}
