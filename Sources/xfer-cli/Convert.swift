import ArgumentParser
import Xfer

struct Convert: ParsableCommand, ReportsJSON {
  static let configuration = CommandConfiguration(
    abstract: "Rewrite a model or its weights in another format.",
    discussion: """
      The ending of OUT says what it becomes: .keras is a whole model that Keras 3 opens too; .safetensors and .weights.h5 hold the weights \
      alone. Kernels that LoRA adapts are written with its product added.

        xfer convert old-keras-model.h5 model.keras
        xfer convert model.keras weights.safetensors
        xfer convert xception:xception_weights_tf_dim_ordering_tf_kernels.h5 xception.safetensors --include-top
        xfer convert photos.delta.safetensors model.keras --base efficientnet-lite0:efficientnet-lite0.safetensors

      A PyTorch checkpoint (.pth) is converted by 'python -m xfer.convert IN OUT', which runs none of its code.
      """)

  @Argument(help: ArgumentHelp("\(ModelArgument.help) With --base, a delta.", valueName: "in"))
  var input: ModelArgument

  @Argument(help: ArgumentHelp("Where to write: .keras, .safetensors or .weights.h5.", valueName: "out"))
  var out: String

  @Option(help: ArgumentHelp("The pretrained network IN is a delta of ('xfer train --delta').", valueName: "model"))
  var base: ModelArgument?

  @Option(help: ArgumentHelp("Height and width of the images, for a built-in architecture.", valueName: "HxW"))
  var imageSize: ImageSize?

  @Flag(help: "With the classifier of a built-in architecture.")
  var includeTop = false

  @OptionGroup var output: OutputOptions

  private static let endings = [".keras", ".safetensors", ".weights.h5"]

  func validate() throws {
    try base?.check("--base")
    if base == nil { try input.check("IN") }
    if case .file(let path) = input, base == nil, [".pth", ".pt", ".bin"].contains(where: path.hasSuffix) {
      throw ValidationError("IN '\(path)' looks like a PyTorch checkpoint: 'python -m xfer.convert' reads those.")
    }
    if base != nil {
      guard case .file = input else { throw ValidationError("IN is to be a delta's file where there is a --base.") }
    }
    guard Self.endings.contains(where: out.hasSuffix) else {
      throw ValidationError("OUT is to end in \(Self.endings.joined(separator: ", ")), '\(out)' was given.")
    }
  }

  func run() throws {
    try checkWritable(out, "OUT")
    let model = try load()
    if out.hasSuffix(".keras") { try model.save(out) } else { try model.saveWeights(out) }
    if output.json {
      printJSON([
        "out": .string(out), "name": .string(model.name), "layers": .int(model.layers.count), "weights": .int(model.weights.count),
        "params": .int(model.countParams()),
      ])
    } else {
      print("\(out): \(model.name), \(model.weights.count) weights, \(model.countParams()) parameters")
    }
  }

  private func load() throws -> Model {
    if let base, case .file(let path) = input {
      return try Model.load(delta: path, base: base.load(size: imageSize, features: !includeTop, unnamed: "imagenet"))
    }
    return try input.load(size: imageSize, features: !includeTop, unnamed: "imagenet")
  }
}
