// Transfer learning from a folder of images: freeze a pretrained base, train a new head, unfreeze, fine-tune.
//
//   transfer-example --data train/ --val val/ --base efficientnet-lite0:lite0.safetensors --epochs 8
//
// Each epoch prints one line with fixed digits; the same seed and backend give the same lines with --loop fit and --loop custom.
import Glibc
import Xfer

@main
struct Transfer {
  static func main() {
    do {
      try run(Options(Array(CommandLine.arguments.dropFirst())))
    } catch {
      complain("transfer-example: \(error)")
      exit(1)
    }
  }

  private static func run(_ options: Options) throws {
    try ThreadPool.shared.setThreadCount(options.threads)
    try Backend.select(options.backend)
    RandomSeed.set(UInt64(options.seed))

    let (train, validation) = try datasets(options)
    let (base, model) = try build(options, classes: train.classNames.count)
    let loop = options.loop == "custom" ? trainByHand : trainWithFit

    print("head: \(model.trainableWeights.count) of \(model.weights.count) weights are trained")
    let before = bits(base.weights)
    try loop(model, train, validation, options.epochs, options.learningRate)
    try check(base.weights, before, "frozen weights moved")
    print("frozen: \(before.count) weights are bit-equal to before")

    if options.fineTuneEpochs > 0 {
      base.trainable = true
      print("fine-tune: \(model.trainableWeights.count) of \(model.weights.count) weights are trained")
      try loop(model, train, validation, options.fineTuneEpochs, options.fineTuneRate)
      try check(base.nonTrainableWeights, before, "statistics moved though the base runs in inference mode")
      print("frozen: \(base.nonTrainableWeights.count) statistics are bit-equal to before")
    }
    for skipped in train.skipped { complain("skipped: \(skipped.path): \(skipped.reason)") }
    if let path = options.out {
      model.metadata["class_names"] = .array(train.classNames.map { .string($0) })
      try model.save(path)
      print("saved: \(path)")
    }
  }

  /// Training and validation batches; the training ones shuffled anew every epoch, by the seed.
  private static func datasets(_ options: Options) throws -> (ImageFolderDataset, ImageFolderDataset) {
    var folder = ImageFolderOptions()
    (folder.imageSize, folder.batchSize, folder.seed) = (options.imageSize, options.batchSize, UInt64(options.seed))
    if let path = options.val {
      let train = try ImageFolderDataset(options.data, folder)
      (folder.shuffle, folder.classNames) = (false, train.classNames)
      return (train, try ImageFolderDataset(path, folder))
    }
    folder.validationSplit = 0.2
    folder.subset = .training
    let train = try ImageFolderDataset(options.data, folder)
    folder.subset = .validation
    return (train, try ImageFolderDataset(options.data, folder))
  }

  /// (base, model): pixels → preprocessing → base in inference mode for good → mean over the image → one logit a class.
  private static func build(_ options: Options, classes: Int) throws -> (base: Model, model: Model) {
    let parts = options.base.split(separator: ":", maxSplits: 1).map(String.init)
    let shape = [options.imageSize.height, options.imageSize.width, 3]
    let base = try Application.make(
      parts[0],
      config: [
        "weights": parts.count > 1 ? .string(parts[1]) : .null, "include_top": false, "preprocessing": true,
        "input_shape": .array(shape.map { .int($0) }),
      ])
    base.trainable = false
    let inputs = try Input(shape: shape)
    var x = try base(inputs, training: false)
    x = try GlobalAveragePooling2D()(x)
    return (base, try Model(inputs, Dense(classes)(x)))
  }

  // MARK: The two loops

  private static func report(_ epoch: Int, _ logs: (String) -> Double) {
    print(
      "epoch \(epoch + 1) loss \(fixed(logs("loss"), 6)) accuracy \(fixed(logs("accuracy"), 4)) "
        + "val_loss \(fixed(logs("val_loss"), 6)) val_accuracy \(fixed(logs("val_accuracy"), 4))")
    // The line is to appear now, also in a pipe.
    fflush(nil)
  }

  /// A line on standard error.
  private static func complain(_ message: String) {
    let line = message + "\n"
    _ = line.withCString { write(2, $0, line.utf8.count) }
  }

  /// Keras' own loop.
  private static func trainWithFit(
    _ model: Model, _ train: ImageFolderDataset, _ validation: ImageFolderDataset, _ epochs: Int, _ rate: Double
  ) throws {
    try model.compile(
      optimizer: Adam(learningRate: rate), loss: SparseCategoricalCrossentropy(fromLogits: true),
      metrics: [SparseCategoricalAccuracy(name: "accuracy")])
    var options = FitOptions()
    (options.epochs, options.validation) = (epochs, validation)
    options.onEvent = { event, epoch, _, logs in
      if event == .epochEnd { report(epoch) { logs[$0] ?? .nan } }
      return true
    }
    _ = try model.fit(train, options: options)
  }

  /// The same with a loop of one's own.
  private static func trainByHand(
    _ model: Model, _ train: ImageFolderDataset, _ validation: ImageFolderDataset, _ epochs: Int, _ rate: Double
  ) throws {
    let (lossFunction, optimizer) = (SparseCategoricalCrossentropy(fromLogits: true), try Adam(learningRate: rate))
    let accuracy = SparseCategoricalAccuracy()
    for epoch in 0..<epochs {
      var logs: [String: Double] = [:]
      var (sum, count) = (0.0, 0.0)
      accuracy.reset()
      try train.restart(epoch: epoch)
      while let batch = try train.next() {
        let tape = GradientTape()
        let predictions = try model(batch.x, training: true, tape: tape)
        let loss = try lossFunction(batch.y, predictions, tape: tape)
        let gradients = try tape.gradient(loss, model.trainableWeights)
        try optimizer.apply(gradients, to: model.trainableWeights)
        (sum, count) = (sum + Double(loss.float32[0]) * Double(batch.count), count + Double(batch.count))
        try accuracy.update(batch.y, predictions)
      }
      (logs["loss"], logs["accuracy"]) = (sum / count, accuracy.result)
      (sum, count) = (0, 0)
      accuracy.reset()
      try validation.restart(epoch: 0)
      while let batch = try validation.next() {
        let predictions = try model(batch.x)
        let loss = try lossFunction(batch.y, predictions)
        (sum, count) = (sum + Double(loss.float32[0]) * Double(batch.count), count + Double(batch.count))
        try accuracy.update(batch.y, predictions)
      }
      (logs["val_loss"], logs["val_accuracy"]) = (sum / count, accuracy.result)
      report(epoch) { logs[$0] ?? .nan }
    }
  }

  // MARK: Frozen means not one bit

  private static func bits(_ weights: [Variable]) -> [ObjectIdentifier: [UInt32]] {
    Dictionary(uniqueKeysWithValues: weights.map { (ObjectIdentifier($0), $0.values.map(\.bitPattern)) })
  }

  private static func check(_ weights: [Variable], _ before: [ObjectIdentifier: [UInt32]], _ complaint: String) throws {
    let moved = weights.filter { $0.values.map(\.bitPattern) != before[ObjectIdentifier($0)] }.map(\.path)
    guard moved.isEmpty else { throw XferError.state("\(complaint): \(moved.joined(separator: ", "))") }
  }
}
