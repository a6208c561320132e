import ArgumentParser
import Glibc
import Xfer

/// MODEL on the command line: a saved model, or a built-in architecture with or without weights.
enum ModelArgument: ExpressibleByArgument {
  case file(String)
  /// `weights` nil: none named.
  case builtIn(name: String, weights: String?)
  case unknown(String)

  static let help =
    "A saved model (.keras, .h5), or NAME[:WEIGHTS] of a built-in architecture: \(Application.names.joined(separator: ", "))."

  init(argument: String) {
    let parts = argument.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    if Application.exists(parts[0]) {
      self = .builtIn(name: parts[0], weights: parts.count > 1 ? parts[1] : nil)
    } else if argument.contains("/") || argument.contains(".") || access(argument, F_OK) == 0 {
      self = .file(argument)
    } else {
      self = .unknown(argument)
    }
  }

  /// Wrong usage, if it names nothing.
  func check(_ option: String) throws {
    guard case .unknown(let text) = self else { return }
    let near = hint(text, among: Application.names)
    throw ValidationError(
      "\(option) '\(text)' is neither a file nor a built-in architecture\(near.isEmpty ? "." : near) "
        + "Built in are \(Application.names.joined(separator: ", ")).")
  }

  /// The name to print.
  var title: String {
    switch self {
    case .file(let path): path
    case .builtIn(let name, _): name
    case .unknown(let text): text
    }
  }

  /// The image size a built-in architecture was made for.
  func defaultSize() throws -> ImageSize {
    let edge = try Application.defaultSize(title)
    return ImageSize(height: edge, width: edge)
  }

  /// The model.
  ///
  /// - Parameters:
  ///   - size: of the images; nil for the architecture's own.
  ///   - features: without the classifier of a built-in architecture.
  ///   - unnamed: the weights of an architecture when none are named: "imagenet" searches this machine, "random" draws them.
  func load(size: ImageSize?, features: Bool, unnamed: String) throws -> Model {
    switch self {
    case .file(let path):
      let model = try Model.load(path)
      if let size, try inputSize(of: model, path) != size {
        throw XferError.shape("\(path) takes images of \(try inputSize(of: model, path).text), --image-size is \(size.text)")
      }
      return model
    case .builtIn(let name, let weights):
      let size = try size ?? defaultSize()
      let source = weights ?? unnamed
      let config: JSONValue = [
        "weights": source == "random" ? .null : .string(source), "include_top": .bool(!features), "preprocessing": true,
        "input_shape": [.int(size.height), .int(size.width), 3],
      ]
      return try Application.make(name, config: config)
    case .unknown(let text): throw XferError.notFound("'\(text)' is neither a file nor a built-in architecture")
    }
  }
}

/// Height and width of the images a model takes.
func inputSize(of model: Model, _ name: String) throws -> ImageSize {
  let shape = model.inputs[0].shape
  guard model.inputs.count == 1, shape.count == 4, shape[3] == 3, let height = shape[1], let width = shape[2] else {
    throw XferError.shape(
      "\(name): a model of one RGB image (height, width, 3) is wanted, its input is \(shape.dropFirst().map { $0 ?? 0 })")
  }
  return ImageSize(height: height, width: width)
}
