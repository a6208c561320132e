import ArgumentParser
import Xfer

struct Bench: ParsableCommand, ReportsJSON {
  static let configuration = CommandConfiguration(
    abstract: "Measure how fast a model runs on this machine.",
    discussion: """
      Runs batch after batch of random images and prints the median. --training measures training steps of all layers that are trainable, with Adam.

        xfer bench efficientnet-lite0
        xfer bench model.keras --batch-size 32 --training
        xfer bench xception --backend onednn --threads 1 --precision bf16
      """)

  @Argument(help: ArgumentHelp(ModelArgument.help, valueName: "model"))
  var model: ModelArgument

  @Option(help: ArgumentHelp("Height and width of the images, for a built-in architecture.", valueName: "HxW"))
  var imageSize: ImageSize?

  @Option(help: ArgumentHelp("Images in a batch.", valueName: "n"))
  var batchSize = 1

  @Option(help: ArgumentHelp("Batches that are timed; before them one is not.", valueName: "n"))
  var batches = 10

  @Flag(help: "Training steps in place of predictions.")
  var training = false

  @OptionGroup var runtime: RuntimeOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try model.check("MODEL")
    guard (1...Int(Int32.max)).contains(batchSize), batches > 0 else {
      throw ValidationError("--batch-size and --batches are to be above 0, --batch-size below 2^31.")
    }
  }

  func run() throws {
    Interrupt.install()
    try runtime.apply()
    let loaded = try model.load(size: imageSize, features: false, unnamed: "random")
    let x = try images(loaded)
    let y = try training ? compile(loaded) : nil
    var seconds: [Double] = []
    for batch in 0...batches {
      try Interrupt.check()
      let start = monotonicSeconds()
      if let y { _ = try loaded.trainOnBatch(Batch(x: x, y: y)) } else { _ = try loaded(x) }
      // The first one makes the plan.
      if batch > 0 { seconds.append(monotonicSeconds() - start) }
    }
    let peak = peakResidentBytes()
    report(seconds.sorted(), try loaded.plan(batchSize: batchSize, training: training), peak: peak)
  }

  /// Makes the model ready to train, and labels for a batch.
  private func compile(_ loaded: Model) throws -> Tensor {
    let classifier = try Classifier(loaded, model.title)
    try loaded.compile(optimizer: Adam(learningRate: 1e-5), loss: classifier.loss, metrics: [])
    let labels = (0..<batchSize).map { Int32($0 % classifier.classCount) }
    return try classifier.columns == 1 ? Tensor(labels.map { Float($0) }, shape: [batchSize, 1]) : Tensor(labels: labels)
  }

  /// Numbers from 0 to 255, the same in every run.
  private func images(_ loaded: Model) throws -> Tensor {
    let size = try inputSize(of: loaded, model.title)
    var state: UInt32 = 1
    let images = try Tensor(zeros: [batchSize, size.height, size.width, 3])
    for index in 0..<images.count {
      state = state &* 1_664_525 &+ 1_013_904_223
      images.float32[index] = Float(state >> 24)
    }
    return images
  }

  private func report(_ seconds: [Double], _ plan: Plan, peak: Int) {
    let median = (seconds[(seconds.count - 1) / 2] + seconds[seconds.count / 2]) / 2
    let nodes = plan.report()
    let flops = nodes.reduce(0) { $0 + $1.flops }
    let backends = Set(nodes.map(\.backend)).sorted()
    if output.json {
      printJSON([
        "model": .string(model.title), "batch_size": .int(batchSize), "batches": .int(seconds.count), "training": .bool(training),
        "median_seconds": .double(median), "fastest_seconds": .double(seconds[0]), "images_per_second": .double(Double(batchSize) / median),
        "flops": .double(flops), "flops_per_second": .double(flops / median), "peak_rss_bytes": .int(peak),
        "plan_bytes": .int(plan.peakBytes), "backends": .array(backends.map { .string($0) }),
        "threads": .int(ThreadPool.shared.threadCount), "precision": .string(plan.precision.name),
      ])
      return
    }
    print(
      aligned([
        ["images per second", fixed(Double(batchSize) / median, 1)],
        ["milliseconds a batch", "\(fixed(median * 1e3, 2)) (fastest \(fixed(seconds[0] * 1e3, 2)))"],
        ["GFLOP/s", fixed(flops / median / 1e9, 1)], ["peak memory", "\(peak / 1_048_576) MiB"],
        ["backends", backends.joined(separator: ", ")], ["threads", "\(ThreadPool.shared.threadCount)"],
        ["precision", plan.precision.name],
      ]))
  }
}
