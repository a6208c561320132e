import Glibc
public import XferCore
public import XferGraph

/// Adam (Kingma & Ba 2015) with Keras' defaults and its ε outside the bias correction:
/// `w -= rate·√(1−β₂ᵗ)/(1−β₁ᵗ) · m/(√v+ε)`. With `amsgrad` (Reddi, Kale & Kumar 2018) v is the largest one so far.
public class Adam: Optimizer {
  public override class var className: String { "Adam" }
  let beta1: Double
  let beta2: Double
  let epsilon: Double
  let amsgrad: Bool

  public init(
    learningRate: Double = 1e-3, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-7, amsgrad: Bool = false,
    options: OptimizerOptions = OptimizerOptions(), name: String? = nil
  ) throws {
    (self.beta1, self.beta2, self.epsilon, self.amsgrad) = (beta1, beta2, epsilon, amsgrad)
    try super.init(learningRate: learningRate, options: options, name: name)
  }

  convenience init(config: inout Configuration) throws { try self.init(config: &config, weightDecay: nil) }

  fileprivate convenience init(config: inout Configuration, weightDecay: Double?) throws {
    try self.init(
      learningRate: config.learningRate(), beta1: config.double("beta_1", 0.9), beta2: config.double("beta_2", 0.999),
      epsilon: config.double("epsilon", 1e-7), amsgrad: config.bool("amsgrad", false),
      options: OptimizerOptions(&config, weightDecay: weightDecay), name: config.optimizerName())
  }

  public override var slotNames: [String] { ["momentum", "velocity"] + (amsgrad ? ["velocity_hat"] : []) }
  public override var slotGroups: [[String]] { [["momentum", "velocity"]] + (amsgrad ? [["velocity_hat"]] : []) }
  public override func numbers(rate: Double, step t: Double) -> [Double] { [rate * (1 - pow(beta2, t)).squareRoot() / (1 - pow(beta1, t))] }

  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor], numbers: [Tensor]) throws {
    guard amsgrad else {
      return graph.adam(
        variable, gradient: gradient, alpha: numbers[0], beta1: Float(beta1), beta2: Float(beta2), epsilon: Float(epsilon),
        momentum: slots[0],
        velocity: slots[1])
    }
    let m = try graph.lerp(slots[0], towards: gradient, by: 1 - beta1)
    let v = try graph.lerp(slots[1], towards: graph.unary(.square, gradient), by: 1 - beta2)
    let largest = try graph.binary(.maximum, graph.state(slots[2]), v)
    graph.assign(largest, to: slots[2])
    try graph.move(variable, by: graph.divide(graph.multiply(m, graph.state(numbers[0])), graph.add(graph.unary(.sqrt, largest), epsilon)))
  }

  public override var ownConfig: [String: JSONValue] {
    ["beta_1": .double(beta1), "beta_2": .double(beta2), "epsilon": .double(epsilon), "amsgrad": .bool(amsgrad)]
  }
}

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019), 0.004 unless given.
public final class AdamW: Adam {
  public override class var className: String { "AdamW" }

  public override init(
    learningRate: Double = 1e-3, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-7, amsgrad: Bool = false,
    options: OptimizerOptions = OptimizerOptions(weightDecay: 0.004), name: String? = nil
  ) throws {
    guard options.weightDecay != nil else { throw XferError.invalid("AdamW: 'weight_decay' is to be a number, none was given") }
    try super.init(
      learningRate: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, amsgrad: amsgrad, options: options, name: name)
  }

  convenience init(config: inout Configuration) throws { try self.init(config: &config, weightDecay: 0.004) }
}

extension Graph {
  /// `state + (value − state)·share`, written back.
  func lerp(_ state: Tensor, towards value: ValueID, by share: Double) throws -> ValueID {
    let old = self.state(state)
    let new = try add(old, multiply(subtract(value, old), share))
    assign(new, to: state)
    return new
  }

  /// `state·keep + value·(1 − keep)`, written back.
  func average(_ state: Tensor, with value: ValueID, keeping keep: Double) throws -> ValueID {
    let new = try add(multiply(self.state(state), keep), multiply(value, 1 - keep))
    assign(new, to: state)
    return new
  }

  /// `weight −= step`.
  func move(_ weight: Variable, by step: ValueID) throws {
    assign(try subtract(variable(weight), reshape(step, to: weight.shape)), to: weight.tensor, weight)
  }
}
