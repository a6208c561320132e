import ArgumentParser
import Xfer

struct PlanCommand: ParsableCommand, ReportsJSON {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Show how a model runs: each op, the backend that does it, what was fused into it, and its cost.",
    discussion: """
        xfer plan model.keras
        xfer plan efficientnet-lite0 --batch-size 32 --backend naive
        xfer plan model.keras --training --svg plan.svg

      With --unfreeze or --freeze the model is the base of a transfer: the plan is that of a training step with a new head on it. --forecast \
      says what an epoch of --images takes for several depths of unfreezing, with and without keeping what the frozen part gives (--cache of \
      'xfer train'). Times are sums of what the ops take on this machine, measured in some seconds; reading images is not in them.

        xfer plan efficientnet-lite0 --unfreeze last:33% --batch-size 32
        xfer plan efficientnet-lite0 --forecast --images 2000 --batch-size 32
      """)

  @Argument(help: ArgumentHelp(ModelArgument.help, valueName: "model"))
  var model: ModelArgument

  @Option(help: ArgumentHelp("Height and width of the images, for a built-in architecture.", valueName: "HxW"))
  var imageSize: ImageSize?

  @Option(help: ArgumentHelp("Images in a batch.", valueName: "n"))
  var batchSize = 1

  @Flag(help: "The plan of a training step: forward, backward and updates of all layers that are trainable.")
  var training = false

  @Option(
    help: ArgumentHelp("What of the base is trained below a new head: all, last:N, last:P%, from:LAYER or none.", valueName: "layers"))
  var unfreeze: UnfreezeDepth?

  @Option(
    help: ArgumentHelp("The same by what stays as it is: all, none, or until:LAYER, the first layer that is trained.", valueName: "layers"))
  var freeze: FreezeDepth?

  @Flag(help: "What an epoch will cost for several depths of unfreezing, or for that of --unfreeze or --freeze.")
  var forecast = false

  @Option(help: ArgumentHelp("Images of an epoch, for --forecast.", valueName: "n"))
  var images = 1000

  @Option(help: ArgumentHelp("Classes of the new head.", valueName: "n"))
  var classes = 2

  @Option(help: ArgumentHelp("Where to draw the plan (SVG).", valueName: "file"))
  var svg: String?

  @OptionGroup var runtime: RuntimeOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try model.check("MODEL")
    guard batchSize > 0 else { throw ValidationError("--batch-size is to be above 0, \(batchSize) was given.") }
    guard images > 0 else { throw ValidationError("--images is to be above 0, \(images) was given.") }
    guard classes > 1 else { throw ValidationError("--classes is to be 2 or above, \(classes) was given.") }
    guard unfreeze == nil || freeze == nil else { throw ValidationError("--unfreeze and --freeze say the same thing: give one of them.") }
    guard !forecast || svg == nil else { throw ValidationError("--forecast draws nothing: leave --svg out.") }
  }

  func run() throws {
    try checkWritable(svg, "--svg")
    try runtime.apply()
    let depth = unfreeze ?? freeze?.unfreeze
    let hasHead = depth != nil || forecast
    let loaded = try hasHead ? transfer(depth ?? .none) : model.load(size: imageSize, features: !training, unnamed: "random")
    if forecast { return try printForecast(loaded, depth.map { [$0] }) }
    if training && !hasHead { try compile(loaded) }
    if let svg { try AtomicFile.write(loaded.planFigure(batchSize: batchSize, training: training || hasHead, showShapes: true), to: svg) }
    let report = try loaded.planReport(batchSize: batchSize, training: training || hasHead)
    if output.json {
      printJSON(report.json)
      return
    }
    let rows = zip(report.nodes, report.states).map { node, state in
      [
        node.layer, node.op, node.backend, node.shape.map(String.init).joined(separator: "x"), fixed(node.flops / 1e6, 1),
        fixed(Double(node.bytes) / 1e6, 2), node.phase.rawValue, state == .none ? "" : state.rawValue,
        node.fusedFrom.joined(separator: " + "),
      ]
    }
    print(aligned([["layer", "op", "backend", "shape", "MFLOP", "MB", "phase", "weights", "fused from"]] + rows, right: [4, 5]))
    let flops = report.nodes.reduce(0) { $0 + $1.flops }
    print(
      "\n\(report.nodes.count) ops, \(fixed(flops / 1e9, 2)) GFLOP, \(fixed(Double(report.plan.peakBytes) / 1e6, 1)) MB of intermediate values"
    )
  }

  private func compile(_ model: Model) throws {
    let classifier = try Classifier(model, self.model.title)
    try model.compile(optimizer: Adam(), loss: classifier.loss, metrics: [])
  }

  /// The model as a base, unfrozen so far, below a new head.
  private func transfer(_ depth: UnfreezeDepth) throws -> Model {
    let base = try model.load(size: imageSize, features: true, unnamed: "random")
    let whole = try ClassifierHead(classes: classes).model(on: base, model.title, inputSize(of: base, model.title))
    try base.unfreeze(depth)
    try compile(whole)
    return whole
  }

  private func printForecast(_ model: Model, _ depths: [UnfreezeDepth]?) throws {
    let costs = try model.forecast(images: images, batchSize: batchSize, depths: depths)
    if output.json { return printJSON(["forecast": .array(costs.map(\.json))]) }
    print(
      "An epoch of \(images) images, batches of \(min(batchSize, images)), \(ThreadPool.shared.threadCount) threads; the base frozen or unfrozen:\n"
    )
    let title = ["unfreeze", "trained", "GFLOP", "seconds", "MB", "kept: first epoch", "each later", "MB"]
    let rows = costs.map { cost in
      let kept = cost.cached.map {
        [duration($0.first.seconds), duration($0.later.seconds), fixed(Double(cost.cachedBytes ?? 0) / 1e6, 0)]
      }
      return [
        cost.unfreeze.text, "\(cost.trainedParameters)", fixed(cost.uncached.flops / 1e9, 0), duration(cost.uncached.seconds),
        fixed(Double(cost.uncachedBytes) / 1e6, 0),
      ] + (kept ?? ["-", "-", "-"])
    }
    print(aligned([title] + rows, right: [1, 2, 3, 4, 5, 6, 7]))
    print(
      "\nkept: what the frozen part gives is run once an image, by default (--cache). MB: the most that training takes, beside the program."
    )
  }

  private func duration(_ seconds: Double) -> String { fixed(seconds, seconds < 0.1 ? 4 : seconds < 10 ? 2 : 0) }
}

/// `--freeze`: what of a base stays as it is.
struct FreezeDepth: ExpressibleByArgument {
  let unfreeze: UnfreezeDepth

  init?(argument: String) {
    switch argument {
    case "all": unfreeze = .none
    case "none": unfreeze = .all
    case let text where text.hasPrefix("until:") && text.count > 6: unfreeze = .from(String(text.dropFirst(6)))
    default: return nil
    }
  }
}
