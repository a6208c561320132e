public import XferCore

/// Weighted counts of (target, prediction) pairs: rows are targets, columns predictions. The base of ConfusionMatrix and the IoU metrics.
class MatrixMetric: Metric {
  let classes: Int
  fileprivate var matrix: [Double]

  init(classes: Int, name: String) {
    self.classes = classes
    matrix = Array(repeating: 0, count: classes * classes)
    super.init(name: name)
  }

  /// Pairs outside the matrix, and of the ignored class, are left out.
  func count(_ truth: [Float], _ prediction: [Float], _ weights: Tensor?, ignored: Int?, whole: Bool) throws {
    guard truth.count == prediction.count else {
      throw XferError.shape("\(name): \(truth.count) targets and \(prediction.count) predictions were given")
    }
    let given = weights?.floats
    guard given == nil || given?.count == 1 || given?.count == truth.count else {
      throw XferError.shape("\(name): sample weights of shape \(weights?.shape ?? []) are given for \(truth.count) pairs")
    }
    for i in truth.indices {
      guard let t = Int(exactly: truth[i].rounded(.towardZero)), let p = Int(exactly: prediction[i].rounded(.towardZero)) else { continue }
      guard (0..<classes).contains(t), (0..<classes).contains(p), t != ignored else { continue }
      let weight = given.map { $0.count == 1 ? $0[0] : $0[i] } ?? 1
      matrix[t * classes + p] += Double(whole ? weight.rounded(.towardZero) : weight)
    }
  }

  override var state: [Double] { matrix }
  override func restore(_ state: [Double]) { if state.count == matrix.count { matrix = state } }
}

extension Tensor {
  /// The place of the largest element along `axis`, for each of the others.
  fileprivate func largestAlong(_ axis: Int, name: String) throws -> [Float] {
    let rank = shape.count
    guard (-rank..<rank).contains(axis) else { throw XferError.invalid("\(name): axis \(axis) does not exist in shape \(shape)") }
    let chosen = axis < 0 ? axis + rank : axis
    let (n, inner) = (shape[chosen], shape[(chosen + 1)...].reduce(1, *))
    let values = floats
    return (0..<values.count / max(n, 1)).map { lane in
      let start = (lane / inner) * n * inner + lane % inner
      var best = 0
      for k in 1..<max(n, 1) where values[start + k * inner] > values[start + best * inner] { best = k }
      return Float(best)
    }
  }
}

/// How often each class was taken for each: a matrix [classes, classes], rows are targets. Xfer's own.
///
/// Targets are class numbers, or one-hot where they have the predictions' shape. Predictions are scores over classes on the last
/// dimension; a single column is compared with `threshold`. `result` is the share on the diagonal, the accuracy.
final class ConfusionMatrix: MatrixMetric {
  override class var className: String { "ConfusionMatrix" }
  private let threshold: Double

  init(_ config: inout Configuration) throws {
    let classes = try config.required("num_classes")
    guard classes <= 16384 else { throw XferError.invalid("ConfusionMatrix: 'num_classes' is to be up to 16384, \(classes) was given") }
    threshold = try config.double("threshold", 0.5)
    super.init(classes: classes, name: try config.string("name", "confusion_matrix"))
  }

  override func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    let columns = prediction.shape.count > 1 ? prediction.shape.last ?? 1 : 1
    guard columns == 1 || columns == classes else {
      throw XferError.shape("\(name): predictions of \(classes) classes are wanted, their shape is \(prediction.shape)")
    }
    let limit = Float(threshold)
    let chosen = columns == 1 ? prediction.floats.map { $0 > limit ? 1 : 0 } : try prediction.largestAlong(-1, name: name)
    let labels = columns > 1 && truth.shape == prediction.shape ? try truth.largestAlong(-1, name: name) : truth.floats
    try count(labels, chosen, sampleWeight, ignored: nil, whole: false)
  }
  override var result: Double { ratio((0..<classes).reduce(0) { $0 + matrix[$1 * classes + $1] }, matrix.reduce(0, +)) }
  override var results: MetricValues { MetricValues([classes, classes], matrix) }
  override var ownConfig: [String: JSONValue] { ["num_classes": .int(classes), "threshold": .double(threshold)] }
}

/// Intersection over union of targets and predictions, the mean over some classes: IoU, MeanIoU, BinaryIoU, OneHotIoU, OneHotMeanIoU.
final class IoU: MatrixMetric {
  private let kerasName: String
  private let targets: [Int]
  private let ignored: Int?
  private let sparseTruth: Bool
  private let sparsePrediction: Bool
  private let axis: Int
  private let threshold: Double?
  private let dtype: String

  init(_ kerasName: String, _ config: inout Configuration) throws {
    self.kerasName = kerasName
    let binary = kerasName == "BinaryIoU"
    let oneHot = kerasName.hasPrefix("OneHot")
    let classes = binary ? 2 : try config.required("num_classes")
    guard classes <= 16384 else { throw XferError.invalid("\(kerasName): 'num_classes' is to be up to 16384, \(classes) was given") }
    if kerasName.hasSuffix("MeanIoU") {
      targets = Array(0..<classes)
    } else if let value = config.value("target_class_ids") {
      let list = value.arrayValue?.compactMap(\.intValue) ?? []
      guard list.count == value.arrayValue?.count, !list.isEmpty, list.allSatisfy((0..<classes).contains) else {
        throw config.wrong("target_class_ids", "a list of class numbers below \(classes)", value)
      }
      targets = list
    } else if binary {
      targets = [0, 1]
    } else {
      throw XferError.invalid("\(kerasName): 'target_class_ids' is required")
    }
    threshold = binary ? try config.double("threshold", 0.5) : nil
    ignored = binary ? nil : try config.optionalInt("ignore_class")
    sparseTruth = binary ? true : oneHot ? false : try config.bool("sparse_y_true", true)
    sparsePrediction = binary ? true : try config.bool("sparse_y_pred", !oneHot)
    axis = binary ? -1 : try config.int("axis", -1)
    dtype = try config.string("dtype", "int")
    super.init(classes: classes, name: try config.value("name")?.stringValue ?? AutomaticName.next(for: kerasName))
  }

  override func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    var p = sparsePrediction ? prediction.floats : try prediction.largestAlong(axis, name: name)
    if let threshold { p = p.map { $0 >= Float(threshold) ? 1 : 0 } }
    try count(
      sparseTruth ? truth.floats : truth.largestAlong(axis, name: name), p, sampleWeight, ignored: ignored, whole: !dtype.hasPrefix("float")
    )
  }

  override var result: Double {
    let ious = targets.compactMap { c -> Double? in
      let row = (0..<classes).reduce(0) { $0 + matrix[c * classes + $1] }
      let column = (0..<classes).reduce(0) { $0 + matrix[$1 * classes + c] }
      let both = matrix[c * classes + c]
      return row + column - both > 1e-9 ? both / (row + column - both + kerasEpsilon) : nil
    }
    return ious.reduce(0, +) / (Double(ious.count) + kerasEpsilon)
  }
  override var configClassName: String { kerasName }
  override var ownConfig: [String: JSONValue] {
    var config: [String: JSONValue] = ["dtype": .string(dtype)]
    if !kerasName.hasSuffix("MeanIoU") { config["target_class_ids"] = .array(targets.map { .int($0) }) }
    if let threshold { config["threshold"] = .double(threshold); return config }
    config["num_classes"] = .int(classes)
    config["ignore_class"] = ignored.map { .int($0) } ?? .null
    if !kerasName.hasPrefix("OneHot") { config["sparse_y_true"] = .bool(sparseTruth) }
    config["sparse_y_pred"] = .bool(sparsePrediction)
    config["axis"] = .int(axis)
    return config
  }
}
