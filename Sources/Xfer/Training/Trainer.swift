import CXfer
import Synchronization
public import XferCore
import XferGraph

/// What `compile` makes of a model: its trainable weights of that moment, an optimizer, a loss and metrics.
public final class Trainer {
  public let model: Model
  public let optimizer: Optimizer
  public let loss: Loss
  public let metrics: [Metric]
  /// The weights this trainer moves, fixed.
  public private(set) var trainableWeights: [Variable]

  private struct Key: Hashable {
    var x: TensorDescription
    var y: TensorDescription
    var weighted: Bool
    var training: Bool
    var backend: UInt64
  }
  private struct Step {
    let plan: Plan
    let x: ValueID
    let y: ValueID
    let weights: ValueID?
    let prediction: ValueID
    let loss: ValueID
    let predictionShape: [Int]
  }

  private var flags: [(layer: Layer, trainable: Bool)]
  private var steps: [Key: Step] = [:]
  private let arena = Arena()
  private let cancelled = Atomic<Bool>(false)
  private var warned = false

  init(model: Model, optimizer: Optimizer, loss: Loss, metrics: [Metric]) {
    (self.model, self.optimizer, self.loss, self.metrics) = (model, optimizer, loss, metrics)
    trainableWeights = model.trainableWeights
    flags = model.allLayers.map { ($0, $0.trainable) }
  }

  // MARK: Trainable since compile

  /// Throws ``XFER_E_STALE_TRAINABLE`` naming the layers whose flag changed; with `recompile` takes over the new flags instead.
  func checkTrainable(recompile: Bool) throws {
    let now = model.allLayers
    let changed = flags.filter { $0.layer.trainable != $0.trainable }.map(\.layer.name)
    let added = now.count != flags.count
    guard !changed.isEmpty || added else { return }
    guard recompile else {
      let names = changed.prefix(5).map { "'\($0)'" }.joined(separator: ", ") + (changed.count > 5 ? " and \(changed.count - 5) more" : "")
      throw XferError(
        XFER_E_STALE_TRAINABLE,
        changed.isEmpty
          ? "layers were added to the model since compile(): call compile() again"
          : "'trainable' of \(names) changed since compile(), which fixed the set of trained weights: call compile() again")
    }
    flags = now.map { ($0, $0.trainable) }
    trainableWeights = model.trainableWeights
    steps = [:]
    try optimizer.rebind(trainableWeights, keepSlots: true)
  }

  // MARK: Cancelling

  /// Ends a running `fit` after its current batch. From any thread.
  public func cancel() { cancelled.store(true, ordering: .relaxed) }
  var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
  func clearCancel() { cancelled.store(false, ordering: .relaxed) }

  // MARK: Steps

  /// The loss of a batch and its predictions, which stay valid until the next step.
  struct Outcome {
    let loss: Double
    let prediction: Tensor
  }

  /// Runs one batch; with `training`, moves the weights.
  func run(_ batch: Batch, training: Bool) throws -> Outcome {
    try checkFinite(batch)
    let key = Key(
      x: batch.x.description, y: batch.y.description, weighted: batch.sampleWeight != nil, training: training, backend: Backend.choiceGeneration)
    let step = try steps[key] ?? makeStep(key, batch)
    steps[key] = step
    try loss.check(batch.y, predictionShape: step.predictionShape)
    var inputs = [(step.x, batch.x), (step.y, batch.y)]
    if let value = step.weights, let weights = batch.sampleWeight { inputs.append((value, try weights.converted(to: .float32))) }
    if training { optimizer.beginStep() }
    try step.plan.run(inputs)
    if training { optimizer.endStep() }
    return Outcome(loss: Double(try step.plan.read(step.loss).float32[0]), prediction: try step.plan.read(step.prediction))
  }

  private func makeStep(_ key: Key, _ batch: Batch) throws -> Step {
    let graph = Graph()
    let x = graph.input(key.x)
    let y = graph.input(key.y)
    let weights = batch.sampleWeight.map { graph.input(TensorDescription($0.shape)) }
    let prediction = try model.emit([x], LoweringContext(graph: graph, training: key.training))
    let value = try loss.total(y, prediction, weights: weights, graph)
    var options = Plan.Options()
    options.arena = arena
    options.kept = [prediction, value]
    if key.training {
      try optimizer.build(trainableWeights)
      let one = graph.constant(try Tensor([1]))
      try graph.differentiate(seeds: [(value, one)], wanted: trainableWeights.map { graph.variable($0) }) { variableValue, gradient in
        guard let gradient, let variable = graph.variable(of: variableValue) else { return }
        try optimizer.addUpdate(graph, variable, gradient: graph.reshape(gradient, to: variable.shape))
      }
      options.plastic = trainableWeights
    }
    warnAboutThreshold()
    return Step(
      plan: try Plan(graph, options: options), x: x, y: y, weights: weights, prediction: prediction, loss: value,
      predictionShape: graph.shape(prediction))
  }

  /// What a training step of this batch size would run.
  public func plan(batchSize: Int, targetShape: [Int]) throws -> Plan {
    let shape = try model.inputShapes(batchSize: batchSize)[0]
    let key = Key(
      x: TensorDescription(shape, model.inputs[0].dtype), y: TensorDescription([batchSize] + targetShape, loss.targetDType), weighted: false,
      training: true, backend: Backend.choiceGeneration)
    let batch = Batch(x: try Tensor(zeros: key.x.shape, dtype: key.x.dtype), y: try Tensor(zeros: key.y.shape, dtype: key.y.dtype))
    return try makeStep(key, batch).plan
  }

  private func checkFinite(_ batch: Batch) throws {
    for (tensor, what) in [(batch.x, "x"), (batch.y, "y")] where tensor.dtype == .float32 {
      // x·0 is 0 for finite numbers and NaN for all others: one quick pass before the search for the culprit.
      let values = tensor.float32
      var sum: Float = 0
      for value in values { sum += value * 0 }
      guard sum.isNaN else { continue }
      if let index = values.firstIndex(where: { !$0.isFinite }) {
        let row = index / max(values.count / max(tensor.shape.first ?? 1, 1), 1)
        throw XferError(XFER_E_NON_FINITE, "\(what) has \(values[index]) in sample \(row) of the batch; finite numbers are wanted")
      }
    }
  }

  private func warnAboutThreshold() {
    guard !warned, loss.fromLogits, metrics.contains(where: { ($0 as? BinaryAccuracy)?.threshold == 0.5 }) else { return }
    warned = true
    log(2, "BinaryAccuracy counts predictions above its threshold 0.5, but the loss takes logits, where the border is 0: "
      + "use threshold 0 to count probabilities above one half (Keras' default is kept)")
  }
}

extension Model {
  /// Fixes the set of trainable weights and binds optimizer, loss and metrics.
  ///
  /// - Parameter metrics: nil keeps those of the previous compile.
  @discardableResult
  public func compile(optimizer: Optimizer, loss: Loss, metrics: [Metric]? = nil) throws -> Trainer {
    let trainer = Trainer(model: self, optimizer: optimizer, loss: loss, metrics: metrics ?? self.trainer?.metrics ?? [])
    self.trainer = trainer
    return trainer
  }

  func compiled() throws -> Trainer {
    guard let trainer else { throw XferError(XFER_E_NOT_COMPILED, "model '\(name)' is not compiled: call compile() first") }
    return trainer
  }
}
