public import XferCore

/// (1 + β²)·precision·recall/(β²·precision + recall) of each class, or averaged; F1Score has β = 1.
final class FBetaScore: Metric {
  private let f1: Bool
  private let average: String?
  private let beta: Double
  private let threshold: Double?
  /// True positives, false positives, false negatives and target weights of each class.
  private var sums: [[Double]]?

  init(_ config: inout Configuration, f1: Bool) throws {
    self.f1 = f1
    average = try config.value("average")?.stringValue
    if let average, !["micro", "macro", "weighted"].contains(average) {
      throw XferError.invalid("\(config.className): 'average' is to be null, micro, macro or weighted, '\(average)' was given")
    }
    beta = f1 ? 1 : try config.double("beta", 1)
    guard beta > 0 else { throw XferError.invalid("\(config.className): 'beta' is to be above 0, \(beta) was given") }
    threshold = config.value("threshold") == nil ? nil : try config.double("threshold", 0)
    if let threshold, !(threshold > 0 && threshold <= 1) {
      throw XferError.invalid("\(config.className): 'threshold' is to be above 0 and at most 1, \(threshold) was given")
    }
    super.init(name: try config.string("name", f1 ? "f1_score" : "fbeta_score"))
  }

  override func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    guard truth.shape.count == 2, truth.shape == prediction.shape else {
      throw XferError.shape(
        "\(name): targets and predictions (n, classes) are wanted, shapes \(truth.shape) and \(prediction.shape) were given")
    }
    let (rows, columns) = (truth.shape[0], truth.shape[1])
    let (t, p, w) = (truth.floats, prediction.floats, sampleWeight?.floats)
    guard w == nil || w?.count == rows else {
      throw XferError.shape("\(name): sample weights of shape \(sampleWeight?.shape ?? []) are given for \(rows) samples")
    }
    var sums = sums ?? Array(repeating: Array(repeating: 0, count: columns), count: 4)
    guard sums[0].count == columns else {
      throw XferError.shape("\(name): \(columns) classes are given, there were \(sums[0].count) before")
    }
    for row in 0..<rows {
      let top = p[row * columns..<(row + 1) * columns].max() ?? 0
      let weight = Double(w?[row] ?? 1)
      for column in 0..<columns {
        let (score, target) = (p[row * columns + column], Double(t[row * columns + column]))
        let chosen = threshold.map { score > Float($0) } ?? (score >= top && abs(score) > 1e-9) ? 1.0 : 0
        sums[0][column] += chosen * target * weight
        sums[1][column] += chosen * (1 - target) * weight
        sums[2][column] += (1 - chosen) * target * weight
        sums[3][column] += target * weight
      }
    }
    self.sums = sums
  }

  override var results: MetricValues {
    guard var sums else { return MetricValues([], [0]) }
    if average == "micro" { sums = sums.map { [$0.reduce(0, +)] } }
    let scores = sums[0].indices.map { c in
      let precision = sums[0][c] / (sums[0][c] + sums[1][c] + kerasEpsilon)
      let recall = sums[0][c] / (sums[0][c] + sums[2][c] + kerasEpsilon)
      return precision * recall / (beta * beta * precision + recall + kerasEpsilon) * (1 + beta * beta)
    }
    switch average {
    case nil: return MetricValues([scores.count], scores)
    case "weighted":
      let total = sums[3].reduce(0, +) + kerasEpsilon
      return MetricValues([], [zip(scores, sums[3]).reduce(0) { $0 + $1.0 * $1.1 / total }])
    default: return MetricValues([], [scores.reduce(0, +) / Double(max(scores.count, 1))])
    }
  }
  override var state: [Double] { sums?.flatMap { $0 } ?? [] }
  override func restore(_ state: [Double]) {
    let n = state.count / 4
    sums = n == 0 ? nil : (0..<4).map { Array(state[$0 * n..<($0 + 1) * n]) }
  }
  override func reset() { sums = nil }
  override var stateGrows: Bool { true }
  override var configClassName: String { f1 ? "F1Score" : "FBetaScore" }
  override var ownConfig: [String: JSONValue] {
    var config: [String: JSONValue] = [
      "average": average.map { .string($0) } ?? .null, "threshold": threshold.map { .double($0) } ?? .null,
    ]
    if !f1 { config["beta"] = .double(beta) }
    return config
  }
}

/// 1 − Σ(target − prediction)²/Σ(target − mean)² of each output, or averaged; adjusted for `num_regressors`.
final class R2Score: Metric {
  override class var className: String { "R2Score" }
  private let aggregation: String?
  private let regressors: Int
  private var samples = 0.0
  /// Σwy, Σwy², Σw(y − p)² and Σw of each output.
  private var sums: [[Double]]?

  init(_ config: inout Configuration, givenNull: Bool) throws {
    aggregation = givenNull ? nil : try config.string("class_aggregation", "uniform_average")
    config.ignore("class_aggregation")
    if let aggregation, !["uniform_average", "variance_weighted_average"].contains(aggregation) {
      throw XferError.invalid(
        "R2Score: 'class_aggregation' is to be null, uniform_average or variance_weighted_average, '\(aggregation)' was given")
    }
    regressors = try config.int("num_regressors", 0)
    guard regressors >= 0 else { throw XferError.invalid("R2Score: 'num_regressors' is to be 0 or above, \(regressors) was given") }
    super.init(name: try config.string("name", "r2_score"))
  }

  override func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    let pair = try AlignedPair(truth, prediction, name: name)
    guard pair.shape.count == 2 else {
      throw XferError.shape("\(name): targets and predictions (n, outputs) are wanted, their shape is \(pair.shape)")
    }
    var given = sampleWeight.map { MetricValues($0) } ?? MetricValues([], [1])
    if given.shape.count == 1 { given.shape.append(1) }
    guard let weights = given.broadcast(to: pair.shape) else {
      throw XferError.shape("\(name): sample weights of shape \(given.shape) are given for predictions of shape \(pair.shape)")
    }
    let columns = pair.shape[1]
    var sums = sums ?? Array(repeating: Array(repeating: 0, count: columns), count: 4)
    guard sums[0].count == columns else {
      throw XferError.shape("\(name): \(columns) outputs are given, there were \(sums[0].count) before")
    }
    for i in pair.truth.indices {
      let (t, p, w, c) = (Double(pair.truth[i]), Double(pair.prediction[i]), weights.values[i], i % columns)
      sums[0][c] += t * w
      sums[1][c] += t * t * w
      sums[2][c] += (t - p) * (t - p) * w
      sums[3][c] += w
    }
    self.sums = sums
    samples += Double(pair.truth.count)
  }

  override var results: MetricValues {
    guard let sums else { return MetricValues([], [0]) }
    let totals = sums[0].indices.map { sums[1][$0] - sums[0][$0] * sums[0][$0] / sums[3][$0] }
    let raw = sums[0].indices.map { c in
      let score = 1 - sums[2][c] / totals[c]
      return score.isInfinite ? 0 : score
    }
    var found: MetricValues
    switch aggregation {
    case nil: found = MetricValues([raw.count], raw)
    case "uniform_average": found = MetricValues([], [raw.reduce(0, +) / Double(raw.count)])
    default: found = MetricValues([], [zip(totals, raw).reduce(0) { $0 + $1.0 * $1.1 } / totals.reduce(0, +)])
    }
    // With too few samples the plain score stands, as in Keras.
    if regressors != 0, Double(regressors) < samples - 1 {
      found.values = found.values.map { 1 - (1 - $0) * (samples - 1) / (samples - Double(regressors) - 1) }
    }
    return found
  }
  override var state: [Double] { [samples] + (sums?.flatMap { $0 } ?? []) }
  override func restore(_ state: [Double]) {
    samples = state.first ?? 0
    let n = (state.count - 1) / 4
    sums = n <= 0 ? nil : (0..<4).map { Array(state[1 + $0 * n..<1 + ($0 + 1) * n]) }
  }
  override func reset() { (samples, sums) = (0, nil) }
  override var stateGrows: Bool { true }
  override var ownConfig: [String: JSONValue] {
    ["class_aggregation": aggregation.map { .string($0) } ?? .null, "num_regressors": .int(regressors)]
  }
}
