public import XferCore

extension Loss {
  /// The class names of all losses.
  static let classNames = [
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy", "CategoricalHinge", "CosineSimilarity", "Dice", "Hinge", "Huber", "KLDivergence", "LogCosh",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
    "SparseCategoricalCrossentropy", "SquaredHinge", "Tversky",
  ]

  /// Keras' names of functions and their short forms, by class.
  static let identifiers: [String: String] = {
    var result = [
      "bce": "BinaryCrossentropy", "kld": "KLDivergence", "mae": "MeanAbsoluteError", "mse": "MeanSquaredError",
      "mape": "MeanAbsolutePercentageError", "msle": "MeanSquaredLogarithmicError",
    ]
    for (short, name) in result { result[short.uppercased()] = name }
    for name in classNames { result[AutomaticName.snakeCase(name)] = name }
    result["kl_divergence"] = "KLDivergence"
    return result
  }()

  /// By class name ("BinaryCrossentropy"), Keras' function name ("binary_crossentropy"), short form ("bce"), or "crossentropy" and "ce",
  /// which choose by the shapes of targets and predictions. A loss made by a function's name carries that name.
  public static func make(_ name: String, config: JSONValue = [:]) throws -> Loss {
    var configuration = try Configuration(config, for: name)
    // A null reduction is Keras' None, not its default.
    if let value = config["reduction"], value.isNull, case .object(var values) = config {
      values["reduction"] = "none"
      configuration = try Configuration(.object(values), for: name)
    }
    configuration.ignore("dtype", "fn")
    if let className = identifiers[name] {
      if config["name"] == nil, case .object(var values) = config {
        values["name"] = .string(name)
        return try make(className, config: .object(values))
      }
      return try make(className, config: config)
    }
    let loss: Loss
    switch name {
    case "BinaryCrossentropy": loss = try BinaryCrossentropy(config: &configuration)
    case "BinaryFocalCrossentropy": loss = try BinaryFocalCrossentropy(config: &configuration)
    case "CategoricalCrossentropy": loss = try CategoricalCrossentropy(config: &configuration)
    case "CategoricalFocalCrossentropy": loss = try CategoricalFocalCrossentropy(config: &configuration)
    case "CategoricalGeneralizedCrossEntropy": loss = try CategoricalGeneralizedCrossEntropy(config: &configuration)
    case "CategoricalHinge": loss = try CategoricalHinge(config: &configuration)
    case "CosineSimilarity": loss = try CosineSimilarity(config: &configuration)
    case "CustomLoss": loss = try CustomLoss(config: &configuration)
    case "Dice": loss = try Dice(config: &configuration)
    case "Hinge": loss = try Hinge(config: &configuration)
    case "Huber": loss = try Huber(config: &configuration)
    case "KLDivergence": loss = try KLDivergence(config: &configuration)
    case "LogCosh": loss = try LogCosh(config: &configuration)
    case "MeanAbsoluteError": loss = try MeanAbsoluteError(config: &configuration)
    case "MeanAbsolutePercentageError": loss = try MeanAbsolutePercentageError(config: &configuration)
    case "MeanSquaredError": loss = try MeanSquaredError(config: &configuration)
    case "MeanSquaredLogarithmicError": loss = try MeanSquaredLogarithmicError(config: &configuration)
    case "Poisson": loss = try Poisson(config: &configuration)
    case "SparseCategoricalCrossentropy": loss = try SparseCategoricalCrossentropy(config: &configuration)
    case "SquaredHinge": loss = try SquaredHinge(config: &configuration)
    case "Tversky": loss = try Tversky(config: &configuration)
    case "crossentropy", "ce":
      loss = AutomaticCrossentropy(name: try configuration.string("name", name), reduction: try configuration.reduction())
    default: throw XferError.notFound("unknown loss '\(name)'\(hint(name, among: classNames + identifiers.keys.sorted()))")
    }
    try configuration.finish()
    return loss
  }
}

/// What compile's "accuracy" and "crossentropy" stand for.
enum TargetKind {
  case binary, sparse, categorical

  /// Keras' rule: one column of predictions is binary; targets of lower rank, or with one column for several, are class numbers.
  init(_ truth: [Int], _ prediction: [Int]) {
    let (t, p) = (truth.last ?? 1, prediction.last ?? 1)
    self = p == 1 ? .binary : truth.count < prediction.count || (t == 1 && p > 1) ? .sparse : .categorical
  }
}

/// "crossentropy": the one that fits the shapes.
final class AutomaticCrossentropy: Loss {
  override class var className: String { "crossentropy" }
  private lazy var binary = BinaryCrossentropy(reduction: reduction, name: name)
  private lazy var sparse = SparseCategoricalCrossentropy(reduction: reduction, name: name)
  private lazy var categorical = CategoricalCrossentropy(reduction: reduction)

  override func resolved(_ truth: [Int], _ prediction: [Int]) -> Loss {
    switch TargetKind(truth, prediction) {
    case .binary: binary
    case .sparse: sparse
    case .categorical: categorical
    }
  }
  override func check(_ truth: Tensor, predictionShape: [Int]) throws {
    try resolved(truth.shape, predictionShape).check(truth, predictionShape: predictionShape)
  }
}
