import CXfer
import Synchronization
public import XferCore
import XferGraph

/// What `compile` makes of a model: its trainable weights of that moment, an optimizer, and losses and metrics for its outputs.
///
/// The model keeps its trainer; a trainer kept longer than its model gives errors.
public final class Trainer {
  private weak var owner: Model?
  public let optimizer: Optimizer
  /// Losses and metrics, one element an output of the model.
  public let outputs: [CompiledOutput]
  /// The weights this trainer moves, fixed.
  public private(set) var trainableWeights: [Variable]
  /// Ends the running `fit` after its current batch, with validation and the epoch's end. Callbacks set it; `fit` begins with false.
  public var stopTraining = false
  let namedMetrics: [NamedMetric]
  /// The precision at `compile`; another may be set before the first step.
  var precision = Precision.current
  /// See ``Plan/Options``.
  var passes = Plan.Passes.all

  private struct Key: Hashable {
    /// What the frozen part's outputs, in place of the inputs, are; empty for the inputs.
    var cut: [Digest] = []
    var inputs: [TensorDescription]
    var targets: [TensorDescription?]
    var weights: [TensorDescription?]
    var training: Bool
    var backend: UInt64
    var settings = Layer.settingsGeneration
    /// Which kind of step the optimizer takes next.
    var update: OptimizerVariant?
    var memoryBudget: Int?
  }
  private struct Step {
    let plan: Plan
    let inputs: [ValueID]
    let targets: [ValueID?]
    let weights: [ValueID?]
    let predictions: [ValueID]
    let logits: [ValueID?]
    let losses: [ValueID?]
    let total: ValueID
    let predictionShapes: [[Int]]
  }
  /// A flag as it was at `compile`. The trainer does not keep layers: the model, one of them, keeps the trainer.
  private struct Flag {
    weak var layer: Layer?
    let name: String
    /// The layer's own, then its weights'.
    let trainable: [Bool]
    init(_ layer: Layer) { (self.layer, name, trainable) = (layer, layer.name, layer.ownFlags) }
    var isStale: Bool { layer?.ownFlags != trainable }
  }

  private var flags: [Flag]
  private var steps: [Key: Step] = [:]
  private let arena = Arena()
  private struct PartsKey: Equatable {
    var fixing: Bool
    var evaluates: Bool
    var settings = Layer.settingsGeneration
  }
  /// Where the model can be cut, for what was asked last.
  private var frozenParts: (key: PartsKey, parts: FrozenPart.Pair)?
  private var knownMoving: Set<ObjectIdentifier>?
  private var caches: (training: FeatureCache?, evaluation: FeatureCache?)
  private let cancelled = Atomic<Bool>(false)
  /// Of the running `fit`.
  var memoryBudget: Int?
  /// Calls of fit and evaluate within each other.
  var depth = 0

  init(model: Model, optimizer: Optimizer, outputs: [CompiledOutput]) {
    (owner, self.optimizer, self.outputs) = (model, optimizer, outputs)
    namedMetrics = NamedMetric.all(outputs)
    trainableWeights = model.trainableWeights
    flags = model.allLayers.map { Flag($0) }
  }

  /// The model, as long as something else keeps it.
  public var model: Model {
    get throws { try owner ?? { throw XferError.state("the trainer's model is gone: keep the model as long as the trainer is used") }() }
  }

  /// All metrics: those without weights, then those with.
  public var metrics: [Metric] { outputs.flatMap(\.metrics) + outputs.flatMap(\.weightedMetrics) }

  /// The names of the logs, in their order.
  public var logNames: [String] { ["loss"] + lossNames.map(\.name) + namedMetrics.map(\.name) }

  /// Losses logged one by one: those of the outputs where more than one has a loss.
  var lossNames: [(output: Int, name: String)] {
    let trained = outputs.indices.filter { outputs[$0].loss != nil }
    return trained.count > 1 ? trained.map { ($0, outputs[$0].name + "_loss") } : []
  }

  // MARK: Trainable since compile

  /// Throws ``XFER_E_STALE_TRAINABLE`` naming the layers whose flag changed; with `recompile` takes over the new flags instead.
  func checkTrainable(recompile: Bool) throws {
    let now = try model.allLayers
    let changed = flags.filter(\.isStale).map(\.name)
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
    flags = now.map { Flag($0) }
    trainableWeights = try model.trainableWeights
    (steps, frozenParts, knownMoving) = ([:], nil, nil)
    try optimizer.rebind(trainableWeights, keepSlots: true)
  }

  // MARK: Cancelling

  /// Ends a running `fit` after its current batch. From any thread.
  public func cancel() { cancelled.store(true, ordering: .relaxed) }
  var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
  func clearCancel() { cancelled.store(false, ordering: .relaxed) }

  // MARK: Steps

  /// The losses of a batch and its predictions, which stay valid until the next step.
  struct Outcome {
    let loss: Double
    /// One an output; 0 where there is none.
    let losses: [Double]
    let predictions: [Tensor]
    /// What a sigmoid or softmax made the predictions of, one an output; nil where none did or no metric asks.
    let logits: [Tensor?]
  }

  /// Runs one batch; with `training`, moves the weights.
  func run(_ given: Batch, training: Bool) throws -> Outcome {
    var batch = try aligned(given)
    try checkFinite(batch)
    if training { try optimizer.build(trainableWeights) }
    let cache = try features(training: training)
    if let cache { batch.inputs = try cache.features(batch) }
    guard !batch.inputs.isEmpty else {
      throw XferError.state(
        "a frozen weight was changed in the middle of an epoch whose samples were not read again: fit with the cache off")
    }
    let key = Key(
      cut: cache?.part.prefix.cut ?? [], inputs: batch.inputs.map(\.description), targets: batch.targets.map { $0?.description },
      weights: batch.sampleWeights.map { $0?.description }, training: training, backend: Backend.choiceGeneration,
      update: training ? optimizer.variant : nil, memoryBudget: training ? memoryBudget : nil)
    let step = try steps[key] ?? makeStep(key)
    steps[key] = step
    var inputs = Array(zip(step.inputs, batch.inputs))
    for (index, output) in outputs.enumerated() {
      if let loss = output.loss, let truth = batch.targets[index] { try loss.check(truth, predictionShape: step.predictionShapes[index]) }
      if let value = step.targets[index], let truth = batch.targets[index] { inputs.append((value, truth)) }
      if let value = step.weights[index], let weights = batch.sampleWeights[index] {
        inputs.append((value, try weights.converted(to: .float32)))
      }
    }
    if training { try optimizer.beginStep() }
    try step.plan.run(inputs)
    if training { optimizer.endStep() }
    func number(_ value: ValueID) throws -> Double { Double(try step.plan.read(value).float32[0]) }
    return Outcome(
      loss: try number(step.total), losses: try step.losses.map { try $0.map(number) ?? 0 },
      predictions: try step.predictions.map { try step.plan.read($0) },
      logits: try step.logits.map { try $0.map { try step.plan.read($0) } })
  }

  /// The batch with one target and one sample weight for each output.
  func aligned(_ batch: Batch) throws -> Batch {
    var batch = batch
    let trained = outputs.indices.filter { outputs[$0].loss != nil }
    func spread(_ list: [Tensor?]) -> [Tensor?]? {
      if list.count == outputs.count { return list }
      guard list.count == trained.count else { return nil }
      var result = [Tensor?](repeating: nil, count: outputs.count)
      for (index, tensor) in zip(trained, list) { result[index] = tensor }
      return result
    }
    guard let targets = spread(batch.targets) else {
      throw XferError.invalid(
        "the model has \(outputs.count) outputs, \(trained.count) with a loss; \(batch.targets.count) targets were given")
    }
    for (output, target) in zip(outputs, targets)
    where target == nil && (output.loss != nil || !(output.metrics + output.weightedMetrics).isEmpty) {
      throw XferError.data("output '\(output.name)' has a loss or metrics, but no target was given for it")
    }
    batch.targets = targets
    let all = batch.sampleWeights.count == 1 ? Array(repeating: batch.sampleWeights[0], count: outputs.count) : batch.sampleWeights
    guard let weights = all.isEmpty ? Array(repeating: nil, count: outputs.count) : spread(all) else {
      throw XferError.invalid(
        "the model has \(outputs.count) outputs; \(all.count) sample weights were given, one for all or one for each are wanted")
    }
    batch.sampleWeights = weights
    return batch
  }

  private func makeStep(_ key: Key) throws -> Step {
    var graph = Graph(precision: precision)
    var inputs: [ValueID]
    let predictions: [ValueID]
    var options = Plan.Options()
    if !key.cut.isEmpty, let cache = try features(training: key.training) {
      let model = try model
      // Validation in the network as it is there, where training's part serves it too.
      let network = try cache.part.lowered(model, batch: key.inputs[0].shape[0], training: key.training)
      (graph, predictions) = (network.graph, network.outputs)
      inputs = try cache.part.knownCut(in: graph, of: model)
      graph.cut(at: inputs)
      graph.prune(keeping: predictions + graph.losses)
    } else {
      inputs = key.inputs.map { graph.input($0) }
      predictions = try model.emitAll(inputs, LoweringContext(graph: graph, training: key.training))
      if precision == .bfloat16 { options.floats = try parts(model, training: key.training).cut(in: graph, training: key.training) }
    }
    var targets = [ValueID?](repeating: nil, count: outputs.count)
    var weights = targets
    var losses = targets
    var total: ValueID?
    for (index, output) in outputs.enumerated() {
      guard let loss = output.loss, let truth = key.targets[index] else { continue }
      let y = graph.input(truth)
      let w = key.weights[index].map { graph.input(TensorDescription($0.shape)) }
      let value = try loss.total(y, predictions[index], weights: w, graph)
      let part = try output.lossWeight.map { try graph.binary(.multiply, value, graph.constant(Tensor([Float($0)]))) } ?? value
      total = try total.map { try graph.binary(.add, $0, part) } ?? part
      (targets[index], weights[index], losses[index]) = (y, w, value)
    }
    guard let data = total else { throw XferError.state("no output of the model has a loss: give one to compile()") }
    let penalized = try graph.withPenalties(data, on: trainableWeights)
    let logits = try zip(outputs, predictions).map { output, prediction in output.readsLogits ? try graph.logits(behind: prediction) : nil }
    (options.arena, options.passes) = (arena, passes)
    options.kept = predictions + (logits + losses).compactMap { $0 } + [penalized]
    if key.training {
      try optimizer.build(trainableWeights)
      let scale = try graph.scalar(optimizer.options.lossScaleFactor ?? 1)
      let step = OptimizerStep(optimizer, graph)
      try graph.differentiate(seeds: [(penalized, scale)], wanted: trainableWeights.map { graph.variable($0) }) { variableValue, gradient in
        guard let gradient, let variable = graph.variable(of: variableValue) else { return }
        try step.add(variable, gradient: graph.reshape(gradient, to: variable.shape))
      }
      try step.finish()
      options.plastic = trainableWeights
      options.memoryBudget = try key.memoryBudget.map(intermediateBytes)
    } else {
      options.moving = try movingWeights(key.cut.isEmpty ? key.inputs : FrozenPart.inputs(model, batch: 2))
    }
    try lintThreshold(
      zip(predictions, key.targets).map { prediction, truth in truth.map { TargetKind($0.shape, graph.shape(prediction)) } })
    return Step(
      plan: try Plan(graph, options: options), inputs: inputs, targets: targets, weights: weights, predictions: predictions, logits: logits,
      losses: losses, total: penalized, predictionShapes: predictions.map { graph.shape($0) })
  }

  /// What a memory budget leaves for the values of a step.
  private func intermediateBytes(_ budget: Int) throws -> Int {
    let fixed = try fixedBytes
    guard fixed < budget else {
      throw XferError(
        XFER_E_OUT_OF_MEMORY,
        "memory_budget: weights and optimizer take \(fixed / 1_000_000) MB by themselves, \(budget / 1_000_000) MB were given")
    }
    return budget - fixed
  }

  /// Bytes of all weights and of what the optimizer keeps beside them.
  var fixedBytes: Int {
    get throws {
      try model.weights.reduce(0) { $0 + $1.tensor.byteCount } + optimizer.stateVariables.reduce(0) { $0 + $1.tensor.byteCount }
    }
  }

  /// What a training step of this batch size would run.
  func plan(batchSize: Int) throws -> Plan { try makeStep(key(batchSize: batchSize)).plan }

  private func key(batchSize: Int) throws -> Key {
    let model = try model
    let inputs = model.inputs.map { TensorDescription([batchSize] + $0.shape.dropFirst().map { $0 ?? 1 }, $0.dtype) }
    let targets = zip(outputs, model.outputs).map { output, symbol -> TensorDescription? in
      guard let loss = output.loss else { return nil }
      // Integer labels are one a sample, other targets have the predictions' shape.
      let row = loss.targetDType == .int32 ? [] : symbol.shape.dropFirst().map { $0 ?? 1 }
      return TensorDescription([batchSize] + row, loss.targetDType)
    }
    return Key(
      inputs: inputs, targets: targets, weights: outputs.map { _ in nil }, training: true, backend: Backend.choiceGeneration,
      memoryBudget: memoryBudget)
  }

  // MARK: The frozen part

  /// Begins keeping the outputs of the frozen part, if there is one.
  ///
  /// - Parameter evaluates: whether there will be validation, so that a part of its own is worth it where training's does not serve.
  func keepFeatures(_ caching: FeatureCaching, evaluates: Bool) throws {
    try caching.check()
    let model = try model
    caches = (nil, nil)
    guard caching.place != .off else {
      model.featureStores = [:]
      return
    }
    let parts = try parts(model, PartsKey(fixing: caching.variants != nil, evaluates: evaluates))
    let share = parts.training != nil && parts.evaluation != nil ? 2 : 1
    func cache(_ part: FrozenPart) throws -> FeatureCache {
      try FeatureCache(model, part, caching, known: &model.featureStores, share: share)
    }
    caches.training = try parts.training.map(cache)
    caches.evaluation = try parts.trainingServesEvaluation ? caches.training : parts.evaluation.map(cache)
    let used = [caches.training, caches.evaluation].compactMap { $0 }
    // Those of other parts will hardly be asked for again, and what is trained now may need their memory.
    model.featureStores = Dictionary(used.map { ($0.storeKey, $0.store) }) { first, _ in first }
  }

  private func parts(_ model: Model, _ key: PartsKey) throws -> FrozenPart.Pair {
    if let known = frozenParts, known.key == key { return known.parts }
    let parts = try FrozenPart.Pair(model, plastic: trainableWeights, moving: movingWeights, fixing: key.fixing, evaluates: key.evaluates)
    frozenParts = (key, parts)
    return parts
  }

  /// Those known already where they serve: found for training alone, they have none of evaluation.
  private func parts(_ model: Model, training: Bool) throws -> FrozenPart.Pair {
    if let known = frozenParts, known.key.settings == Layer.settingsGeneration, training || known.key.evaluates { return known.parts }
    return try parts(model, PartsKey(fixing: false, evaluates: !training))
  }

  func forgetFeatures() { caches = (nil, nil) }

  /// The two plans that share a training step when the frozen part's outputs are kept.
  struct CachedPlans {
    /// The frozen part, for so many samples at a time, on so many threads that each have a plan of their own.
    let prefix: Plan
    let division: Plan.Division
    /// What is trained, for a batch of kept rows.
    let rest: Plan
    let rowBytes: Int
    /// How many rows there is room for.
    let kept: Int
    /// What it takes to read a batch of them.
    let readSeconds: Double
  }

  /// Nil where nothing is worth keeping.
  func cachedPlans(images: Int, batchSize: Int) throws -> CachedPlans? {
    try keepFeatures(.memory(), evaluates: false)
    defer { forgetFeatures() }
    guard let cache = caches.training else { return nil }
    let whole = try cache.plan(batchSize)
    let division = whole.division(of: batchSize) ?? Plan.Division(rows: batchSize, threads: 1)
    var key = try self.key(batchSize: batchSize)
    (key.cut, key.inputs) = (cache.part.prefix.cut, cache.part.prefix.counts.map { TensorDescription([batchSize, $0]) })
    return CachedPlans(
      prefix: try division.part { try cache.plan(division.rows) }, division: division, rest: try makeStep(key).plan,
      rowBytes: cache.store.rowBytes,
      kept: min(images, cache.store.capacity), readSeconds: try cache.secondsToRead(batchSize, of: images))
  }

  /// The cache where it serves: not for evaluation when that computes something else, not any more when a frozen weight was changed.
  func features(training: Bool) throws -> FeatureCache? {
    guard let cache = training ? caches.training : caches.evaluation else { return nil }
    guard cache.isCurrent else {
      if training { caches.training = nil } else { caches.evaluation = nil }
      return nil
    }
    return cache
  }

  /// What training moves: the trained weights, and moving averages.
  ///
  /// - Parameter inputs: of the model, in any size it takes.
  private func movingWeights(_ inputs: [TensorDescription]) throws -> Set<ObjectIdentifier> {
    if let knownMoving { return knownMoving }
    let moving = try FrozenPart.moving(model, trained: trainableWeights, inputs: inputs)
    knownMoving = moving
    return moving
  }

  private func checkFinite(_ batch: Batch) throws {
    func named(_ list: [Tensor?], _ name: String) -> [(Tensor, String)] {
      list.enumerated().compactMap { index, tensor in tensor.map { ($0, list.count > 1 ? "\(name)[\(index)]" : name) } }
    }
    for (tensor, what) in named(batch.inputs, "x") + named(batch.targets, "y") where tensor.dtype == .float32 {
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
}

extension Model {
  /// The names of the outputs in logs: those of the layers they come from.
  public var outputNames: [String] { outputs.map(\.node.layer.name) }

  /// Fixes the set of trainable weights and binds optimizer, loss and metrics. With several outputs the loss is that of each of them
  /// and the metrics are those of the first.
  ///
  /// - Parameter metrics: nil keeps those of the previous compile.
  @discardableResult
  public func compile(optimizer: Optimizer, loss: Loss, metrics: [Metric]? = nil) throws -> Trainer {
    let parts = outputNames.enumerated().map { CompiledOutput($1, loss: loss, metrics: $0 == 0 ? metrics ?? [] : []) }
    return try compile(optimizer: optimizer, outputs: parts, keepMetrics: metrics == nil)
  }

  /// The same with losses and metrics for each output.
  ///
  /// - Parameter keepMetrics: takes the metrics of the previous compile in place of those given.
  @discardableResult
  public func compile(optimizer: Optimizer, outputs parts: [CompiledOutput], keepMetrics: Bool = false) throws -> Trainer {
    guard parts.count == outputs.count else {
      throw XferError.invalid("model '\(name)' has \(outputs.count) outputs, losses and metrics for \(parts.count) were given")
    }
    guard parts.contains(where: { $0.loss != nil }) else { throw XferError.invalid("compile: at least one output is to have a loss") }
    for part in parts where part.lossWeight.map({ !$0.isFinite }) == true {
      throw XferError.invalid("compile: the loss weight of output '\(part.name)' is to be a finite number")
    }
    try optimizer.checkMultipliers(weights)
    var parts = parts
    if keepMetrics, let before = trainer?.outputs, before.count == parts.count {
      for index in parts.indices {
        (parts[index].metrics, parts[index].weightedMetrics) = (before[index].metrics, before[index].weightedMetrics)
      }
    }
    let trainer = Trainer(model: self, optimizer: optimizer, outputs: parts)
    self.trainer = trainer
    return trainer
  }

  func compiled() throws -> Trainer {
    guard let trainer else { throw XferError(XFER_E_NOT_COMPILED, "model '\(name)' is not compiled: call compile() first") }
    return trainer
  }
}
