public import XferCore

/// A number gathered over batches: `update`, `result`, `reset`.
open class Metric {
  open class var className: String { "Metric" }
  public let name: String
  fileprivate var total = 0.0
  fileprivate var count = 0.0

  public init(name: String) { self.name = name }

  /// The value of each sample.
  open func values(_ truth: Tensor, _ prediction: Tensor) throws -> [Double] { [] }
  open var ownConfig: [String: JSONValue] { [:] }
  public var config: JSONValue { .object(ownConfig.merging(["name": .string(name)]) { $1 }) }

  public func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    let samples = try values(truth, prediction)
    guard let weights = sampleWeight?.floats else {
      total += samples.reduce(0, +)
      count += Double(samples.count)
      return
    }
    guard weights.count == samples.count else {
      throw XferError.shape("\(name): \(weights.count) sample weights are given for \(samples.count) samples")
    }
    for (value, weight) in zip(samples, weights) {
      total += value * Double(weight)
      count += Double(weight)
    }
  }

  public var result: Double { count == 0 ? 0 : total / count }

  public func reset() { (total, count) = (0, 0) }

  /// By class name or identifier; "accuracy" is chosen by ``accuracy(for:predictions:labels:)``.
  public static func make(_ name: String, config: JSONValue = [:]) throws -> Metric {
    var configuration = try Configuration(config, for: name)
    configuration.ignore("dtype")
    let metric: Metric
    switch name {
    case "BinaryAccuracy", "binary_accuracy":
      metric = BinaryAccuracy(threshold: try configuration.double("threshold", 0.5), name: try configuration.string("name", "binary_accuracy"))
    case "SparseCategoricalAccuracy", "sparse_categorical_accuracy":
      metric = SparseCategoricalAccuracy(name: try configuration.string("name", "sparse_categorical_accuracy"))
    case "accuracy", "acc", "Accuracy": metric = AutomaticAccuracy(name: try configuration.string("name", name == "acc" ? "acc" : "accuracy"))
    default:
      throw XferError.notFound("unknown metric '\(name)'\(hint(name, among: ["BinaryAccuracy", "SparseCategoricalAccuracy", "accuracy"]))")
    }
    try configuration.finish()
    return metric
  }
}

/// The share of predictions on the right side of a threshold: `prediction > threshold` counts as 1, also for logits.
public final class BinaryAccuracy: Metric {
  public override class var className: String { "BinaryAccuracy" }
  let threshold: Double

  public init(threshold: Double = 0.5, name: String = "binary_accuracy") {
    self.threshold = threshold
    super.init(name: name)
  }

  public override func values(_ truth: Tensor, _ prediction: Tensor) throws -> [Double] {
    guard truth.count == prediction.count else {
      throw XferError.shape("\(name): targets have shape \(truth.shape), predictions \(prediction.shape)")
    }
    let last = prediction.shape.count > 1 ? prediction.shape[prediction.shape.count - 1] : 1
    let (t, p) = (truth.floats, prediction.floats)
    let limit = Float(threshold)
    return (0..<p.count / max(last, 1)).map { row in
      let right = (row * last..<(row + 1) * last).reduce(0) { $0 + (t[$1] == (p[$1] > limit ? 1 : 0) ? 1 : 0) }
      return Double(right) / Double(last)
    }
  }
  public override var ownConfig: [String: JSONValue] { ["threshold": .double(threshold)] }
}

/// The share of samples whose largest prediction is the label's.
public final class SparseCategoricalAccuracy: Metric {
  public override class var className: String { "SparseCategoricalAccuracy" }

  public override init(name: String = "sparse_categorical_accuracy") { super.init(name: name) }

  public override func values(_ truth: Tensor, _ prediction: Tensor) throws -> [Double] {
    guard let classes = prediction.shape.last, classes > 0, truth.count * classes == prediction.count else {
      throw XferError.shape("\(name): labels have shape \(truth.shape), predictions \(prediction.shape)")
    }
    let (labels, p) = (truth.floats, prediction.floats)
    return labels.enumerated().map { row, label in
      var best = 0
      for k in 1..<max(classes, 1) where p[row * classes + k] > p[row * classes + best] { best = k }
      return Float(best) == label ? 1 : 0
    }
  }
}

/// Keras' "accuracy": binary for predictions of one column, else of integer labels.
final class AutomaticAccuracy: Metric {
  override class var className: String { "Accuracy" }
  private let binary = BinaryAccuracy()
  private let sparse = SparseCategoricalAccuracy()

  override func values(_ truth: Tensor, _ prediction: Tensor) throws -> [Double] {
    try (prediction.shape.last == 1 || truth.count == prediction.count ? binary : sparse).values(truth, prediction)
  }
}
