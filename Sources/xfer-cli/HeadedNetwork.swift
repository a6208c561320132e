import Xfer

/// A frozen base with a new head for the classes of a folder, and the images to train it on.
struct HeadedNetwork {
  let model: Model
  /// What is trained: `model`, behind the random changes of the images where there are any. They share all weights.
  let trained: Model
  let base: Model
  let train: ImageFolderDataset
  let validation: ImageFolderDataset
  let size: ImageSize
  private let classifier: Classifier

  init(_ argument: ModelArgument, _ options: SourceOptions) throws {
    let baseName = argument.title
    // The size is needed to open the images, and a saved base alone knows its own.
    var loaded: Model?
    switch argument {
    case .file:
      let model = try argument.load(size: options.imageSize, features: true, unnamed: "imagenet")
      size = try inputSize(of: model, baseName)
      loaded = model
    default: size = try options.imageSize ?? argument.defaultSize()
    }
    (train, validation) = try options.open(size)
    let names = train.classNames
    guard names.count > 1 else {
      throw XferError.data("\(options.data) has one class folder, \(names.joined(separator: ", ")): two or more are wanted")
    }
    base = try loaded ?? argument.load(size: size, features: true, unnamed: "imagenet")
    base.trainable = false

    let head = ClassifierHead(classes: names.count)
    model = try head.model(on: base, baseName, size)
    let changes = try options.augment?.layers(seed: Int(options.seed)) ?? []
    if changes.isEmpty {
      trained = model
    } else {
      let start = try Input(shape: [size.height, size.width, 3])
      let changed = try changes.reduce(start) { try $1($0) }
      trained = try Model(start, head(base(changed, training: false), baseName))
    }
    model.metadata = ["class_names": .array(names.map { .string($0) })]
    classifier = try Classifier(model, baseName)
    note("\(names.count) classes, \(train.count) images to train on, \(validation.count) to validate on, \(size.text)")
  }

  func compile(_ optimizer: Optimizer) throws {
    try trained.compile(optimizer: optimizer, loss: classifier.loss, metrics: [classifier.accuracy])
  }
}
