import XferCore
import XferGraph

/// What an optimizer keeps for a weight.
struct OptimizerEntry {
  let slots: [Tensor]
  /// The moving average of the weight.
  let average: Tensor?
  /// The sum of gradients that have not moved the weight yet.
  let gathered: Tensor?

  init(_ variable: Variable, _ optimizer: Optimizer, steps: UInt64) throws {
    slots = try optimizer.slotNames.map { name in
      let slot = try Tensor(zeros: variable.shape)
      slot.float32.update(repeating: Float(optimizer.initialValue(ofSlot: name)))
      return slot
    }
    // The first step copies the weight; a weight that comes later starts with its own value.
    average = optimizer.options.useEMA ? try (steps == 0 ? Tensor(zeros: variable.shape) : variable.tensor.copy()) : nil
    gathered = optimizer.options.gradientAccumulationSteps == nil ? nil : try Tensor(zeros: variable.shape)
  }
}

/// The numbers of a step for the weights with one factor on the rate.
final class OptimizerNumbers {
  let values: [Tensor]
  /// weight decay · rate, [1].
  let decay: Tensor

  init(count: Int) throws {
    values = try (0..<count).map { _ in try Tensor(zeros: [1]) }
    decay = try Tensor(zeros: [1])
  }

  func set(_ numbers: [Double], decay: Double) {
    for (tensor, number) in zip(values, numbers) { tensor.float32[0] = Float(number) }
    self.decay.float32[0] = Float(decay)
  }
}

/// What a plan's update half was made for.
struct OptimizerVariant: Hashable {
  var generation: Int
  /// The step only adds up gradients.
  var gathers: Bool
  /// The step ends by writing the moving averages over the weights.
  var overwrites: Bool
}

/// Writes the updates of one step into a graph: each as soon as its gradient is given where that makes no difference, so that its
/// memory is free early, else all at the end.
final class OptimizerStep {
  private let optimizer: Optimizer
  private let graph: Graph
  private let variant: OptimizerVariant
  private var waiting: [(variable: Variable, gradient: ValueID)] = []

  init(_ optimizer: Optimizer, _ graph: Graph) { (self.optimizer, self.graph, variant) = (optimizer, graph, optimizer.variant) }

  private var options: OptimizerOptions { optimizer.options }
  private var clipsTogether: Bool { (options.globalClipnorm ?? 0) > 0 }

  func add(_ variable: Variable, gradient: ValueID) throws {
    try labelled(variable) {
      guard let own = try prepare(variable, gradient) else {
        if options.useEMA { waiting.append((variable, gradient)) } else { try constrain(variable) }
        return
      }
      if clipsTogether || options.useEMA {
        waiting.append((variable, own))
      } else {
        try update(variable, own)
        try constrain(variable)
      }
    }
  }

  func finish() throws {
    guard clipsTogether || options.useEMA else { return }
    if !variant.gathers {
      let scale = clipsTogether ? try globalScale() : nil
      for (variable, gradient) in waiting {
        try labelled(variable) { try update(variable, scale.map { try graph.multiply(gradient, $0) } ?? gradient) }
      }
    }
    if options.useEMA { for variable in optimizer.order { try labelled(variable) { try average(variable) } } }
    for (variable, _) in waiting { try labelled(variable) { try constrain(variable) } }
  }

  private func labelled(_ variable: Variable, _ body: () throws -> Void) throws {
    let outer = graph.label
    defer { graph.label = outer }
    graph.label = "\(optimizer.name) \(variable.path)"
    try graph.updating(body)
  }

  private func entry(_ variable: Variable) throws -> OptimizerEntry {
    guard let entry = optimizer.entries[ObjectIdentifier(variable)] else {
      throw XferError.state("\(optimizer.name) does not know '\(variable.path)'")
    }
    return entry
  }

  /// The gradient unscaled and with what was gathered before; nil where the step only gathers.
  private func prepare(_ variable: Variable, _ gradient: ValueID) throws -> ValueID? {
    var gradient = gradient
    if let scale = options.lossScaleFactor { gradient = try graph.divide(gradient, graph.scalar(scale)) }
    guard let steps = options.gradientAccumulationSteps, let gathered = try entry(variable).gathered else { return gradient }
    let sum = try graph.add(gradient, graph.state(gathered))
    guard !variant.gathers else {
      graph.assign(sum, to: gathered)
      return nil
    }
    gradient = try graph.divide(sum, graph.scalar(Double(steps)))
    graph.assign(try graph.broadcast(graph.scalar(0), to: variable.shape), to: gathered)
    return gradient
  }

  /// Clips, decays and updates.
  private func update(_ variable: Variable, _ gradient: ValueID) throws {
    var gradient = gradient
    if let limit = options.clipnorm, limit > 0 {
      let norm = try graph.unary(.sqrt, graph.sum(graph.unary(.square, gradient)))
      gradient = try graph.divide(graph.multiply(gradient, limit), graph.binary(.maximum, norm, graph.scalar(limit)))
    } else if let limit = options.clipvalue, limit > 0, !clipsTogether {
      gradient = try graph.clip(gradient, -limit, limit)
    }
    let numbers = try optimizer.numbers(for: variable)
    if options.weightDecay != nil, optimizer.decays(variable) {
      let weight = graph.variable(variable)
      graph.assign(try graph.subtract(weight, graph.multiply(weight, graph.state(numbers.decay))), to: variable.tensor, variable)
    }
    try optimizer.emit(graph, variable, gradient: gradient, slots: entry(variable).slots, numbers: numbers.values)
  }

  /// The factor on all gradients: limit / max(‖all‖, limit), and NaN where a gradient is not finite.
  private func globalScale() throws -> ValueID? {
    guard let limit = options.globalClipnorm, let first = waiting.first else { return nil }
    let square = { [graph] (gradient: ValueID) in try graph.sum(graph.unary(.square, gradient)) }
    var result: ValueID?
    try labelled(first.variable) {
      let total = try waiting.dropFirst().reduce(square(first.gradient)) { try graph.add($0, square($1.gradient)) }
      let norm = graph.unary(.sqrt, total)
      let scale = try graph.divide(graph.scalar(limit), graph.binary(.maximum, norm, graph.scalar(limit)))
      result = try graph.add(scale, graph.subtract(norm, norm))
    }
    return result
  }

  private func average(_ variable: Variable) throws {
    guard let average = try entry(variable).average else { return }
    let momentum = graph.state(optimizer.emaMomentum)
    let weight = graph.variable(variable)
    let mean = try graph.add(graph.multiply(momentum, graph.state(average)), graph.multiply(graph.subtract(1, minus: momentum), weight))
    graph.assign(mean, to: average)
    if variant.overwrites { graph.assign(mean, to: variable.tensor, variable) }
  }

  private func constrain(_ variable: Variable) throws {
    guard let rule = variable.constraint else { return }
    graph.assign(try rule.emit(graph.variable(variable), graph), to: variable.tensor, variable)
  }
}

extension Optimizer {
  /// The numbers of the group this weight belongs to.
  func numbers(for variable: Variable) throws -> OptimizerNumbers {
    let factor = multiplier(variable.path)
    if let known = groups[factor] { return known }
    let group = try OptimizerNumbers(count: numbers(rate: 0, step: 1).count)
    groups[factor] = group
    return group
  }

  func decays(_ variable: Variable) -> Bool {
    !excluded.weights.contains(ObjectIdentifier(variable)) && !excluded.names.contains { variable.name.contains($0) }
  }
}
