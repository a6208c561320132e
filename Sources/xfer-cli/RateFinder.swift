import ArgumentParser
import Xfer

struct RateFinder: ParsableCommand, ReportsJSON {
  static let configuration = CommandConfiguration(
    commandName: "lr-find",
    abstract: "Find a learning rate: train on batch after batch with a growing rate and watch the loss.",
    discussion: """
      Leslie Smith's range test. The suggestion is the rate at which the loss falls most steeply; well before the loss grows again is where \
      training is fast and still safe. Nothing is saved but the drawing.

      For a new head on a pretrained base, with --unfreeze for a part of the base as well:

        xfer lr-find --base efficientnet-lite0:efficientnet-lite0.safetensors --data photos --svg rates.svg

      For a model that was trained before, with the layers that are trainable in it:

        xfer lr-find model.keras --data photos
      """)

  @Argument(help: ArgumentHelp("A saved classifier (.keras, .h5), in place of --base.", valueName: "model"))
  var model: ModelArgument?

  @Option(help: ArgumentHelp("The pretrained network under a new head. \(ModelArgument.help)", valueName: "model"))
  var base: ModelArgument?

  @OptionGroup var source: SourceOptions

  @Option(
    help: ArgumentHelp("What of --base is trained along with the head: all, last:N, last:P%, from:LAYER or none.", valueName: "layers"))
  var unfreeze = UnfreezeDepth.none

  @Option(help: ArgumentHelp("The optimizer whose rate is looked for.", valueName: "class"))
  var optimizer = "Adam"

  @Option(help: ArgumentHelp("The first rate.", valueName: "rate"))
  var minRate = 1e-7

  @Option(help: ArgumentHelp("The last rate.", valueName: "rate"))
  var maxRate = 1.0

  @Option(help: ArgumentHelp("Batches at most.", valueName: "n"))
  var steps = 100

  @OptionGroup var runtime: RuntimeOptions

  @Option(help: ArgumentHelp("Where to draw the curve (SVG).", valueName: "file"))
  var svg: String?

  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard (model == nil) != (base == nil) else { throw ValidationError("One of MODEL and --base is wanted.") }
    try model?.check("MODEL")
    try base?.check("--base")
    guard minRate > 0, maxRate > minRate, maxRate.isFinite else {
      throw ValidationError("--min-rate and --max-rate are to be above 0 and to grow, \(minRate) and \(maxRate) were given.")
    }
    guard steps > 1 else { throw ValidationError("--steps is to be 2 or above, \(steps) was given.") }
  }

  func run() throws {
    Interrupt.install()
    try checkWritable(svg, "--svg")
    try runtime.apply()
    RandomSeed.set(UInt64(source.seed))
    var options = RangeTestOptions()
    (options.minRate, options.maxRate, options.steps) = (minRate, maxRate, steps)
    let range = try measure(options)
    if let svg { try AtomicFile.write(range.svg, to: svg) }
    if output.json {
      printJSON(range.json)
      return
    }
    let lowest = zip(range.losses, range.rates).min { $0.0 < $1.0 }
    print(
      aligned([
        ["suggested rate", range.suggestion.map(LearningRateRange.text) ?? "none: the loss never falls"],
        ["lowest loss", lowest.map { "\(fixed($0.0, 4)) at \(LearningRateRange.text($0.1))" } ?? "-"],
        ["batches", "\(range.rates.count)"],
      ]))
    if let svg { print("drawing: \(svg)") }
  }

  private func measure(_ options: RangeTestOptions) throws -> LearningRateRange {
    let made = try Optimizer.make(optimizer)
    if let base {
      let network = try HeadedNetwork(base, source)
      try network.base.unfreeze(unfreeze)
      try network.compile(made)
      return try network.trained.findLearningRate(InterruptibleDataset(network.train), options: options)
    }
    guard let argument = model else { throw XferError.internal("neither a model nor a base") }
    let loaded = try argument.load(size: source.imageSize, features: false, unnamed: "imagenet")
    let classifier = try Classifier(loaded, argument.title)
    let size = try inputSize(of: loaded, argument.title)
    let (train, _) = try source.open(size, classNames: classifier.classNames)
    guard train.classNames.count == classifier.classCount else {
      throw XferError.data("\(source.data) has \(train.classNames.count) class folders, the model knows \(classifier.classCount) classes")
    }
    try loaded.compile(optimizer: made, loss: classifier.loss, metrics: [])
    return try loaded.findLearningRate(InterruptibleDataset(train), options: options)
  }
}
