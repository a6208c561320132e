import ArgumentParser
import Xfer

struct Evaluate: ParsableCommand, ReportsJSON {
  static let configuration = CommandConfiguration(
    abstract: "Measure loss and accuracy of a model on a folder of images.",
    discussion: """
      The folder has one subfolder for each class, under the names the model was trained with.

        xfer evaluate model.keras photos/test
      """)

  @Argument(help: ArgumentHelp(ModelArgument.help, valueName: "model"))
  var model: ModelArgument

  @Argument(help: ArgumentHelp("Images, one subfolder for each class.", valueName: "dir"))
  var data: String

  @Option(help: ArgumentHelp("Images in a batch.", valueName: "n"))
  var batchSize = 32

  @OptionGroup var runtime: RuntimeOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try model.check("MODEL")
    guard batchSize > 0 else { throw ValidationError("--batch-size is to be above 0, \(batchSize) was given.") }
  }

  func run() throws {
    Interrupt.install()
    try runtime.apply()
    let loaded = try model.load(size: nil, features: false, unnamed: "imagenet")
    let classifier = try Classifier(loaded, model.title)
    let size = try inputSize(of: loaded, model.title)
    var options = ImageFolderOptions()
    options.imageSize = (size.height, size.width)
    options.batchSize = batchSize
    options.shuffle = false
    options.classNames = classifier.classNames
    let images = try ImageFolderDataset(data, options)
    guard images.classNames.count == classifier.classCount else {
      throw XferError.data("\(data) has \(images.classNames.count) class folders, the model knows \(classifier.classCount) classes")
    }
    try loaded.compile(optimizer: Adam(), loss: classifier.loss, metrics: [classifier.accuracy])
    let start = monotonicSeconds()
    let logs = try loaded.evaluate(InterruptibleDataset(images), verbose: 1)
    let seconds = monotonicSeconds() - start
    let (loss, accuracy) = (logs["loss"] ?? .nan, logs["accuracy"] ?? .nan)
    if output.json {
      printJSON([
        "loss": .double(loss), "accuracy": .double(accuracy), "images": .int(images.count - images.skipped.count),
        "classes": .array(images.classNames.map { .string($0) }), "seconds": .double(seconds),
        "skipped": .array(images.skipped.map { ["path": .string($0.path), "reason": .string($0.reason)] }),
      ])
    } else {
      print(
        aligned([
          ["accuracy", percent(accuracy)], ["loss", fixed(loss, 4)], ["images", "\(images.count - images.skipped.count)"],
          ["skipped images", "\(images.skipped.count)"], ["seconds", fixed(seconds, 1)],
        ]))
    }
  }
}
