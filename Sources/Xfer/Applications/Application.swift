public import XferCore

/// The built-in architectures, made with the functional API under Keras' layer names.
///
/// Layers that Keras names automatically ("conv2d", "add_3", …) are counted within each model, so that two models of one
/// process have the same weight paths.
///
///     let base = try Application.make("Xception", config: ["weights": "xception.h5", "input_shape": [150, 150, 3]])
public enum Application {
  /// "EfficientNetLite0", "SqueezeNet", "Xception".
  public static var names: [String] { Architecture.all.map(\.name) }

  /// Whether a name is that of a built-in architecture: ``names`` in any case, with or without hyphens ("efficientnet-lite0").
  public static func exists(_ architecture: String) -> Bool { Architecture.find(architecture) != nil }

  /// Height and width of the images an architecture was made for.
  public static func defaultSize(_ architecture: String) throws -> Int { try Architecture.named(architecture).defaultSize }

  /// A model of a built-in architecture.
  ///
  /// - Parameters:
  ///   - architecture: one of ``names``, in any case.
  ///   - config: `weights` (nil: random; a path; "imagenet": searched in XFER_WEIGHTS, then in Keras' cache), `include_top` (false),
  ///     `input_shape` ([h, w, 3]), `classes` (1000) and `classifier_activation` ("softmax") with a top, `pooling` (nil, "avg", "max")
  ///     without one, `preprocessing` (true: the model takes pixels 0…255 RGB), `name`.
  public static func make(_ architecture: String, config: JSONValue = [:]) throws -> Model {
    let kind = try Architecture.named(architecture)
    let options = try ApplicationOptions(config, for: kind)
    guard let weights = options.weights else { return try build(kind, options) }
    let path = try weights == "imagenet" ? ApplicationWeights(kind, includeTop: options.includeTop).find() : weights
    let model = try PendingValues.during { try build(kind, options) }
    try model.loadWeights(path)
    return model
  }

  private static func build(_ kind: Architecture, _ options: ApplicationOptions) throws -> Model {
    let names = LocalNames()
    let input = try Input(shape: options.inputShape, name: names.next("input_layer"))
    let pixels = try options.preprocessing ? kind.preprocessing(names).reduce(input) { try $1($0) } : input
    var x = try kind.body(pixels, options, names)
    if !options.includeTop { x = try options.pool(x) }
    return try Model(input, x, name: options.name)
  }

  /// Pixels 0…255 RGB ([h, w, 3] or [n, h, w, 3]) to what the architecture was trained on: a new float32 tensor.
  public static func preprocess(_ architecture: String, _ pixels: Tensor) throws -> Tensor {
    let kind = try Architecture.named(architecture)
    guard 3...4 ~= pixels.shape.count, pixels.shape.last == 3 else {
      throw XferError.shape(
        "\(kind.name): pixels [height, width, 3] or [batch, height, width, 3] are wanted, shape \(pixels.shape) was given")
    }
    return try kind.preprocessing(LocalNames()).reduce(pixels) { try $1($0) }
  }
}

/// What differs between architectures besides their layers.
struct Architecture: Sendable {
  let name: String
  /// The default name of its models.
  let modelName: String
  let defaultSize: Int
  /// The smallest image that leaves at least one pixel of features.
  let minimumSize: Int
  /// Layers from pixels to inputs, made anew at each call.
  let preprocessing: @Sendable (LocalNames) -> [Layer]
  /// The features, and with `includeTop` the classifier behind them.
  let body: @Sendable (SymbolicTensor, ApplicationOptions, LocalNames) throws -> SymbolicTensor
  /// Published ImageNet files, without and with the top, the usual one first.
  let files: (features: [WeightFile], classifier: [WeightFile])

  static let all = [efficientNetLite0, squeezeNet, xception]

  static func find(_ name: String) -> Architecture? {
    func plain(_ text: String) -> String { text.lowercased().filter { $0 != "-" && $0 != "_" } }
    return all.first { plain($0.name) == plain(name) }
  }

  static func named(_ name: String) throws -> Architecture {
    guard let found = find(name) else {
      let known = all.map(\.name).joined(separator: ", ")
      throw XferError.notFound("unknown architecture '\(name)'\(hint(name, among: Application.names)) (there are \(known))")
    }
    return found
  }
}

/// Automatic layer names counted within one model.
final class LocalNames {
  private var counts: [String: Int] = [:]

  /// "conv2d", then "conv2d_1", …
  func next(_ base: String) -> String {
    defer { counts[base, default: 0] += 1 }
    return counts[base].map { "\(base)_\($0)" } ?? base
  }
}
