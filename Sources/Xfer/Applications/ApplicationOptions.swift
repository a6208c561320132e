import XferCore

/// The config of ``Application/make(_:config:)``, checked.
struct ApplicationOptions {
  let weights: String?
  let includeTop: Bool
  let inputShape: [Int]
  let classes: Int
  let classifierActivation: ActivationFunction
  let pooling: String?
  let preprocessing: Bool
  let name: String

  init(_ json: JSONValue, for kind: Architecture) throws {
    var config = try Configuration(json, for: kind.name)
    weights = try config.value("weights").map { _ in try config.string("weights", "") }
    includeTop = try config.bool("include_top", false)
    classes = try config.int("classes", 1000)
    // An explicit null asks for the logits, as in Keras; a missing key for probabilities.
    classifierActivation =
      json["classifier_activation"]?.isNull == true
      ? .linear : try ActivationFunction(config.value("classifier_activation") ?? "softmax", layer: kind.name)
    pooling = try config.value("pooling").map { _ in try config.string("pooling", "") }
    preprocessing = try config.bool("preprocessing", false)
    name = try config.string("name", kind.modelName)
    config.ignore("classifier_activation")
    try config.refuse("input_tensor")
    if let shape = config.value("input_shape") {
      let dims = shape.arrayValue?.compactMap(\.intValue) ?? []
      guard dims.count == 3, dims.count == shape.arrayValue?.count, dims[2] == 3, min(dims[0], dims[1]) >= kind.minimumSize else {
        throw config.wrong("input_shape", "[height, width, 3] with at least \(kind.minimumSize) pixels each way", shape)
      }
      inputShape = dims
    } else {
      inputShape = [kind.defaultSize, kind.defaultSize, 3]
    }
    try config.finish()
    guard classes > 0 else { throw XferError.invalid("\(kind.name): 'classes' is to be above 0, \(classes) was given") }
    guard pooling == nil || pooling == "avg" || pooling == "max" else {
      throw XferError.invalid("\(kind.name): 'pooling' is to be null, \"avg\" or \"max\", \"\(pooling ?? "")\" was given")
    }
  }

  /// The layer `pooling` asks for behind the features; GlobalMaxPooling2D as a window over the whole image.
  func pool(_ x: SymbolicTensor) throws -> SymbolicTensor {
    switch pooling {
    case "avg": return try GlobalAveragePooling2D(name: "avg_pool")(x)
    case "max":
      let window = (x.shape[1] ?? 1, x.shape[2] ?? 1)
      return try Flatten(name: "max_pool_flat")(MaxPooling2D(poolSize: window, name: "max_pool")(x))
    default: return x
    }
  }
}
