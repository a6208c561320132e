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
      """)

  @Argument(help: ArgumentHelp(ModelArgument.help, valueName: "model"))
  var model: ModelArgument

  @Option(help: ArgumentHelp("Height and width of the images, for a built-in architecture.", valueName: "HxW"))
  var imageSize: ImageSize?

  @Option(help: ArgumentHelp("Images in a batch.", valueName: "n"))
  var batchSize = 1

  @Flag(help: "The plan of a training step: forward, backward and updates of all layers that are trainable.")
  var training = false

  @Option(help: ArgumentHelp("Where to draw the plan (SVG).", valueName: "file"))
  var svg: String?

  @OptionGroup var runtime: RuntimeOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try model.check("MODEL")
    guard batchSize > 0 else { throw ValidationError("--batch-size is to be above 0, \(batchSize) was given.") }
  }

  func run() throws {
    try checkWritable(svg, "--svg")
    try runtime.apply()
    let loaded = try model.load(size: imageSize, features: !training, unnamed: "random")
    if training {
      let classifier = try Classifier(loaded, model.title)
      try loaded.compile(optimizer: Adam(), loss: classifier.loss, metrics: [])
    }
    if let svg { try writeText(loaded.planFigure(batchSize: batchSize, training: training, showShapes: true), to: svg) }
    let plan = try loaded.plan(batchSize: batchSize, training: training)
    if output.json {
      printJSON(plan.json)
      return
    }
    let nodes = plan.report()
    let rows = nodes.map { node in
      [
        node.layer, node.op, node.backend, node.shape.map(String.init).joined(separator: "x"), fixed(node.flops / 1e6, 1),
        fixed(Double(node.bytes) / 1e6, 2), node.phase.rawValue, node.fusedFrom.joined(separator: " + "),
      ]
    }
    print(aligned([["layer", "op", "backend", "shape", "MFLOP", "MB", "phase", "fused from"]] + rows, right: [4, 5]))
    let flops = nodes.reduce(0) { $0 + $1.flops }
    print("\n\(nodes.count) ops, \(fixed(flops / 1e9, 2)) GFLOP, \(fixed(Double(plan.peakBytes) / 1e6, 1)) MB of intermediate values")
  }
}
