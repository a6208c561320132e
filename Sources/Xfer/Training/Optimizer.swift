public import XferCore
public import XferGraph

/// What all optimizers can be told. Names and defaults are Keras'.
public struct OptimizerOptions: Sendable, Equatable {
  /// Decoupled: `w -= w·weightDecay·rate` before each update.
  public var weightDecay: Double?
  /// One of the three at most: the largest norm of each gradient, the largest element, the largest norm of all together.
  public var clipnorm: Double?
  public var clipvalue: Double?
  public var globalClipnorm: Double?
  /// Keeps moving averages of the weights, written over them every `emaOverwriteFrequency` steps and at the end of `fit`.
  public var useEMA = false
  public var emaMomentum = 0.99
  public var emaOverwriteFrequency: Int?
  /// The loss is multiplied by it before differentiation, the gradients are divided by it.
  public var lossScaleFactor: Double?
  /// Weights move every so many steps, along the mean of their gradients.
  public var gradientAccumulationSteps: Int?

  public init(weightDecay: Double? = nil) { self.weightDecay = weightDecay }

  func check(_ name: String) throws {
    let clips = [clipnorm, clipvalue, globalClipnorm].compactMap(\.self)
    guard clips.count <= 1 else {
      throw XferError.invalid("\(name): only one of 'clipnorm', 'clipvalue' and 'global_clipnorm' can be given, \(clips.count) were")
    }
    if let steps = gradientAccumulationSteps, steps < 2 {
      throw XferError.invalid("\(name): 'gradient_accumulation_steps' is to be 2 or above, \(steps) was given")
    }
    guard useEMA else { return }
    guard (0...1).contains(emaMomentum) else {
      throw XferError.invalid("\(name): 'ema_momentum' is to be from 0 to 1, \(emaMomentum) was given")
    }
    if let frequency = emaOverwriteFrequency, frequency < 1 {
      throw XferError.invalid("\(name): 'ema_overwrite_frequency' is to be 1 or above, \(frequency) was given")
    }
  }
}

/// Moves weights along their gradients. One object serves one set of weights; its slots belong to them.
///
/// A step is, as in Keras: unscale the gradients → clip them → decay the weights → update → moving averages → constraints. A subclass
/// names its slots, computes the numbers of a step on the host and emits the update of one weight.
open class Optimizer {
  open class var className: String { "Optimizer" }
  public let name: String
  public let options: OptimizerOptions
  /// Gives the rate instead of ``learningRate``.
  public var schedule: LearningRateSchedule?
  /// Factors on the rate of weights whose path fits a pattern, in which `*` stands for any text and `?` for any character; the first
  /// pattern that fits counts. Weight decay follows the rate. See ``layerWiseDecay(_:factor:)``.
  public var learningRateMultipliers: [(pattern: String, factor: Double)] = [] { didSet { changed() } }
  var constantRate: Double
  /// Steps counted one by one, those that only gather gradients included.
  var rawIterations: UInt64 = 0
  var entries: [ObjectIdentifier: OptimizerEntry] = [:]
  /// The weights in the order in which they were given, which is that of the state.
  var order: [Variable] = []
  var built = false
  /// Grows with every change after which plans made for this optimizer are no longer right.
  var generation = 0
  var groups: [Double: OptimizerNumbers] = [:]
  /// The momentum of the moving averages in the coming step, [1].
  let emaMomentum: Tensor
  var excluded: (weights: Set<ObjectIdentifier>, names: [String]) = ([], [])
  private var applying: [ApplyKey: (plan: Plan, inputs: [ValueID])] = [:]

  private struct ApplyKey: Hashable {
    let weights: [ObjectIdentifier]
    let variant: OptimizerVariant
  }

  public init(learningRate: Double, options: OptimizerOptions = OptimizerOptions(), name: String? = nil) throws {
    let name = name ?? AutomaticName.snakeCase(Self.className)
    guard learningRate.isFinite, learningRate >= 0 else {
      throw XferError.invalid("\(name): 'learning_rate' is to be 0 or above, \(learningRate) was given")
    }
    try options.check(name)
    (constantRate, self.name, self.options) = (learningRate, name, options)
    emaMomentum = try Tensor(zeros: [1])
  }

  // MARK: For subclasses

  /// Names of the tensors kept per weight.
  open var slotNames: [String] { [] }
  /// The slot names in the groups in which Keras lists them: a group for all weights, then the next.
  open var slotGroups: [[String]] { [slotNames] }
  /// What a new slot is filled with.
  open func initialValue(ofSlot name: String) -> Double { 0 }
  /// The numbers of step `t` (1, 2, …) that the kernels read, for weights with this rate. Always as many.
  open func numbers(rate: Double, step t: Double) -> [Double] { [rate] }
  /// Emits the update of one weight; `numbers` are [1] each and hold what ``numbers(rate:step:)`` gave.
  open func emit(_ graph: Graph, _ variable: Variable, gradient: ValueID, slots: [Tensor], numbers: [Tensor]) throws {}
  /// State beside iterations, rate and slots, listed last.
  open var extraState: [(name: String, tensor: Tensor)] { [] }
  open var ownConfig: [String: JSONValue] { [:] }

  // MARK: Rate and steps

  /// The rate of the coming step. Setting it ends a schedule.
  public var learningRate: Double {
    get { (try? rate()) ?? constantRate }
    set { (constantRate, schedule) = (newValue, nil) }
  }

  func rate() throws -> Double {
    guard let schedule else { return constantRate }
    let rate = try schedule(Double(rawIterations))
    guard rate.isFinite else { throw XferError.invalid("\(name): the learning rate schedule gave \(rate) for step \(rawIterations)") }
    return rate
  }

  /// Updates done: with gradient accumulation, full rounds.
  public var iterations: UInt64 { rawIterations / UInt64(options.gradientAccumulationSteps ?? 1) }

  /// Sets the numbers of the coming step. ``endStep()`` counts it.
  func beginStep() throws {
    // A constant rate counts as the Float that it is in the state and in files, so that training goes on from them with the same bits.
    let rate = schedule == nil ? Double(Float(constantRate)) : try rate()
    for (factor, group) in groups {
      group.set(numbers(rate: rate * factor, step: Double(iterations + 1)), decay: (options.weightDecay ?? 0) * rate * factor)
    }
    emaMomentum.float32[0] = iterations == 0 ? 0 : Float(options.emaMomentum)
  }

  func endStep() { rawIterations += 1 }

  /// What differs between the plans of steps.
  var variant: OptimizerVariant {
    let steps = UInt64(options.gradientAccumulationSteps ?? 1)
    let overwrites = options.useEMA && options.emaOverwriteFrequency.map { (iterations + 1) % UInt64($0) == 0 } ?? false
    return OptimizerVariant(generation: generation, gathers: (rawIterations + 1) % steps != 0, overwrites: overwrites)
  }

  func changed() { (generation, applying) = (generation + 1, [:]) }

  // MARK: Use

  /// Ties the optimizer to weights. A second set with others in it is refused: the slots would not fit.
  public func build(_ variables: [Variable]) throws {
    if built {
      let strangers = variables.filter { entries[ObjectIdentifier($0)] == nil }
      guard strangers.isEmpty else {
        throw XferError.state(
          "\(name) already serves other weights and does not know '\(strangers[0].path)': make a new optimizer, or keep the slots by rebind(keep_slots: true)"
        )
      }
      return
    }
    try rebind(variables, keepSlots: false)
  }

  /// Lets go of the weights: the optimizer is as before ``build(_:)``, its settings aside.
  func unbuild() {
    (entries, order, built, rawIterations) = ([:], [], false, 0)
    changed()
  }

  /// Ties the optimizer to another set of weights. Kept slots stay with their weights and the steps go on; new ones start afresh.
  public func rebind(_ variables: [Variable], keepSlots: Bool) throws {
    var next: [ObjectIdentifier: OptimizerEntry] = [:]
    for variable in variables {
      let known = keepSlots ? entries[ObjectIdentifier(variable)] : nil
      next[ObjectIdentifier(variable)] = try known ?? OptimizerEntry(variable, self, steps: keepSlots ? iterations : 0)
    }
    if !keepSlots { rawIterations = 0 }
    (entries, order, built) = (next, variables, true)
    changed()
  }

  /// Keeps weights out of weight decay: these, and those whose name has one of these texts in it. Before the optimizer is built.
  public func excludeFromWeightDecay(_ weights: [Variable] = [], names: [String] = []) throws {
    guard !built else { throw XferError.state("\(name): exclude_from_weight_decay comes before the optimizer is built") }
    excluded = (Set(weights.map { ObjectIdentifier($0) }), names)
  }

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
    let key = ApplyKey(weights: pairs.map { ObjectIdentifier($0.1) }, variant: variant)
    let step = try applying[key] ?? makeStep(pairs.map(\.1))
    applying[key] = step
    try beginStep()
    try step.plan.run(Array(zip(step.inputs, pairs.map(\.0))))
    endStep()
  }

  private func makeStep(_ variables: [Variable]) throws -> (plan: Plan, inputs: [ValueID]) {
    let graph = Graph()
    graph.label = name
    let step = OptimizerStep(self, graph)
    let inputs = try variables.map { variable in
      let gradient = graph.input(TensorDescription(variable.shape))
      try step.add(variable, gradient: gradient)
      return gradient
    }
    try step.finish()
    var options = Plan.Options()
    options.plastic = order
    return (try Plan(graph, options: options), inputs)
  }

  /// Writes the moving averages over the weights, as `fit` does when it ends. Without `useEMA` nothing happens.
  public func finalizeVariableValues() throws {
    for variable in order { if let average = entries[ObjectIdentifier(variable)]?.average { try variable.assign(average) } }
  }
}
