import ArgumentParser
import Xfer

struct Summary: ParsableCommand, ReportsJSON {
  static let configuration = CommandConfiguration(
    abstract: "List the layers of a model with their shapes and parameters.",
    discussion: """
        xfer summary model.keras
        xfer summary xception --image-size 150x150
      """)

  @Argument(help: ArgumentHelp(ModelArgument.help, valueName: "model"))
  var model: ModelArgument

  @Option(help: ArgumentHelp("Height and width of the images, for a built-in architecture.", valueName: "HxW"))
  var imageSize: ImageSize?

  @Flag(help: "With the classifier of a built-in architecture.")
  var includeTop = false

  @Option(help: ArgumentHelp("Characters in a line.", valueName: "n"))
  var width: Int?

  @Flag(help: "Say which layers are trainable.")
  var trainable = false

  @OptionGroup var output: OutputOptions

  func validate() throws { try model.check("MODEL") }

  func run() throws {
    let loaded = try model.load(size: imageSize, features: !includeTop, unnamed: "random")
    guard output.json else {
      print(loaded.summary(width: width, showTrainable: trainable), terminator: "")
      return
    }
    func count(_ weights: [Variable]) -> JSONValue { .int(weights.reduce(0) { $0 + $1.count }) }
    printJSON([
      "name": .string(loaded.name),
      "layers": .array(
        loaded.layers.map { layer in
          [
            "name": .string(layer.name), "class": .string(type(of: layer).className), "params": .int(layer.countParams()),
            "trainable": .bool(layer.trainable),
            "weights": .array(layer.weights.map { ["path": .string($0.path), "shape": .array($0.shape.map { .int($0) })] }),
          ]
        }),
      "params": .int(loaded.countParams()), "trainable_params": count(loaded.trainableWeights),
      "non_trainable_params": count(loaded.nonTrainableWeights), "metadata": .object(loaded.metadata),
    ])
  }
}
