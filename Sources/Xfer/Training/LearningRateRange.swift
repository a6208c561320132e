import CXfer
import Glibc
public import XferCore

/// The loss over a learning rate that grows from batch to batch: Leslie Smith's range test (2017).
public struct LearningRateRange: Sendable {
  public internal(set) var rates: [Double] = []
  /// The loss at each rate, as a moving average.
  public internal(set) var losses: [Double] = []
  /// The loss of each batch alone.
  public internal(set) var rawLosses: [Double] = []

  /// The rate at which the loss falls most steeply over the logarithm of the rate, before the lowest point of the average; nil when it never
  /// falls. The slope is that of the straight line through the batches next to it, a tenth of all on each side: one batch says little.
  public var suggestion: Double? {
    guard let lowest = losses.indices.min(by: { losses[$0] < losses[$1] }) else { return nil }
    let reach = max(1, rates.count / 10)
    var best: (rate: Double, slope: Double)?
    for index in reach..<max(reach, min(lowest + 1, rates.count - reach)) {
      let slope = self.slope(index - reach...index + reach)
      if slope < best?.slope ?? 0 { best = (rates[index], slope) }
    }
    return best?.rate
  }

  /// Least squares over these batches.
  private func slope(_ range: ClosedRange<Int>) -> Double {
    let count = Double(range.count)
    let places = range.map { log(rates[$0]) }
    let middle = places.reduce(0, +) / count
    let level = range.reduce(0) { $0 + rawLosses[$1] } / count
    let (product, square) = zip(range, places).reduce((0.0, 0.0)) { sums, point in
      (sums.0 + (point.1 - middle) * (rawLosses[point.0] - level), sums.1 + (point.1 - middle) * (point.1 - middle))
    }
    return product / square
  }

  /// {"rates", "losses", "raw_losses", "suggestion"}.
  public var json: JSONValue {
    [
      "rates": .array(rates.map { .double($0) }), "losses": .array(losses.map { .double($0) }),
      "raw_losses": .array(rawLosses.map { .double($0) }), "suggestion": suggestion.map { .double($0) } ?? .null,
    ]
  }

  /// The curve as a drawing.
  public var svg: String { RateFigure(range: self).svg }

  /// A rate with two digits: "3.2e-04".
  public static func text(_ rate: Double) -> String { formatted(rate, "%.*e", 1) }
}

/// How the range test runs.
public struct RangeTestOptions: Equatable, Sendable {
  public var minRate = 1e-7
  public var maxRate = 1.0
  /// Batches at most; the data begins anew where it ends before.
  public var steps = 100
  /// The weight of what went before in the average of the losses, from 0 to below 1.
  public var smoothing = 0.9
  /// The test ends when the average is so many times the lowest one.
  public var divergence = 4.0
  /// What samples of a class count, as in `fit`.
  public var classWeight: [Int: Double]?
  /// Where the outputs of the frozen part are kept, as in `fit`.
  public var cache = FeatureCaching.memory()

  public init() {}

  /// From {"min_rate", "max_rate", "steps", "smoothing", "divergence"}.
  public init(_ json: JSONValue) throws {
    var config = try Configuration(json, for: "lr_find")
    minRate = try config.double("min_rate", minRate)
    maxRate = try config.double("max_rate", maxRate)
    steps = try config.int("steps", steps)
    smoothing = try config.double("smoothing", smoothing)
    divergence = try config.double("divergence", divergence)
    try config.finish()
  }

  func check() throws {
    guard minRate > 0, maxRate > minRate, maxRate.isFinite else {
      throw XferError.invalid("lr_find: 'min_rate' and 'max_rate' are to be above 0 and to grow, \(minRate) and \(maxRate) were given")
    }
    guard steps > 1 else { throw XferError.invalid("lr_find: 'steps' is to be 2 or above, \(steps) was given") }
    guard (0..<1).contains(smoothing) else {
      throw XferError.invalid("lr_find: 'smoothing' is to be from 0 to below 1, \(smoothing) was given")
    }
    guard divergence > 1 else { throw XferError.invalid("lr_find: 'divergence' is to be above 1, \(divergence) was given") }
  }

  func rate(_ step: Int) -> Double { step == steps - 1 ? maxRate : minRate * pow(maxRate / minRate, Double(step) / Double(steps - 1)) }
}

extension Trainer {
  /// Trains on batch after batch with a rate that grows exponentially, and notes the loss. Weights, statistics, optimizer and random states are
  /// afterwards what they were, bit for bit, also when it fails.
  ///
  /// - Throws: `XFER_E_CANCELLED` after ``cancel()``; what training throws.
  public func findLearningRate(_ data: any Dataset, options: RangeTestOptions = RangeTestOptions()) throws -> LearningRateRange {
    try options.check()
    try checkTrainable(recompile: false)
    clearCancel()
    let weighted: any Dataset = options.classWeight.map { ClassWeighted(data, $0) } ?? data
    let before = try TrainerState(self)
    let result = Result { try measure(weighted, options) }
    try before.restore()
    return try result.get()
  }

  private func measure(_ data: any Dataset, _ options: RangeTestOptions) throws -> LearningRateRange {
    try keepFeatures(options.cache, evaluates: false)
    defer { forgetFeatures() }
    let identified = data as? any IdentifiedDataset
    identified?.isKnown = try features(training: true)?.knows()
    func begin(_ epoch: Int) throws {
      try features(training: true)?.begin(epoch: epoch)
      try data.restart(epoch: epoch)
    }
    defer { identified?.isKnown = nil }
    var range = LearningRateRange()
    var (average, lowest, epoch) = (0.0, Double.infinity, 0)
    try begin(epoch)
    for step in 0..<options.steps {
      if isCancelled { throw XferError(XFER_E_CANCELLED, "the range test was cancelled at step \(step + 1)") }
      var batch = try data.next()
      if batch == nil, step > 0 {
        epoch += 1
        try begin(epoch)
        batch = try data.next()
      }
      guard let batch, batch.count > 0 else {
        guard step == 0 else { break }
        throw XferError.data("the data set gave no batch")
      }
      let rate = options.rate(step)
      optimizer.learningRate = rate
      let loss = try run(batch, training: true).loss
      guard loss.isFinite else { break }
      average = options.smoothing * average + (1 - options.smoothing) * loss
      // A moving average that begins with 0 is too small at first.
      let corrected = average / (1 - pow(options.smoothing, Double(step + 1)))
      range.rates.append(rate)
      range.losses.append(corrected)
      range.rawLosses.append(loss)
      lowest = min(lowest, corrected)
      if corrected > options.divergence * lowest, step > 0 { break }
    }
    return range
  }
}

extension Model {
  public func findLearningRate(_ data: any Dataset, options: RangeTestOptions = RangeTestOptions()) throws -> LearningRateRange {
    try compiled().findLearningRate(data, options: options)
  }
}

/// Everything training moves, to be put back.
private struct TrainerState {
  private let trainer: Trainer
  private let model: Model
  private let weights: [(version: UInt64, value: Tensor)]
  private let random: [Tensor]
  private let slots: [Tensor]
  private let wasBuilt: Bool
  private let steps: UInt64
  private let schedule: LearningRateSchedule?
  private let rate: Double

  init(_ trainer: Trainer) throws {
    let (model, optimizer) = (try trainer.model, trainer.optimizer)
    (self.trainer, self.model, wasBuilt) = (trainer, model, optimizer.built)
    weights = try model.weights.map { ($0.version, try $0.tensor.copy()) }
    random = try TrainingSnapshot.randomStates(model).map { try $0.copy() }
    (schedule, rate, steps) = (optimizer.schedule, optimizer.constantRate, optimizer.rawIterations)
    try optimizer.build(trainer.trainableWeights)
    slots = try optimizer.stateVariables.map { try $0.tensor.copy() }
  }

  func restore() throws {
    for (weight, before) in zip(model.weights, weights) where weight.version != before.version { try weight.assign(before.value) }
    for (state, before) in zip(TrainingSnapshot.randomStates(model), random) {
      state.data.copyMemory(from: before.data, byteCount: before.byteCount)
    }
    let optimizer = trainer.optimizer
    (optimizer.schedule, optimizer.constantRate) = (schedule, rate)
    try optimizer.setState(slots)
    optimizer.rawIterations = steps
    if !wasBuilt { optimizer.unbuild() }
  }
}
