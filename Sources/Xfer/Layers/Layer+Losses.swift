public import XferCore
import XferGraph

extension Layer {
  /// What the layer adds to the loss: the penalties on its outputs at its last call on data, then one penalty for each of its trainable
  /// weights that has a regularizer. Frozen weights add nothing.
  ///
  /// - Parameter tape: records the penalties on weights, so that gradients can be asked of them.
  public func losses(tape: GradientTape? = nil) throws -> [Tensor] {
    let moved = trainableWeights.filter { $0.regularizer != nil }
    guard !moved.isEmpty else { return callLosses }
    let lower: EagerPlans.Lowering = { _ in
      let graph = Graph()
      return (graph, [], try graph.penalties(on: moved))
    }
    guard let tape else {
      let (graph, _, values) = try lower(nil)
      var options = Plan.Options()
      (options.plastic, options.kept) = (moved, values)
      let plan = try Plan(graph, options: options)
      try plan.run([])
      return try callLosses + values.map { try plan.read($0).copy() }
    }
    let key = EagerPlans.Key(
      inputs: [], training: false, taped: [], flags: trainableFlags, backend: Backend.choiceGeneration, precision: .float32)
    let entry = try penalties.exclusive(key, variables: moved, lower: lower)
    return try callLosses + tape.record(entry, inputs: []) { [penalties] in penalties.giveBack(entry, key) }
  }

  /// How many tensors ``losses(tape:)`` gives.
  public var lossCount: Int { callLosses.count + trainableWeights.count { $0.regularizer != nil } }

  /// The penalty of each output, divided by the batch size.
  func penalties(on outputs: [ValueID], _ regularizer: Regularizer, _ graph: Graph) throws -> [ValueID] {
    try outputs.map { output in
      let batch = graph.shape(output).first ?? 1
      return try graph.divide(regularizer.emit(output, graph), graph.scalar(Double(max(batch, 1))))
    }
  }

  /// The outputs of a call whose plan gave its penalties behind them.
  func keepingLosses(_ results: [Tensor]) -> [Tensor] {
    callLosses = Array(results.dropFirst(outputCount))
    return Array(results.prefix(outputCount))
  }
}

extension Graph {
  /// The penalties [1] of those weights that have a regularizer.
  func penalties(on weights: [Variable]) throws -> [ValueID] {
    let outer = label
    defer { label = outer }
    return try weights.compactMap { weight in
      guard let rule = weight.regularizer else { return nil }
      label = "\(weight.path) regularizer"
      return try rule.emit(variable(weight), self)
    }
  }

  /// A loss [1] with all penalties added: those of layers on their outputs, and those on weights.
  func withPenalties(_ loss: ValueID, on weights: [Variable]) throws -> ValueID {
    try (losses + penalties(on: weights)).reduce(loss) { try add($0, $1) }
  }
}
