import Glibc
public import XferCore
public import XferGraph

/// What Adam's relatives are configured by.
public struct AdamNumbers: Sendable, Equatable {
  public var beta1: Double
  public var beta2: Double
  public var epsilon: Double

  public init(beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-7) {
    (self.beta1, self.beta2, self.epsilon) = (beta1, beta2, epsilon)
  }

  init(_ config: inout Configuration) throws {
    self.init(
      beta1: try config.double("beta_1", 0.9), beta2: try config.double("beta_2", 0.999), epsilon: try config.double("epsilon", 1e-7))
  }

  var config: [String: JSONValue] { ["beta_1": .double(beta1), "beta_2": .double(beta2), "epsilon": .double(epsilon)] }
}

/// Adam with the largest gradient instead of the root mean square (Kingma & Ba 2015, section 7).
public final class Adamax: Optimizer {
  public override class var className: String { "Adamax" }
  let adam: AdamNumbers

  public init(
    learningRate: Double = 1e-3, _ adam: AdamNumbers = AdamNumbers(), options: OptimizerOptions = OptimizerOptions(), name: String? = nil
  ) throws {
    self.adam = adam
    try super.init(learningRate: learningRate, options: options, name: name)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      learningRate: config.learningRate(), AdamNumbers(&config), options: OptimizerOptions(&config), name: config.optimizerName())
  }

  public override var slotNames: [String] { ["momentum", "norm"] }
  public override func numbers(rate: Double, step t: Double) -> [Double] { [rate / (1 - pow(adam.beta1, t))] }

  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor], numbers: [Tensor]) throws {
    let m = try graph.lerp(slots[0], towards: gradient, by: 1 - adam.beta1)
    let u = try graph.binary(.maximum, graph.multiply(graph.state(slots[1]), adam.beta2), graph.unary(.abs, gradient))
    graph.assign(u, to: slots[1])
    try graph.move(variable, by: graph.divide(graph.multiply(m, graph.state(numbers[0])), graph.add(u, adam.epsilon)))
  }

  public override var ownConfig: [String: JSONValue] { adam.config }
}

/// Adam with Nesterov momentum (Dozat 2016), its momentum growing as `β₁(1 − 0.96ᵗ/2)`.
public final class Nadam: Optimizer {
  public override class var className: String { "Nadam" }
  let adam: AdamNumbers
  /// The product of all momenta so far, [], and up to which step.
  private let product: Tensor
  private var productStep = 0.0
  private var productValue = 1.0

  public init(
    learningRate: Double = 1e-3, _ adam: AdamNumbers = AdamNumbers(), options: OptimizerOptions = OptimizerOptions(), name: String? = nil
  ) throws {
    self.adam = adam
    product = try Tensor([1], shape: [])
    try super.init(learningRate: learningRate, options: options, name: name)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      learningRate: config.learningRate(), AdamNumbers(&config), options: OptimizerOptions(&config), name: config.optimizerName())
  }

  public override var slotNames: [String] { ["momentum", "velocity"] }

  private func momentum(_ t: Double) -> Double { adam.beta1 * (1 - 0.5 * pow(0.96, t)) }

  /// The product follows from the step alone, so it needs no restoring: it is only multiplied up from where it was.
  private func product(upTo t: Double) -> Double {
    if t < productStep { (productStep, productValue) = (0, 1) }
    while productStep < t {
      productStep += 1
      productValue *= momentum(productStep)
    }
    return productValue
  }

  public override func numbers(rate: Double, step t: Double) -> [Double] {
    let (now, next) = (momentum(t), momentum(t + 1))
    let done = product(upTo: t)
    return [rate, next / (1 - done * next), (1 - now) / (1 - done), 1 / (1 - pow(adam.beta2, t))]
  }

  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor], numbers: [Tensor]) throws {
    let m = try graph.lerp(slots[0], towards: gradient, by: 1 - adam.beta1)
    let v = try graph.lerp(slots[1], towards: graph.unary(.square, gradient), by: 1 - adam.beta2)
    let ahead = try graph.add(graph.multiply(m, graph.state(numbers[1])), graph.multiply(gradient, graph.state(numbers[2])))
    let root = try graph.unary(.sqrt, graph.multiply(v, graph.state(numbers[3])))
    try graph.move(variable, by: graph.divide(graph.multiply(ahead, graph.state(numbers[0])), graph.add(root, adam.epsilon)))
  }

  /// Keras keeps the product as a variable without a name.
  public override var extraState: [(name: String, tensor: Tensor)] {
    product.float32[0] = Float(product(upTo: Double(iterations)))
    return [("variable", product)]
  }
  public override var ownConfig: [String: JSONValue] { adam.config }
}

/// Adam with each weight's step scaled to the weight's norm (You et al. 2020).
public final class Lamb: Optimizer {
  public override class var className: String { "Lamb" }
  let adam: AdamNumbers

  public init(
    learningRate: Double = 1e-3, _ adam: AdamNumbers = AdamNumbers(), options: OptimizerOptions = OptimizerOptions(), name: String? = nil
  ) throws {
    self.adam = adam
    try super.init(learningRate: learningRate, options: options, name: name)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      learningRate: config.learningRate(), AdamNumbers(&config), options: OptimizerOptions(&config), name: config.optimizerName())
  }

  public override var slotNames: [String] { ["momentum", "velocity"] }
  public override func numbers(rate: Double, step t: Double) -> [Double] {
    [rate, 1 / (1 - pow(adam.beta1, t)), 1 / (1 - pow(adam.beta2, t))]
  }

  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor], numbers: [Tensor]) throws {
    let m = try graph.lerp(slots[0], towards: gradient, by: 1 - adam.beta1)
    let v = try graph.lerp(slots[1], towards: graph.unary(.square, gradient), by: 1 - adam.beta2)
    let root = try graph.unary(.sqrt, graph.multiply(v, graph.state(numbers[2])))
    let step = try graph.divide(graph.multiply(m, graph.state(numbers[1])), graph.add(root, adam.epsilon))
    func norm(_ x: ValueID) throws -> ValueID { try graph.unary(.sqrt, graph.sum(graph.unary(.square, x))) }
    let (weight, length) = (try norm(graph.variable(variable)), try norm(step))
    let (zero, one) = (try graph.scalar(0), try graph.scalar(1))
    let ratio = try graph.select(
      graph.binary(.greater, weight, zero), graph.select(graph.binary(.greater, length, zero), graph.divide(weight, length), one), one)
    try graph.move(variable, by: graph.multiply(graph.multiply(step, graph.state(numbers[0])), ratio))
  }

  public override var ownConfig: [String: JSONValue] { adam.config }
}
