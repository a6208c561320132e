public import XferCore
public import XferGraph

/// Gradient descent, with Keras' momentum and Nesterov forms: `v = momentum·v − rate·g; w += v`, with Nesterov `w += momentum·v − rate·g`.
public final class SGD: Optimizer {
  public override class var className: String { "SGD" }
  let momentum: Double
  let nesterov: Bool

  public init(
    learningRate: Double = 0.01, momentum: Double = 0, nesterov: Bool = false, options: OptimizerOptions = OptimizerOptions(),
    name: String? = nil
  ) throws {
    guard (0...1).contains(momentum) else { throw XferError.invalid("SGD: 'momentum' is to be from 0 to 1, \(momentum) was given") }
    (self.momentum, self.nesterov) = (momentum, nesterov)
    try super.init(learningRate: learningRate, options: options, name: name)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      learningRate: config.learningRate(0.01), momentum: config.double("momentum", 0), nesterov: config.bool("nesterov", false),
      options: OptimizerOptions(&config), name: config.optimizerName())
  }

  public override var slotNames: [String] { momentum > 0 ? ["momentum"] : [] }
  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor], numbers: [Tensor]) {
    graph.sgd(variable, gradient: gradient, rate: numbers[0], momentum: Float(momentum), nesterov: nesterov, velocity: slots.first)
  }
  public override var ownConfig: [String: JSONValue] { ["momentum": .double(momentum), "nesterov": .bool(nesterov)] }
}
