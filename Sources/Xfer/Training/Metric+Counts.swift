import Glibc
public import XferCore

/// Weighted counts of right and wrong predictions above and below thresholds, one a threshold (and label).
struct ThresholdCounts {
  let thresholds: [Double]
  let labels: Int
  private(set) var tp: [Double]
  private(set) var fp: [Double]
  private(set) var tn: [Double]
  private(set) var fn: [Double]

  /// Evenly spread thresholds are counted by buckets, as in Keras: one pass, whatever their number.
  private let even: Bool
  private var filled: Bool { thresholds.first.map { $0 < 0 } ?? false || thresholds.last.map { $0 > 1 } ?? false }

  init(_ thresholds: [Double], labels: Int = 1, even: Bool? = nil) {
    (self.thresholds, self.labels) = (thresholds, labels)
    self.even = even ?? Self.isEven(thresholds)
    tp = Array(repeating: 0, count: thresholds.count * labels)
    (fp, tn, fn) = (tp, tp, tp)
  }

  static func isEven(_ thresholds: [Double]) -> Bool {
    guard thresholds.count >= 3 else { return false }
    return thresholds.enumerated().allSatisfy { index, value in
      let wanted = Double(index) / Double(thresholds.count - 1)
      return abs(value - wanted) <= kerasEpsilon + 1e-5 * wanted
    }
  }

  var state: [Double] { tp + fp + tn + fn }
  mutating func restore(_ state: [Double]) {
    let n = tp.count
    guard state.count == 4 * n else { return }
    (tp, fp) = (Array(state[..<n]), Array(state[n..<2 * n]))
    (tn, fn) = (Array(state[2 * n..<3 * n]), Array(state[(3 * n)...]))
  }

  /// - Parameters:
  ///   - topK: only the `topK` largest of a row can be positive.
  ///   - classID: one column of targets and predictions.
  ///   - labelWeights: a weight for each column.
  mutating func update(
    _ truth: Tensor, _ prediction: Tensor, weights: Tensor?, topK: Int? = nil, classID: Int? = nil, labelWeights: [Double]? = nil,
    logits: Bool = false, name: String
  ) throws {
    let pair = try AlignedPair(truth, prediction, name: name)
    var (shape, truth, prediction) = (pair.shape, pair.truth, pair.prediction)
    if logits { prediction = prediction.map { 1 / (1 + expf(-$0)) } }
    let columns = shape.last ?? 1
    if let topK {
      guard (1...max(columns, 1)).contains(topK) else {
        throw XferError.invalid("\(name): top_k is \(topK), predictions have \(columns) columns")
      }
      for start in stride(from: 0, to: prediction.count, by: max(columns, 1)) {
        let order = (0..<columns).sorted { a, b in
          prediction[start + a] != prediction[start + b] ? prediction[start + a] > prediction[start + b] : a < b
        }
        for column in order.dropFirst(topK) { prediction[start + column] = -1e10 }
      }
    }
    if let classID {
      guard shape.count > 1 else {
        throw XferError.shape("\(name): with class_id predictions (n, classes) are wanted, their shape is \(shape)")
      }
      guard (0..<columns).contains(classID) else {
        throw XferError.invalid("\(name): class_id is \(classID), predictions have \(columns) columns")
      }
      let places = stride(from: classID, to: truth.count, by: columns)
      (truth, prediction) = (places.map { truth[$0] }, places.map { prediction[$0] })
      shape[shape.count - 1] = 1
    }
    var factors = [Double](repeating: 1, count: truth.count)
    if let weights {
      var given = MetricValues(weights)
      given.shape = given.shape + [1]
      if given.shape.count == shape.count + 1 { given.shape.removeLast() }
      guard let wide = given.broadcast(to: shape) else {
        throw XferError.shape("\(name): sample weights of shape \(weights.shape) are given for predictions of shape \(shape)")
      }
      factors = wide.values
    }
    if let labelWeights {
      guard labelWeights.count == shape.last ?? 1 else {
        throw XferError.shape("\(name): \(labelWeights.count) label weights are given for predictions of shape \(shape)")
      }
      for i in factors.indices { factors[i] *= labelWeights[i % labelWeights.count] }
    }
    guard labels == 1 || (shape.count == 2 && shape[1] == labels) else {
      throw XferError.shape("\(name): predictions (n, \(labels)) are wanted, their shape is \(shape)")
    }
    if even { countByBuckets(truth, prediction, factors) } else { count(truth, prediction, factors) }
  }

  private mutating func count(_ truth: [Float], _ prediction: [Float], _ factors: [Double]) {
    for (k, threshold) in thresholds.enumerated() {
      let limit = Float(threshold)
      for i in truth.indices {
        let slot = k * labels + i % labels
        switch (truth[i] != 0, prediction[i] > limit) {
        case (true, true): tp[slot] += factors[i]
        case (false, true): fp[slot] += factors[i]
        case (false, false): tn[slot] += factors[i]
        case (true, false): fn[slot] += factors[i]
        }
      }
    }
  }

  private mutating func countByBuckets(_ truth: [Float], _ prediction: [Float], _ factors: [Double]) {
    let n = thresholds.count
    var positive = [Double](repeating: 0, count: n * labels)
    var negative = positive
    var (allTrue, allFalse) = ([Double](repeating: 0, count: labels), [Double](repeating: 0, count: labels))
    for i in truth.indices {
      let label = i % labels
      let isTrue = truth[i] != 0
      if isTrue { allTrue[label] += factors[i] } else { allFalse[label] += factors[i] }
      guard !prediction[i].isNaN else { continue }
      var bucket = Int((min(max(prediction[i], 0), 1) * Float(n - 1)).rounded(.up)) - 1
      if filled { bucket = max(bucket, 0) }
      guard bucket >= 0 else { continue }
      if isTrue { positive[bucket * labels + label] += factors[i] } else { negative[bucket * labels + label] += factors[i] }
    }
    for label in 0..<labels {
      var (above, wrong) = (0.0, 0.0)
      for k in (0..<n).reversed() {
        let slot = k * labels + label
        above += positive[slot]
        wrong += negative[slot]
        tp[slot] += above
        fp[slot] += wrong
        fn[slot] += allTrue[label] - above
        tn[slot] += allFalse[label] - wrong
      }
    }
  }
}

/// 0 where there is nothing to divide by.
func ratio(_ a: Double, _ b: Double) -> Double { b == 0 ? 0 : a / b }

extension Configuration {
  /// Thresholds from 0 to 1, one or several.
  mutating func thresholds() throws -> (given: JSONValue, values: [Double]?) {
    guard let value = value("thresholds") else { return (.null, nil) }
    let list = value.arrayValue?.map(\.doubleValue) ?? [value.doubleValue]
    let numbers = list.compactMap { $0 }
    guard numbers.count == list.count, !numbers.isEmpty, numbers.allSatisfy({ (0...1).contains($0) }) else {
      throw wrong("thresholds", "a number from 0 to 1 or a list of them", value)
    }
    return (value, numbers)
  }

  mutating func optionalInt(_ key: String) throws -> Int? { value(key) == nil ? nil : try int(key, 0) }
}

/// True and false positives and negatives, Precision and Recall: figures of the counts at given thresholds.
final class CountMetric: Metric {
  enum Figure: String {
    case truePositives = "TruePositives", falsePositives = "FalsePositives", trueNegatives = "TrueNegatives", falseNegatives =
      "FalseNegatives"
    case precision = "Precision", recall = "Recall"
  }
  private let figure: Figure
  private var counts: ThresholdCounts
  private let given: JSONValue
  private let topK: Int?
  private let classID: Int?

  init(_ figure: Figure, _ config: inout Configuration) throws {
    self.figure = figure
    let thresholds = try config.thresholds()
    given = thresholds.given
    let ranked = figure == .precision || figure == .recall
    topK = ranked ? try config.optionalInt("top_k") : nil
    classID = ranked ? try config.optionalInt("class_id") : nil
    counts = ThresholdCounts(thresholds.values ?? [topK == nil ? 0.5 : -1e10])
    super.init(name: try config.value("name")?.stringValue ?? AutomaticName.next(for: figure.rawValue))
  }

  override func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    try counts.update(truth, prediction, weights: sampleWeight, topK: topK, classID: classID, name: name)
  }
  override var results: MetricValues {
    let values =
      switch figure {
      case .truePositives: counts.tp
      case .falsePositives: counts.fp
      case .trueNegatives: counts.tn
      case .falseNegatives: counts.fn
      case .precision: zip(counts.tp, counts.fp).map { ratio($0, $0 + $1) }
      case .recall: zip(counts.tp, counts.fn).map { ratio($0, $0 + $1) }
      }
    return MetricValues(values.count == 1 ? [] : [values.count], values)
  }
  override var state: [Double] { counts.state }
  override func restore(_ state: [Double]) { counts.restore(state) }
  override var configClassName: String { figure.rawValue }
  override var ownConfig: [String: JSONValue] {
    guard figure == .precision || figure == .recall else { return ["thresholds": given] }
    return ["thresholds": given, "top_k": topK.map { .int($0) } ?? .null, "class_id": classID.map { .int($0) } ?? .null]
  }
}

/// The best of one rate at which another is at least a given value: SensitivityAtSpecificity and its kin.
final class ConstrainedMetric: Metric {
  enum Figure: String {
    case sensitivityAtSpecificity = "SensitivityAtSpecificity", specificityAtSensitivity = "SpecificityAtSensitivity"
    case precisionAtRecall = "PrecisionAtRecall", recallAtPrecision = "RecallAtPrecision"
    var key: String {
      switch self {
      case .sensitivityAtSpecificity: "specificity"
      case .specificityAtSensitivity: "sensitivity"
      case .precisionAtRecall: "recall"
      case .recallAtPrecision: "precision"
      }
    }
  }
  private let figure: Figure
  private let value: Double
  private let classID: Int?
  private var counts: ThresholdCounts

  init(_ figure: Figure, _ config: inout Configuration) throws {
    self.figure = figure
    guard config.value(figure.key) != nil else { throw XferError.invalid("\(config.className): '\(figure.key)' is required") }
    value = try config.double(figure.key, 0)
    guard (0...1).contains(value) else {
      throw XferError.invalid("\(config.className): '\(figure.key)' is to be from 0 to 1, \(value) was given")
    }
    let number = try config.int("num_thresholds", 200)
    guard (1...1_000_000).contains(number) else {
      throw XferError.invalid("\(config.className): 'num_thresholds' is to be above 0, \(number) was given")
    }
    classID = try config.optionalInt("class_id")
    counts =
      number == 1 ? ThresholdCounts([0.5]) : ThresholdCounts((0..<number).map { Double($0) / Double(max(number - 1, 1)) }, even: true)
    super.init(name: try config.value("name")?.stringValue ?? AutomaticName.next(for: figure.rawValue))
  }

  override func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    try counts.update(truth, prediction, weights: sampleWeight, classID: classID, name: name)
  }
  override var result: Double {
    let recall = zip(counts.tp, counts.fn).map { ratio($0, $0 + $1) }
    let specificity = zip(counts.tn, counts.fp).map { ratio($0, $0 + $1) }
    let precision = zip(counts.tp, counts.fp).map { ratio($0, $0 + $1) }
    let (bound, wanted) =
      switch figure {
      case .sensitivityAtSpecificity: (specificity, recall)
      case .specificityAtSensitivity: (recall, specificity)
      case .precisionAtRecall: (recall, precision)
      case .recallAtPrecision: (precision, recall)
      }
    // Keras compares float32 rates.
    return zip(bound, wanted).reduce(0) { Float($1.0) >= Float(value) ? max($0, $1.1) : $0 }
  }
  override var state: [Double] { counts.state }
  override func restore(_ state: [Double]) { counts.restore(state) }
  override var configClassName: String { figure.rawValue }
  override var ownConfig: [String: JSONValue] {
    [figure.key: .double(value), "num_thresholds": .int(counts.thresholds.count), "class_id": classID.map { .int($0) } ?? .null]
  }
}
