public import XferCore
public import XferGraph

/// RMSprop (Hinton 2012): the gradient divided by the root of its running mean square; `centered` uses the running variance.
public final class RMSprop: Optimizer {
  public override class var className: String { "RMSprop" }
  let rho: Double
  let momentum: Double
  let epsilon: Double
  let centered: Bool

  public init(
    learningRate: Double = 1e-3, rho: Double = 0.9, momentum: Double = 0, epsilon: Double = 1e-7, centered: Bool = false,
    options: OptimizerOptions = OptimizerOptions(), name: String? = nil
  ) throws {
    (self.rho, self.momentum, self.epsilon, self.centered) = (rho, momentum, epsilon, centered)
    try super.init(learningRate: learningRate, options: options, name: name)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      learningRate: config.learningRate(), rho: config.double("rho", 0.9), momentum: config.double("momentum", 0),
      epsilon: config.double("epsilon", 1e-7), centered: config.bool("centered", false), options: OptimizerOptions(&config),
      name: config.optimizerName())
  }

  public override var slotNames: [String] { ["velocity"] + (momentum > 0 ? ["momentum"] : []) + (centered ? ["average_gradient"] : []) }
  public override var slotGroups: [[String]] { slotNames.map { [$0] } }

  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor], numbers: [Tensor]) throws {
    let square = try graph.average(slots[0], with: graph.unary(.square, gradient), keeping: rho)
    var spread = square
    if centered, let slot = slots.last {
      spread = try graph.subtract(square, graph.unary(.square, graph.average(slot, with: gradient, keeping: rho)))
    }
    var step = try graph.divide(graph.multiply(gradient, graph.state(numbers[0])), graph.unary(.sqrt, graph.add(spread, epsilon)))
    if momentum > 0 {
      step = try graph.add(graph.multiply(graph.state(slots[1]), momentum), step)
      graph.assign(step, to: slots[1])
    }
    try graph.move(variable, by: step)
  }

  public override var ownConfig: [String: JSONValue] {
    ["rho": .double(rho), "momentum": .double(momentum), "epsilon": .double(epsilon), "centered": .bool(centered)]
  }
}
