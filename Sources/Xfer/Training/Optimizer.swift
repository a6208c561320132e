import Glibc
public import XferCore
public import XferGraph

/// Moves weights along their gradients. One object serves one set of weights; its slots belong to them.
open class Optimizer {
  open class var className: String { "Optimizer" }
  public let name: String
  public var learningRate: Double
  /// Steps taken.
  public private(set) var iterations: UInt64 = 0
  /// The rate of the coming step as the kernels read it, [1].
  let rate: Tensor
  private var weights: [ObjectIdentifier: (variable: Variable, slots: [Tensor])] = [:]
  private var built = false
  private var applying: (key: [ObjectIdentifier], plan: Plan, inputs: [ValueID])?

  init(learningRate: Double, name: String) throws {
    guard learningRate.isFinite, learningRate >= 0 else { throw XferError.invalid("\(name): 'learning_rate' is to be 0 or above, \(learningRate) was given") }
    (self.learningRate, self.name) = (learningRate, name)
    rate = try Tensor(zeros: [1])
  }

  // MARK: For subclasses

  /// Names of the tensors kept per weight.
  open var slotNames: [String] { [] }
  /// The number put into ``rate`` for step `iterations + 1`.
  open var stepRate: Double { learningRate }
  /// Emits the update of one weight.
  open func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor]) {}
  open var ownConfig: [String: JSONValue] { [:] }

  public var config: JSONValue {
    .object(ownConfig.merging([
      "name": .string(name), "learning_rate": .double(learningRate), "weight_decay": nil, "clipnorm": nil, "global_clipnorm": nil, "clipvalue": nil,
      "use_ema": false, "ema_momentum": 0.99, "ema_overwrite_frequency": nil, "loss_scale_factor": nil, "gradient_accumulation_steps": nil,
    ]) { own, _ in own })
  }

  // MARK: Use

  /// Ties the optimizer to weights. A second, different set is refused: the slots would not fit.
  public func build(_ variables: [Variable]) throws {
    if built {
      let strangers = variables.filter { weights[ObjectIdentifier($0)] == nil }
      guard strangers.isEmpty else {
        throw XferError.state(
          "\(name) already serves other weights and does not know '\(strangers[0].path)': make a new optimizer, or keep the slots by rebind(keep_slots: true)")
      }
      return
    }
    try rebind(variables, keepSlots: false)
  }

  /// Ties the optimizer to another set of weights. Kept slots stay with their weights, new ones start at zero.
  public func rebind(_ variables: [Variable], keepSlots: Bool) throws {
    var next: [ObjectIdentifier: (Variable, [Tensor])] = [:]
    for variable in variables {
      let known = keepSlots ? weights[ObjectIdentifier(variable)]?.slots : nil
      next[ObjectIdentifier(variable)] = (variable, try known ?? slotNames.map { _ in try Tensor(zeros: variable.shape) })
    }
    if !keepSlots { iterations = 0 }
    (weights, built, applying) = (next, true, nil)
  }

  /// Elements of all slots.
  public var slotCount: Int { weights.values.reduce(0) { $0 + $1.slots.reduce(0) { $0 + $1.count } } }

  func addUpdate(_ graph: Graph, _ variable: Variable, gradient: ValueID) throws {
    guard let entry = weights[ObjectIdentifier(variable)] else { throw XferError.state("\(name) does not know '\(variable.path)'") }
    emit(graph, variable, gradient: gradient, slots: entry.slots)
  }

  /// Sets the numbers of the coming step. ``endStep()`` counts it.
  func beginStep() { rate.float32[0] = Float(stepRate) }
  func endStep() { iterations += 1 }

  /// One step with gradients from a tape; nil leaves a weight alone.
  public func apply(_ gradients: [Tensor?], to variables: [Variable]) throws {
    guard gradients.count == variables.count else {
      throw XferError.invalid("\(gradients.count) gradients are given for \(variables.count) weights")
    }
    try build(variables)
    let pairs = zip(gradients, variables).compactMap { gradient, variable in gradient.map { ($0, variable) } }
    guard !pairs.isEmpty else { throw XferError.invalid("\(name): no gradient is given for any weight") }
    for (gradient, variable) in pairs where gradient.shape != variable.shape {
      throw XferError.shape("the gradient of '\(variable.path)' has shape \(gradient.shape), the weight \(variable.shape)")
    }
    let key = pairs.map { ObjectIdentifier($0.1) }
    let step = try applying.flatMap { $0.key == key ? $0 : nil } ?? makeStep(key, pairs.map(\.1))
    applying = step
    beginStep()
    try step.plan.run(Array(zip(step.inputs, pairs.map(\.0))))
    endStep()
  }

  private func makeStep(_ key: [ObjectIdentifier], _ variables: [Variable]) throws -> (key: [ObjectIdentifier], plan: Plan, inputs: [ValueID]) {
    let graph = Graph()
    graph.label = name
    let inputs = try variables.map { variable in
      let gradient = graph.input(TensorDescription(variable.shape))
      try addUpdate(graph, variable, gradient: gradient)
      return gradient
    }
    return (key, try Plan(graph, options: Plan.Options()), inputs)
  }

  /// By class name or identifier ("Adam", "adam").
  public static func make(_ className: String, config: JSONValue = [:]) throws -> Optimizer {
    var configuration = try Configuration(config, for: className)
    try configuration.refuse("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "loss_scale_factor", "gradient_accumulation_steps")
    if try configuration.bool("use_ema", false) { throw XferError.unsupported("\(className): 'use_ema' is not supported") }
    configuration.ignore("ema_momentum", "ema_overwrite_frequency", "jit_compile", "is_legacy_optimizer", "decay")
    let optimizer: Optimizer
    switch className {
    case "Adam", "adam": optimizer = try Adam(config: &configuration)
    case "SGD", "sgd": optimizer = try SGD(config: &configuration)
    default: throw XferError.notFound("unknown optimizer '\(className)'\(hint(className, among: ["Adam", "SGD"]))")
    }
    try configuration.finish()
    return optimizer
  }
}

/// Adam (Kingma & Ba 2015) with Keras' defaults and its ε outside the bias correction:
/// `w -= lr·√(1−β₂ᵗ)/(1−β₁ᵗ) · m/(√v+ε)`.
public final class Adam: Optimizer {
  public override class var className: String { "Adam" }
  let beta1: Double
  let beta2: Double
  let epsilon: Double

  public init(learningRate: Double = 1e-3, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-7, name: String = "adam") throws {
    (self.beta1, self.beta2, self.epsilon) = (beta1, beta2, epsilon)
    try super.init(learningRate: learningRate, name: name)
  }

  convenience init(config: inout Configuration) throws {
    if try config.bool("amsgrad", false) { throw XferError.unsupported("Adam: 'amsgrad' is not supported") }
    try self.init(
      learningRate: config.double("learning_rate", 1e-3), beta1: config.double("beta_1", 0.9), beta2: config.double("beta_2", 0.999),
      epsilon: config.double("epsilon", 1e-7), name: config.string("name", "adam"))
  }

  public override var slotNames: [String] { ["momentum", "velocity"] }
  public override var stepRate: Double {
    let t = Double(iterations + 1)
    return learningRate * (1 - pow(beta2, t)).squareRoot() / (1 - pow(beta1, t))
  }
  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor]) {
    graph.adam(
      variable, gradient: gradient, alpha: rate, beta1: Float(beta1), beta2: Float(beta2), epsilon: Float(epsilon), momentum: slots[0],
      velocity: slots[1])
  }
  public override var ownConfig: [String: JSONValue] {
    ["beta_1": .double(beta1), "beta_2": .double(beta2), "epsilon": .double(epsilon), "amsgrad": false]
  }
}

/// Gradient descent, with Keras' momentum and Nesterov forms.
public final class SGD: Optimizer {
  public override class var className: String { "SGD" }
  let momentum: Double
  let nesterov: Bool

  public init(learningRate: Double = 0.01, momentum: Double = 0, nesterov: Bool = false, name: String = "SGD") throws {
    guard (0...1).contains(momentum) else { throw XferError.invalid("SGD: 'momentum' is to be from 0 to 1, \(momentum) was given") }
    (self.momentum, self.nesterov) = (momentum, nesterov)
    try super.init(learningRate: learningRate, name: name)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      learningRate: config.double("learning_rate", 0.01), momentum: config.double("momentum", 0), nesterov: config.bool("nesterov", false),
      name: config.string("name", "SGD"))
  }

  public override var slotNames: [String] { momentum > 0 ? ["momentum"] : [] }
  public override func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor]) {
    graph.sgd(variable, gradient: gradient, rate: rate, momentum: Float(momentum), nesterov: nesterov, velocity: slots.first)
  }
  public override var ownConfig: [String: JSONValue] { ["momentum": .double(momentum), "nesterov": .bool(nesterov)] }
}
