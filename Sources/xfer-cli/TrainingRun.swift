import Xfer

/// The workflow of `xfer train`: base frozen, head trained, base unfrozen, everything fine-tuned.
struct TrainingRun {
  let model: Model
  /// What is trained: `model`, behind the random changes of the images where there are any. They share all weights.
  private let trained: Model
  var result: TrainingResult
  private let options: Train
  private let base: Model
  private let classifier: Classifier
  private let train: ImageFolderDataset
  private let validation: ImageFolderDataset

  init(_ options: Train) throws {
    let baseName = options.base.title
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
    try compile(options.learningRate)
    note("validating before training")
    result.before = try trained.evaluate(InterruptibleDataset(validation))
    try phase("head", epochs: options.epochs)
    if options.fineTuneEpochs > 0, !options.unfreeze.isNone {
      try options.unfreeze.apply(to: base)
      try compile(options.fineTuneRate)
      try phase("fine-tune", epochs: options.fineTuneEpochs)
    }
    // What the report says of memory is the training's, not that of the plan made for the report.
    result.peakBytes = peakResidentBytes()
    result.plan = try trained.plan(batchSize: options.batchSize, training: true).json
  }

  private func compile(_ rate: Double) throws {
    try trained.compile(optimizer: Adam(learningRate: rate), loss: classifier.loss, metrics: [classifier.accuracy])
  }

  private mutating func phase(_ name: String, epochs: Int) throws {
    let parameters = model.trainableWeights.reduce(0) { $0 + $1.count }
    note("\(name): \(parameters) of \(model.countParams()) parameters are trained")
    let audit = model.audit()
    var phase = TrainingResult.Phase(name: name, trainedParameters: parameters, frozenWeights: audit.frozen.count)
    result.phases.append(phase)
    let index = result.phases.count - 1
    var fit = FitOptions()
    fit.epochs = epochs
    fit.verbose = 1
    fit.cache = options.cache.caching
    fit.validation = InterruptibleDataset(validation)
    // Epochs are noted as they end, so that an interrupted run keeps those it had.
    var begun = monotonicSeconds()
    let recorder = Recorder()
    fit.onEvent = { event, _, _, logs in
      switch event {
      case .epochBegin: begun = monotonicSeconds()
      case .epochEnd: recorder.epochs.append(TrainingResult.Epoch(logs: logs, seconds: monotonicSeconds() - begun))
      default: break
      }
      return true
    }
    defer {
      phase.epochs = recorder.epochs
      result.phases[index] = phase
    }
    _ = try trained.fit(InterruptibleDataset(train), options: fit)
    try audit.verify()
    phase.audited = true
    note("\(name): \(audit.frozen.count) frozen weights are bit-equal to before")
  }

  private final class Recorder { var epochs: [TrainingResult.Epoch] = [] }
}
