import Glibc
public import XferCore

/// The area under a curve over thresholds: ROC, precision-recall, or precision-recall gain.
final class AUC: Metric {
  override class var className: String { "AUC" }
  private enum Curve: String { case roc = "ROC", pr = "PR", gain = "PRGAIN" }
  private enum Summation: String { case interpolation, majoring, minoring }
  private let curve: Curve
  private let summation: Summation
  private let inner: [Double]
  private let fromThresholds: Bool
  private let multiLabel: Bool
  private let givenLabels: Int?
  private let labelWeights: [Double]?
  private let logits: Bool
  private let even: Bool
  private var counts: ThresholdCounts?

  init(_ config: inout Configuration) throws {
    let curveName = try config.string("curve", "ROC")
    let methodName = try config.string("summation_method", "interpolation")
    guard let curve = Curve(rawValue: curveName.uppercased()) else {
      throw XferError.invalid("AUC: 'curve' is to be ROC, PR or PRGAIN, '\(curveName)' was given")
    }
    guard let summation = Summation(rawValue: methodName.lowercased()) else {
      throw XferError.invalid("AUC: 'summation_method' is to be interpolation, majoring or minoring, '\(methodName)' was given")
    }
    (self.curve, self.summation) = (curve, summation)
    let number = try config.int("num_thresholds", 200)
    if let value = config.value("thresholds") {
      let list = value.arrayValue?.compactMap(\.doubleValue) ?? []
      guard list.count == value.arrayValue?.count, list.allSatisfy(\.isFinite) else {
        throw config.wrong("thresholds", "a list of numbers", value)
      }
      inner = list.sorted()
      fromThresholds = true
      even = ThresholdCounts.isEven([0] + inner + [1])
    } else {
      guard (2...1_000_000).contains(number) else { throw XferError.invalid("AUC: 'num_thresholds' is to be above 1, \(number) was given") }
      inner = (0..<number - 2).map { Double($0 + 1) / Double(number - 1) }
      fromThresholds = false
      even = true
    }
    multiLabel = try config.bool("multi_label", false)
    givenLabels = try config.optionalInt("num_labels")
    guard multiLabel || givenLabels == nil else { throw XferError.invalid("AUC: 'num_labels' is for multi_label=true only") }
    if let labels = givenLabels, labels < 1 { throw XferError.invalid("AUC: 'num_labels' is to be above 0, \(labels) was given") }
    if let value = config.value("label_weights") {
      let list = value.arrayValue?.compactMap(\.doubleValue) ?? []
      guard list.count == value.arrayValue?.count else { throw config.wrong("label_weights", "a list of numbers", value) }
      labelWeights = list
    } else {
      labelWeights = nil
    }
    logits = try config.bool("from_logits", false)
    super.init(name: try config.value("name")?.stringValue ?? AutomaticName.next(for: "AUC"))
    if !multiLabel { make(1) } else if let givenLabels { make(givenLabels) }
  }

  private func make(_ labels: Int) { counts = ThresholdCounts([-kerasEpsilon] + inner + [1 + kerasEpsilon], labels: labels, even: even) }

  override func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    if multiLabel {
      guard prediction.shape.count == 2 else {
        throw XferError.shape("\(name): with multi_label predictions (n, labels) are wanted, their shape is \(prediction.shape)")
      }
      if counts == nil { make(max(prediction.shape[1], 1)) }
    }
    try counts?.update(
      truth, prediction, weights: sampleWeight, labelWeights: multiLabel ? nil : labelWeights, logits: logits, name: name)
  }

  override var result: Double {
    guard let counts else { return 0 }
    let areas = (0..<counts.labels).map { label in
      let column = { (all: [Double]) in stride(from: label, to: all.count, by: counts.labels).map { all[$0] } }
      return area(column(counts.tp), column(counts.fp), column(counts.tn), column(counts.fn))
    }
    guard multiLabel, let labelWeights, labelWeights.count == areas.count else { return areas.reduce(0, +) / Double(max(areas.count, 1)) }
    return ratio(zip(areas, labelWeights).reduce(0) { $0 + $1.0 * $1.1 }, labelWeights.reduce(0, +))
  }

  private func area(_ tp: [Double], _ fp: [Double], _ tn: [Double], _ fn: [Double]) -> Double {
    if curve == .pr, summation == .interpolation { return interpolated(tp, fp, fn) }
    let points = tp.indices.map { i -> (x: Double, y: Double) in
      let recall = ratio(tp[i], tp[i] + fn[i])
      switch curve {
      case .roc: return (ratio(fp[i], fp[i] + tn[i]), recall)
      case .pr: return (recall, ratio(tp[i], tp[i] + fp[i]))
      case .gain:
        guard tp[i] != 0 else { return (0, 1) }
        let scale = ratio(tp[i] + fn[i], tn[i] + fp[i])
        return (max(1 - scale * ratio(fn[i], tp[i]), 0), 1 - scale * ratio(fp[i], tp[i]))
      }
    }
    return zip(points, points.dropFirst()).reduce(0) { sum, pair in
      let height =
        switch summation {
        case .interpolation: (pair.0.y + pair.1.y) / 2
        case .minoring: min(pair.0.y, pair.1.y)
        case .majoring: max(pair.0.y, pair.1.y)
        }
      return sum + (pair.0.x - pair.1.x) * height
    }
  }

  /// The precision-recall curve interpolated between its points (Davis and Goadrich 2006).
  private func interpolated(_ tp: [Double], _ fp: [Double], _ fn: [Double]) -> Double {
    let p = zip(tp, fp).map(+)
    return tp.indices.dropLast().reduce(0) { sum, i in
      let slope = ratio(tp[i] - tp[i + 1], max(p[i] - p[i + 1], 0))
      let intercept = tp[i + 1] - slope * p[i + 1]
      let growth = p[i] > 0 && p[i + 1] > 0 ? p[i] / p[i + 1] : 1
      return sum + ratio(slope * (tp[i] - tp[i + 1] + intercept * log(growth)), max(tp[i + 1] + fn[i + 1], 0))
    }
  }

  override var state: [Double] { counts?.state ?? [] }
  override func restore(_ state: [Double]) {
    if multiLabel, counts == nil, !state.isEmpty { make(max(state.count / (4 * (inner.count + 2)), 1)) }
    counts?.restore(state)
  }
  override var stateGrows: Bool { multiLabel && givenLabels == nil }
  override var ownConfig: [String: JSONValue] {
    var config: [String: JSONValue] = [
      "num_thresholds": .int(inner.count + 2), "curve": .string(curve.rawValue), "summation_method": .string(summation.rawValue),
      "multi_label": .bool(multiLabel), "num_labels": givenLabels.map { .int($0) } ?? .null,
      "label_weights": labelWeights.map { .array($0.map { .double($0) }) } ?? .null, "from_logits": .bool(logits),
    ]
    if fromThresholds { config["thresholds"] = .array(inner.map { .double($0) }) }
    return config
  }
}
