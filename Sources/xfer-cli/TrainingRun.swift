import Xfer

/// The workflow of `xfer train`: base frozen, head trained, base unfrozen, everything fine-tuned, or what else the plan says.
struct TrainingRun {
  let model: Model
  /// What is trained: `model`, behind the random changes of the images where there are any. They share all weights.
  private let trained: Model
  var result: TrainingResult
  private let options: Train
  private let plan: PhasePlan
  private let base: Model
  private let classifier: Classifier
  private let train: ImageFolderDataset
  private let validation: ImageFolderDataset

  init(_ options: Train) throws {
    let baseName = options.base.title
    plan = try options.phasePlan()
    // The size is needed to open the images, and a saved base alone knows its own.
    var loaded: Model?
    let size: ImageSize
    switch options.base {
    case .file:
      let model = try options.base.load(size: options.imageSize, features: true, unnamed: "imagenet")
      size = try inputSize(of: model, baseName)
      loaded = model
    default: size = try options.imageSize ?? options.base.defaultSize()
    }
    (train, validation) = try Self.open(options, size)
    let names = train.classNames
    guard names.count > 1 else {
      throw XferError.data("\(options.data) has one class folder, \(names.joined(separator: ", ")): two or more are wanted")
    }
    base = try loaded ?? options.base.load(size: size, features: true, unnamed: "imagenet")
    base.trainable = false

    let input = try Input(shape: [size.height, size.width, 3])
    let x = try base(input, training: false)
    guard x.shape.count == 4 || x.shape.count == 2 else {
      throw XferError.shape("\(baseName) gives \(x.shape.dropFirst().map { $0 ?? 0 }): features [h, w, channels] or [features] are wanted")
    }
    let pooling = x.shape.count == 4 ? GlobalAveragePooling2D() : nil
    let dense = Dense(names.count == 2 ? 1 : names.count)
    func head(_ features: SymbolicTensor) throws -> SymbolicTensor { try dense(pooling.map { try $0(features) } ?? features) }
    model = try Model(input, head(x))
    let changes = try options.augment?.layers(seed: Int(options.seed)) ?? []
    if changes.isEmpty {
      trained = model
    } else {
      let start = try Input(shape: [size.height, size.width, 3])
      let changed = try changes.reduce(start) { try $1($0) }
      trained = try Model(start, head(base(changed, training: false)))
    }
    model.metadata = ["class_names": .array(names.map { .string($0) })]
    classifier = try Classifier(model, baseName)
    self.options = options
    result = TrainingResult(classes: names, base: baseName, images: (train.count, validation.count), size: size)
    note("\(names.count) classes, \(train.count) images to train on, \(validation.count) to validate on, \(size.text)")
  }

  private static func open(_ options: Train, _ size: ImageSize) throws -> (ImageFolderDataset, ImageFolderDataset) {
    var common = ImageFolderOptions()
    common.imageSize = (size.height, size.width)
    common.batchSize = options.batchSize
    common.seed = UInt64(options.seed)
    var (training, validating) = (common, common)
    guard let folder = options.val else {
      (training.validationSplit, training.subset) = (options.validationSplit ?? 0.2, .training)
      (validating.validationSplit, validating.subset) = (options.validationSplit ?? 0.2, .validation)
      return (try ImageFolderDataset(options.data, training), try ImageFolderDataset(options.data, validating))
    }
    let train = try ImageFolderDataset(options.data, training)
    validating.shuffle = false
    validating.classNames = train.classNames
    return (train, try ImageFolderDataset(folder, validating))
  }

  mutating func start() throws {
    let begin = monotonicSeconds()
    defer {
      result.seconds = monotonicSeconds() - begin
      result.peakBytes = peakResidentBytes()
      result.skipped = (train.skipped + validation.skipped).map { ($0.path, $0.reason) }
    }
    try trained.compile(optimizer: Adam(), loss: classifier.loss, metrics: [classifier.accuracy])
    note("validating before training")
    result.before = try trained.evaluate(InterruptibleDataset(validation))
    try runPhases()
    // What the report says of memory is the training's, not that of the plan made for the report.
    result.peakBytes = peakResidentBytes()
    result.plan = try trained.plan(batchSize: options.batchSize, training: true).json
  }

  private mutating func runPhases() throws {
    var phases = PhaseOptions()
    phases.fit.verbose = 1
    phases.fit.cache = options.cache.caching
    phases.fit.validation = InterruptibleDataset(validation)
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
    recorder.history = try trained.fit(InterruptibleDataset(train), phases: plan, options: phases)
  }

  /// What the numbers depend on besides plan and base.
  private var identity: JSONValue {
    [
      "classes": .array(result.classes.map { .string($0) }), "images": [.int(train.count), .int(validation.count)],
      "image_size": .string(result.size.text), "batch_size": .int(options.batchSize), "seed": .int(Int(options.seed)),
      "augment": .string(options.augment?.text ?? ""),
    ]
  }

  private final class Recorder { var history = PhaseHistory() }
}
