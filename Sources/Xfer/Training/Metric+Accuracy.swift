public import XferCore

/// Targets and predictions brought to one rank and, where a dimension is 1, one shape.
struct AlignedPair {
  let shape: [Int]
  let truth: [Float]
  let prediction: [Float]

  init(_ truth: Tensor, _ prediction: Tensor, name: String) throws {
    let shapes = sameRankShapes(truth.shape, prediction.shape)
    guard shapes.0 == shapes.1 else {
      throw XferError.shape("\(name): targets have shape \(truth.shape), predictions \(prediction.shape)")
    }
    (shape, self.truth, self.prediction) = (shapes.1, truth.floats, prediction.floats)
  }

  var rows: Int { shape.first ?? 1 }

  func equal(_ same: (Float, Float) -> Bool) -> MetricValues {
    MetricValues(shape, zip(truth, prediction).map { same($0, $1) ? 1 : 0 })
  }
}

/// The place of the largest of each row's elements; the first of equal ones.
func largest(_ values: [Float], rowLength: Int) -> [Int] {
  values.withUnsafeBufferPointer { p in
    stride(from: 0, to: p.count, by: max(rowLength, 1)).map { start in
      var best = 0
      for k in 1..<max(rowLength, 1) where p[start + k] > p[start + best] { best = k }
      return best
    }
  }
}

/// The share of predictions that equal their targets.
public final class Accuracy: MeanMetric {
  public override class var className: String { "Accuracy" }
  public override init(name: String = "accuracy") { super.init(name: name) }
  public override func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues {
    try AlignedPair(truth, prediction, name: name).equal(==)
  }
}

/// The share of predictions on the right side of a threshold: `prediction > threshold` counts as 1, also for logits.
public final class BinaryAccuracy: MeanMetric {
  public override class var className: String { "BinaryAccuracy" }
  let threshold: Double

  public init(threshold: Double = 0.5, name: String = "binary_accuracy") {
    self.threshold = threshold
    super.init(name: name)
  }

  public override func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues {
    let limit = Float(threshold)
    return try AlignedPair(truth, prediction, name: name).equal { t, p in t == (p > limit ? 1 : 0) }
  }
  public override var ownConfig: [String: JSONValue] { ["threshold": .double(threshold)] }
}

/// The share of samples whose largest prediction stands where the one-hot target's largest element does.
public final class CategoricalAccuracy: MeanMetric {
  public override class var className: String { "CategoricalAccuracy" }
  public override init(name: String = "categorical_accuracy") { super.init(name: name) }

  public override func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues {
    guard let classes = prediction.shape.last, classes > 0, truth.shape == prediction.shape else {
      throw XferError.shape("\(name): targets have shape \(truth.shape), predictions \(prediction.shape)")
    }
    let right = zip(largest(truth.floats, rowLength: classes), largest(prediction.floats, rowLength: classes)).map { $0 == $1 ? 1.0 : 0 }
    return MetricValues(prediction.shape.dropLast(), right)
  }
}

/// Class numbers (n,) or (n,1) beside predictions (n,classes).
private func classNumbers(_ truth: Tensor, _ prediction: Tensor, name: String) throws -> (labels: [Float], classes: Int, shape: [Int]) {
  guard let classes = prediction.shape.last, classes > 0 else {
    throw XferError.shape("\(name): predictions have shape \(prediction.shape)")
  }
  var shape = truth.shape
  if shape.count == prediction.shape.count, shape.last == 1 { shape.removeLast() }
  guard shape == prediction.shape.dropLast() else {
    throw XferError.shape("\(name): labels have shape \(truth.shape), predictions \(prediction.shape)")
  }
  return (truth.floats, classes, shape)
}

/// The share of samples whose largest prediction is the label's.
public final class SparseCategoricalAccuracy: MeanMetric {
  public override class var className: String { "SparseCategoricalAccuracy" }
  public override init(name: String = "sparse_categorical_accuracy") { super.init(name: name) }

  public override func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues {
    let (labels, classes, shape) = try classNumbers(truth, prediction, name: name)
    return MetricValues(shape, zip(labels, largest(prediction.floats, rowLength: classes)).map { $0 == Float($1) ? 1 : 0 })
  }
}

/// Whether fewer than `k` predictions are larger than the target's: TensorFlow's in_top_k, where equal ones count in favour.
private func inTopK(_ labels: [Int?], _ predictions: [Float], _ classes: Int, _ k: Int) -> [Double] {
  labels.enumerated().map { row, label in
    guard let label, (0..<classes).contains(label) else { return 0 }
    let scores = predictions[row * classes..<(row + 1) * classes]
    let own = scores[row * classes + label]
    guard own.isFinite, scores.allSatisfy(\.isFinite) else { return 0 }
    return scores.reduce(0) { $0 + ($1 > own ? 1 : 0) } < k ? 1 : 0
  }
}

/// The share of samples whose class is among the `k` largest predictions; targets are one-hot.
public final class TopKCategoricalAccuracy: MeanMetric {
  public override class var className: String { "TopKCategoricalAccuracy" }
  let k: Int
  public init(k: Int = 5, name: String = "top_k_categorical_accuracy") {
    self.k = k
    super.init(name: name)
  }
  public override func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues {
    guard let classes = prediction.shape.last, classes > 0, truth.shape == prediction.shape else {
      throw XferError.shape("\(name): targets have shape \(truth.shape), predictions \(prediction.shape)")
    }
    return MetricValues(prediction.shape.dropLast(), inTopK(largest(truth.floats, rowLength: classes), prediction.floats, classes, k))
  }
  public override var ownConfig: [String: JSONValue] { ["k": .int(k)] }
}

/// The share of samples whose class is among the `k` largest predictions; targets are class numbers.
///
/// With `fromSortedIDs` predictions are class numbers themselves, the likeliest first.
public final class SparseTopKCategoricalAccuracy: MeanMetric {
  public override class var className: String { "SparseTopKCategoricalAccuracy" }
  let k: Int
  let sorted: Bool
  public init(k: Int = 5, fromSortedIDs: Bool = false, name: String = "sparse_top_k_categorical_accuracy") {
    (self.k, sorted) = (k, fromSortedIDs)
    super.init(name: name)
  }
  public override func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues {
    let (labels, classes, shape) = try classNumbers(truth, prediction, name: name)
    let p = prediction.floats
    guard sorted else { return MetricValues(shape, inTopK(labels.map { Int(exactly: $0) }, p, classes, k)) }
    let among = labels.enumerated().map { row, label in p[row * classes..<row * classes + min(max(k, 0), classes)].contains(label) ? 1.0 : 0
    }
    return MetricValues(shape, among)
  }
  public override var ownConfig: [String: JSONValue] { sorted ? ["k": .int(k), "from_sorted_ids": true] : ["k": .int(k)] }
}

/// Keras' "accuracy": the one that fits the shapes of the first batch.
final class AutomaticAccuracy: MeanMetric {
  override class var className: String { "accuracy" }
  private let binary = BinaryAccuracy()
  private let sparse = SparseCategoricalAccuracy()
  private let categorical = CategoricalAccuracy()

  override func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues {
    let chosen: MeanMetric =
      switch TargetKind(truth.shape, prediction.shape) {
      case .binary: binary
      case .sparse: sparse
      case .categorical: categorical
      }
    return try chosen.values(truth, prediction)
  }
}
