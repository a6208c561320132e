public import XferCore

/// The mean over all samples of a loss' values, whatever the loss' own reduction.
public final class LossMetric: MeanMetric {
  private let loss: Loss
  /// The same of logits; nil where the loss knows no difference.
  private let lossOfLogits: Loss?
  private let kerasName: String
  private let keys: [String: JSONValue]
  private let sign: Double

  /// - Parameter loss: one with reduction none.
  init(_ loss: Loss, ofLogits: Loss?, kerasName: String, name: String, keys: [String: JSONValue], sign: Double = 1) {
    lossOfLogits = ofLogits
    (self.loss, self.kerasName, self.keys, self.sign) = (loss, kerasName, keys, sign)
    super.init(name: name)
  }

  /// A metric of Keras' that is the mean of a loss, by class name; nil for others.
  static func make(_ name: String, _ config: inout Configuration) throws -> Metric? {
    let table: [String: (loss: String, name: String, keys: [String])] = [
      "MeanSquaredError": ("MeanSquaredError", "mean_squared_error", []),
      "MeanAbsoluteError": ("MeanAbsoluteError", "mean_absolute_error", []),
      "MeanAbsolutePercentageError": ("MeanAbsolutePercentageError", "mean_absolute_percentage_error", []),
      "MeanSquaredLogarithmicError": ("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", []),
      "CosineSimilarity": ("CosineSimilarity", "cosine_similarity", ["axis"]),
      "LogCoshError": ("LogCosh", "logcosh", []),
      "Hinge": ("Hinge", "hinge", []),
      "SquaredHinge": ("SquaredHinge", "squared_hinge", []),
      "CategoricalHinge": ("CategoricalHinge", "categorical_hinge", []),
      "KLDivergence": ("KLDivergence", "kl_divergence", []),
      "Poisson": ("Poisson", "poisson", []),
      "BinaryCrossentropy": ("BinaryCrossentropy", "binary_crossentropy", ["from_logits", "label_smoothing"]),
      "CategoricalCrossentropy": ("CategoricalCrossentropy", "categorical_crossentropy", ["from_logits", "label_smoothing", "axis"]),
      "SparseCategoricalCrossentropy": (
        "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", ["from_logits", "ignore_class", "axis"]
      ),
    ]
    guard let entry = table[name] else { return nil }
    var given: [String: JSONValue] = [:]
    for key in entry.keys { if let value = config.value(key) { given[key] = value } }
    given["reduction"] = "none"
    let loss = try Loss.make(entry.loss, config: .object(given))
    // Keras on TensorFlow computes a crossentropy from the logits behind the predictions where it knows them; not with a class to ignore.
    let ofLogits =
      try entry.keys.contains("from_logits") && given["ignore_class"] == nil
      ? Loss.make(entry.loss, config: .object(given.merging(["from_logits": true]) { $1 })) : nil
    let axis = given["axis"] ?? -1
    // What Keras' get_config lists: all arguments but CosineSimilarity's axis, which it loses and which stands here where it is not the default.
    let keys: [String: JSONValue]
    switch name {
    case "CosineSimilarity": keys = axis == -1 ? [:] : ["axis": axis]
    case "SparseCategoricalCrossentropy": keys = loss.ownConfig.merging(["axis": axis]) { $1 }
    default: keys = loss.ownConfig.filter { entry.keys.contains($0.key) }
    }
    // The loss points down, the metric up.
    return LossMetric(
      loss, ofLogits: ofLogits, kerasName: name, name: try config.string("name", entry.name), keys: keys,
      sign: name == "CosineSimilarity" ? -1 : 1)
  }

  /// Whether it wants the logits behind a sigmoid's or softmax' predictions.
  var readsLogits: Bool { lossOfLogits != nil }

  /// Takes in a batch of which the logits are known.
  func update(_ truth: Tensor, logits: Tensor, sampleWeight: Tensor?) throws {
    guard let lossOfLogits else { throw XferError.internal("\(name) knows no logits") }
    try add(MetricValues(lossOfLogits(truth, logits)), sampleWeight)
  }

  public override func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues {
    var found = MetricValues(try loss(truth, prediction))
    if sign < 0 { found.values = found.values.map { -$0 } }
    if let ignored = (loss as? SparseCategoricalCrossentropy)?.ignoreClass {
      found.mask = truth.floats.map { $0 == Float(ignored) ? 0 : 1 }
    }
    return found
  }
  public override var configClassName: String { kerasName }
  public override var ownConfig: [String: JSONValue] { keys }
}

/// √mean((prediction − target)²).
public final class RootMeanSquaredError: MeanMetric {
  public override class var className: String { "RootMeanSquaredError" }
  public override init(name: String = "root_mean_squared_error") { super.init(name: name) }
  public override func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues {
    let pair = try AlignedPair(truth, prediction, name: name)
    return MetricValues(pair.shape, zip(pair.truth, pair.prediction).map { (Double($1) - Double($0)) * (Double($1) - Double($0)) })
  }
  public override var result: Double { super.result.squareRoot() }
}

/// Pearson's correlation along `axis`, the mean over all samples.
final class PearsonCorrelation: MeanMetric {
  override class var className: String { "PearsonCorrelation" }
  private let concordance: Bool
  private let axis: Int

  /// - Parameter concordance: Lin's coefficient (1989) instead.
  init(_ config: inout Configuration, concordance: Bool) throws {
    axis = try config.int("axis", -1)
    self.concordance = concordance
    super.init(name: try config.string("name", concordance ? "concordance_correlation" : "pearson_correlation"))
  }

  override func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues {
    let pair = try AlignedPair(truth, prediction, name: name)
    let rank = pair.shape.count
    guard (-rank..<rank).contains(axis) else { throw XferError.invalid("\(name): axis \(axis) does not exist in shape \(pair.shape)") }
    let chosen = axis < 0 ? axis + rank : axis
    let (n, inner) = (pair.shape[chosen], pair.shape[(chosen + 1)...].reduce(1, *))
    var rest = pair.shape
    rest.remove(at: chosen)
    let values = (0..<rest.reduce(1, *)).map { lane -> Double in
      let start = (lane / inner) * n * inner + lane % inner
      let places = (0..<n).map { start + $0 * inner }
      let (t, p) = (places.map { Double(pair.truth[$0]) }, places.map { Double(pair.prediction[$0]) })
      let (meanT, meanP) = (t.reduce(0, +) / Double(n), p.reduce(0, +) / Double(n))
      let varT = t.reduce(0) { $0 + ($1 - meanT) * ($1 - meanT) } / Double(n)
      let varP = p.reduce(0) { $0 + ($1 - meanP) * ($1 - meanP) } / Double(n)
      guard concordance else {
        let covariance = zip(t, p).reduce(0) { $0 + ($1.0 - meanT) * ($1.1 - meanP) } / Double(n)
        return covariance / (varT.squareRoot() * varP.squareRoot())
      }
      // As Keras has it: the target's distance is taken from the predictions' mean, which changes nothing in the sum.
      let covariance = zip(t, p).reduce(0) { $0 + ($1.0 - meanP) * ($1.1 - meanP) } / Double(n)
      return 2 * covariance / (varT + varP + (meanT - meanP) * (meanT - meanP) + kerasEpsilon)
    }
    return MetricValues(rest, values)
  }
  override var configClassName: String { concordance ? "ConcordanceCorrelation" : Self.className }
  override var ownConfig: [String: JSONValue] { ["axis": .int(axis)] }
}
