public import XferCore
public import XferGraph

/// Adagrad (Duchi, Hazan & Singer 2011): the gradient divided by the root of the sum of its squares.
public final class Adagrad: Optimizer {
  public override class var className: String { "Adagrad" }
  let initialAccumulatorValue: Double
  let epsilon: Double

  public init(
    learningRate: Double = 1e-3, initialAccumulatorValue: Double = 0.1, epsilon: Double = 1e-7,
    options: OptimizerOptions = OptimizerOptions(),
    name: String? = nil
  ) throws {
    (self.initialAccumulatorValue, self.epsilon) = (initialAccumulatorValue, epsilon)
    try super.init(learningRate: learningRate, options: options, name: name)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      learningRate: config.learningRate(), initialAccumulatorValue: config.double("initial_accumulator_value", 0.1),
      epsilon: config.double("epsilon", 1e-7), options: OptimizerOptions(&config), name: config.optimizerName())
  }

  public override var slotNames: [String] { ["accumulator"] }
  public override func initialValue(ofSlot name: String) -> Double { initialAccumulatorValue }

  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor], numbers: [Tensor]) throws {
    let sum = try graph.add(graph.state(slots[0]), graph.unary(.square, gradient))
    graph.assign(sum, to: slots[0])
    try graph.move(
      variable, by: graph.divide(graph.multiply(gradient, graph.state(numbers[0])), graph.unary(.sqrt, graph.add(sum, epsilon))))
  }

  public override var ownConfig: [String: JSONValue] {
    ["initial_accumulator_value": .double(initialAccumulatorValue), "epsilon": .double(epsilon)]
  }
}

/// Adadelta (Zeiler 2012): steps in the unit of the weight, from the running means of squared gradients and squared steps.
public final class Adadelta: Optimizer {
  public override class var className: String { "Adadelta" }
  let rho: Double
  let epsilon: Double

  public init(
    learningRate: Double = 1e-3, rho: Double = 0.95, epsilon: Double = 1e-7, options: OptimizerOptions = OptimizerOptions(),
    name: String? = nil
  ) throws {
    (self.rho, self.epsilon) = (rho, epsilon)
    try super.init(learningRate: learningRate, options: options, name: name)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      learningRate: config.learningRate(), rho: config.double("rho", 0.95), epsilon: config.double("epsilon", 1e-7),
      options: OptimizerOptions(&config), name: config.optimizerName())
  }

  public override var slotNames: [String] { ["accumulated_grad", "accumulated_delta_var"] }

  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor], numbers: [Tensor]) throws {
    func rms(_ square: ValueID) throws -> ValueID { try graph.unary(.sqrt, graph.add(square, epsilon)) }
    let squares = try graph.average(slots[0], with: graph.unary(.square, gradient), keeping: rho)
    let step = try graph.divide(graph.multiply(rms(graph.state(slots[1])), gradient), rms(squares))
    _ = try graph.average(slots[1], with: graph.unary(.square, step), keeping: rho)
    try graph.move(variable, by: graph.multiply(step, graph.state(numbers[0])))
  }

  public override var ownConfig: [String: JSONValue] { ["rho": .double(rho), "epsilon": .double(epsilon)] }
}
