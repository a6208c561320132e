public import XferCore
public import XferGraph

/// Follow the regularized leader (McMahan et al. 2013), with the shrinkage of its L2 form.
public final class Ftrl: Optimizer {
  public override class var className: String { "Ftrl" }

  public struct Strengths: Sendable, Equatable {
    public var learningRatePower = -0.5
    public var initialAccumulatorValue = 0.1
    public var l1 = 0.0
    public var l2 = 0.0
    public var l2Shrinkage = 0.0
    public var beta = 0.0
    public init() {}
  }
  let strengths: Strengths

  public init(
    learningRate: Double = 1e-3, _ strengths: Strengths = Strengths(), options: OptimizerOptions = OptimizerOptions(), name: String? = nil
  ) throws {
    for (key, value) in [
      ("initial_accumulator_value", strengths.initialAccumulatorValue), ("l1_regularization_strength", strengths.l1),
      ("l2_regularization_strength", strengths.l2), ("l2_shrinkage_regularization_strength", strengths.l2Shrinkage),
    ] where !(value >= 0) { throw XferError.invalid("Ftrl: '\(key)' is to be 0 or above, \(value) was given") }
    guard strengths.learningRatePower <= 0 else {
      throw XferError.invalid("Ftrl: 'learning_rate_power' is to be 0 or below, \(strengths.learningRatePower) was given")
    }
    self.strengths = strengths
    try super.init(learningRate: learningRate, options: options, name: name)
  }

  convenience init(config: inout Configuration) throws {
    var strengths = Strengths()
    strengths.learningRatePower = try config.double("learning_rate_power", -0.5)
    strengths.initialAccumulatorValue = try config.double("initial_accumulator_value", 0.1)
    strengths.l1 = try config.double("l1_regularization_strength", 0)
    strengths.l2 = try config.double("l2_regularization_strength", 0)
    strengths.l2Shrinkage = try config.double("l2_shrinkage_regularization_strength", 0)
    strengths.beta = try config.double("beta", 0)
    try self.init(learningRate: config.learningRate(), strengths, options: OptimizerOptions(&config), name: config.optimizerName())
  }

  public override var slotNames: [String] { ["accumulator", "linear"] }
  public override func initialValue(ofSlot name: String) -> Double { name == "accumulator" ? strengths.initialAccumulatorValue : 0 }
  /// The rate, and 2·(l2 + β/(2·rate)).
  public override func numbers(rate: Double, step t: Double) -> [Double] { [rate, 2 * (strengths.l2 + strengths.beta / (2 * rate))] }

  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor], numbers: [Tensor]) throws {
    let (weight, old, rate) = (graph.variable(variable), graph.state(slots[0]), graph.state(numbers[0]))
    let power = try graph.scalar(-strengths.learningRatePower)
    let new = try graph.add(old, graph.unary(.square, gradient))
    let (newPower, oldPower) = (try graph.binary(.power, new, power), try graph.binary(.power, old, power))
    let shrunk = strengths.l2Shrinkage == 0 ? gradient : try graph.add(gradient, graph.multiply(weight, 2 * strengths.l2Shrinkage))
    let pull = try graph.multiply(graph.divide(graph.subtract(newPower, oldPower), rate), weight)
    let linear = try graph.add(graph.state(slots[1]), graph.subtract(shrunk, pull))
    let quadratic = try graph.add(graph.divide(newPower, rate), graph.state(numbers[1]))
    let moved = try graph.divide(graph.subtract(graph.clip(linear, -strengths.l1, strengths.l1), linear), quadratic)
    graph.assign(moved, to: variable.tensor, variable)
    graph.assign(linear, to: slots[1])
    graph.assign(new, to: slots[0])
  }

  public override var ownConfig: [String: JSONValue] {
    [
      "learning_rate_power": .double(strengths.learningRatePower), "initial_accumulator_value": .double(strengths.initialAccumulatorValue),
      "l1_regularization_strength": .double(strengths.l1), "l2_regularization_strength": .double(strengths.l2),
      "l2_shrinkage_regularization_strength": .double(strengths.l2Shrinkage), "beta": .double(strengths.beta),
    ]
  }
}
