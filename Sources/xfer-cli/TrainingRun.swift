import Xfer

/// The workflow of `xfer train`: base frozen, head trained, base unfrozen, everything fine-tuned, or what else the plan says.
struct TrainingRun {
  var result: TrainingResult
  private let options: Train
  private let plan: PhasePlan
  private let network: HeadedNetwork
  var model: Model { network.model }

  init(_ options: Train) throws {
    plan = try options.phasePlan()
    network = try HeadedNetwork(options.base, options.source)
    self.options = options
    result = TrainingResult(
      classes: network.train.classNames, base: options.base.title, images: (network.train.count, network.validation.count),
      size: network.size)
  }

  mutating func start() throws {
    let begin = monotonicSeconds()
    defer {
      result.seconds = monotonicSeconds() - begin
      result.peakBytes = peakResidentBytes()
      result.skipped = (network.train.skipped + network.validation.skipped).map { ($0.path, $0.reason) }
    }
    try network.compile(Adam())
    note("validating before training")
    result.before = try network.trained.evaluate(InterruptibleDataset(network.validation))
    try runPhases()
    // What the report says of memory is the training's, not that of the plan made for the report.
    result.peakBytes = peakResidentBytes()
    result.plan = try network.trained.planReport(batchSize: options.source.batchSize, training: true).json
    if options.report != nil {
      result.drawing = try network.trained.planFigure(batchSize: options.source.batchSize, training: true, showShapes: true)
    }
  }

  private mutating func runPhases() throws {
    var phases = PhaseOptions()
    phases.fit.verbose = 1
    phases.fit.cache = options.caching
    phases.fit.memoryBudget = options.memoryBudget?.bytes
    phases.fit.validation = InterruptibleDataset(network.validation)
    phases.checkpoint = options.checkpointFile
    phases.saveFrequency = options.checkpointBatches
    phases.resume = options.resume
    // It goes when the model is saved.
    phases.deleteCheckpoint = false
    phases.identity = identity
    let (count, recorder) = (model.countParams(), Recorder())
    phases.onEvent = { event, history in
      // Noted as they end, so that an interrupted run keeps those it had.
      recorder.history = history
      guard let phase = history.phases.last else { return }
      switch event {
      case .phaseBegin:
        note("\(phase.name): \(phase.trainedParameters) of \(count) parameters are trained")
        if !phase.history.epochs.isEmpty { note("\(phase.name): \(phase.history.epochs.count) epochs were done before") }
      case .epochEnd: break
      case .phaseEnd: note("\(phase.name): \(phase.frozenWeights) frozen weights are bit-equal to before")
      }
    }
    defer { result.history = recorder.history }
    recorder.history = try network.trained.fit(InterruptibleDataset(network.train), phases: plan, options: phases)
  }

  /// What the numbers depend on besides plan and base.
  private var identity: JSONValue {
    [
      "classes": .array(result.classes.map { .string($0) }), "images": [.int(result.images.train), .int(result.images.validation)],
      "image_size": .string(result.size.text), "batch_size": .int(options.source.batchSize), "seed": .int(Int(options.source.seed)),
      "augment": .string(options.source.augment?.text ?? ""), "cache_dtype": .string(options.cacheDtype.rawValue),
      "cache_variants": .int(options.cacheVariants ?? 0),
    ]
  }

  private final class Recorder { var history = PhaseHistory() }
}
