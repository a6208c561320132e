public import XferCore

extension Metric {
  /// The class names of all metrics.
  static let classNames = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU", "CategoricalAccuracy", "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation", "ConfusionMatrix", "CosineSimilarity", "F1Score", "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge",
    "IoU",
    "KLDivergence", "LogCoshError", "Mean", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanIoU", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "OneHotIoU", "OneHotMeanIoU", "PearsonCorrelation", "Poisson", "Precision", "PrecisionAtRecall",
    "R2Score",
    "Recall", "RecallAtPrecision", "RootMeanSquaredError", "SensitivityAtSpecificity", "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy", "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity", "SquaredHinge", "Sum",
    "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives",
  ]

  /// Keras' snake-case names and short forms, by class.
  static let identifiers: [String: String] = {
    var result = [
      "bce": "BinaryCrossentropy", "mae": "MeanAbsoluteError", "mse": "MeanSquaredError", "mape": "MeanAbsolutePercentageError",
      "msle": "MeanSquaredLogarithmicError",
    ]
    for (short, name) in result { result[short.uppercased()] = name }
    for name in classNames { result[AutomaticName.snakeCase(name)] = name }
    result["kl_divergence"] = "KLDivergence"
    // Chosen by shapes.
    result["accuracy"] = nil
    return result
  }()

  /// By class name ("BinaryAccuracy"), identifier ("binary_accuracy"), short form ("mse"), or "accuracy" and "acc", which choose by the
  /// shapes of targets and predictions as Keras' compile does. A metric made by an identifier carries that name.
  public static func make(_ name: String, config: JSONValue = [:]) throws -> Metric {
    if let className = identifiers[name] {
      guard config["name"] == nil, case .object(var values) = config else { return try make(className, config: config) }
      values["name"] = .string(name)
      return try make(className, config: .object(values))
    }
    var configuration = try Configuration(config, for: name)
    let made = try build(name, &configuration, config)
    configuration.ignore("dtype", "fn")
    try configuration.finish()
    return made
  }

  private static func build(_ name: String, _ config: inout Configuration, _ json: JSONValue) throws -> Metric {
    if let mean = try LossMetric.make(name, &config) { return mean }
    if let figure = CountMetric.Figure(rawValue: name) { return try CountMetric(figure, &config) }
    if let figure = ConstrainedMetric.Figure(rawValue: name) { return try ConstrainedMetric(figure, &config) }
    switch name {
    case "accuracy", "acc", "Acc", "ACC", "ACCURACY": return AutomaticAccuracy(name: try config.string("name", name))
    case "Accuracy": return Accuracy(name: try config.string("name", "accuracy"))
    case "BinaryAccuracy":
      return BinaryAccuracy(threshold: try config.double("threshold", 0.5), name: try config.string("name", "binary_accuracy"))
    case "CategoricalAccuracy": return CategoricalAccuracy(name: try config.string("name", "categorical_accuracy"))
    case "SparseCategoricalAccuracy": return SparseCategoricalAccuracy(name: try config.string("name", "sparse_categorical_accuracy"))
    case "TopKCategoricalAccuracy":
      return TopKCategoricalAccuracy(k: try config.int("k", 5), name: try config.string("name", "top_k_categorical_accuracy"))
    case "SparseTopKCategoricalAccuracy":
      return SparseTopKCategoricalAccuracy(
        k: try config.int("k", 5), fromSortedIDs: try config.bool("from_sorted_ids", false),
        name: try config.string("name", "sparse_top_k_categorical_accuracy"))
    case "RootMeanSquaredError": return RootMeanSquaredError(name: try config.string("name", "root_mean_squared_error"))
    case "PearsonCorrelation": return try PearsonCorrelation(&config, concordance: false)
    case "ConcordanceCorrelation": return try PearsonCorrelation(&config, concordance: true)
    case "Mean": return Mean(name: try config.string("name", "mean"))
    case "Sum": return Sum(name: try config.string("name", "sum"))
    case "AUC": return try AUC(&config)
    case "F1Score": return try FBetaScore(&config, f1: true)
    case "FBetaScore": return try FBetaScore(&config, f1: false)
    case "R2Score": return try R2Score(&config, givenNull: json["class_aggregation"]?.isNull == true)
    case "ConfusionMatrix": return try ConfusionMatrix(&config)
    case "IoU", "MeanIoU", "BinaryIoU", "OneHotIoU", "OneHotMeanIoU": return try IoU(name, &config)
    default: throw XferError.notFound("unknown metric '\(name)'\(hint(name, among: classNames + ["accuracy"] + identifiers.keys.sorted()))")
    }
  }
}
