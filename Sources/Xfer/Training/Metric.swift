public import XferCore

/// A number, or several, gathered over batches: `update`, `result`, `reset`.
///
/// Sums are kept in double precision. A metric of one's own derives from this class, or from ``MeanMetric`` where it is a mean over samples.
open class Metric {
  open class var className: String { "Metric" }
  public let name: String

  public init(name: String) { self.name = name }

  /// Takes a batch in. Sample weights follow Keras' rules of each metric.
  open func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    throw XferError.unsupported("\(name) cannot be computed")
  }
  /// The figure over everything since the last reset; for a metric with several, their mean, as progress bars print it.
  open var result: Double {
    let all = results.values
    return all.isEmpty ? 0 : all.reduce(0, +) / Double(all.count)
  }
  /// All figures, with their shape; a scalar's is empty.
  open var results: MetricValues { MetricValues([], [result]) }
  open func reset() { restore(state.map { _ in 0 }) }
  /// What was gathered: numbers that ``restore(_:)`` takes back.
  open var state: [Double] { [] }
  open func restore(_ state: [Double]) {}
  /// Whether the length of the state depends on the data seen.
  open var stateGrows: Bool { false }

  /// The class name of the config; differs from the class' own where one class serves several names.
  open var configClassName: String { Self.className }
  open var ownConfig: [String: JSONValue] { [:] }
  public var config: JSONValue { .object(ownConfig.merging(["name": .string(name), "dtype": "float32"]) { own, _ in own }) }

  /// The figures as a tensor of float32.
  public func resultTensor() throws -> Tensor {
    let found = results
    return try Tensor(found.values.map { Float($0) }, shape: found.shape)
  }
}

/// Numbers with a shape, in row order.
public struct MetricValues {
  public var shape: [Int]
  public var values: [Double]
  /// 1 for the elements that count; nil where all do.
  public var mask: [Double]?

  public init(_ shape: [Int], _ values: [Double], mask: [Double]? = nil) { (self.shape, self.values, self.mask) = (shape, values, mask) }
  public init(_ tensor: Tensor) {
    switch tensor.dtype {
    case .float64: values = Array(UnsafeBufferPointer(start: tensor.data.assumingMemoryBound(to: Double.self), count: tensor.count))
    default: values = tensor.floats.map { Double($0) }
    }
    shape = tensor.shape
  }

  /// Dimensions of 1 stretched, missing leading ones filled in.
  func broadcast(to target: [Int]) -> MetricValues? {
    if shape == target { return self }
    guard shape.count <= target.count else { return nil }
    let padded = Array(repeating: 1, count: target.count - shape.count) + shape
    guard zip(padded, target).allSatisfy({ $0 == $1 || $0 == 1 }) else { return nil }
    var strides = [Int](repeating: 0, count: target.count)
    var step = 1
    for axis in padded.indices.reversed() {
      strides[axis] = padded[axis] == 1 ? 0 : step
      step *= padded[axis]
    }
    let count = target.reduce(1, *)
    var result = [Double](repeating: 0, count: count)
    for flat in 0..<count {
      var (rest, place) = (flat, 0)
      for axis in target.indices.reversed() {
        place += (rest % target[axis]) * strides[axis]
        rest /= target[axis]
      }
      result[flat] = values[place]
    }
    return MetricValues(target, result)
  }

  /// Dimensions from `axis` on summed up, or averaged.
  func reduced(from axis: Int, mean: Bool) -> MetricValues {
    let inner = shape[axis...].reduce(1, *)
    let outer = Array(shape[..<axis])
    let sums = (0..<outer.reduce(1, *)).map { row in
      values[row * inner..<(row + 1) * inner].reduce(0, +) / (mean ? Double(max(inner, 1)) : 1)
    }
    return MetricValues(outer, sums)
  }

  /// One value a sample, with its weight in the sum: Keras' reduce_to_samplewise_values.
  func samplewise(weights: MetricValues?, mean: Bool, name: String) throws -> (total: Double, count: Double) {
    guard var weights else {
      let rows = shape.isEmpty ? self : reduced(from: 1, mean: mean)
      return (rows.values.reduce(0, +), Double(shape.first ?? 1))
    }
    var values = self
    let refusal = XferError.shape("\(name): sample weights of shape \(weights.shape) are given for values of shape \(shape)")
    if let mask {
      let shapes = sameRankShapes(shape, weights.shape)
      guard let stretched = MetricValues(shapes.1, weights.values).broadcast(to: shapes.0) else { throw refusal }
      weights = MetricValues(shapes.0, zip(mask, stretched.values).map(*))
    }
    (values.shape, weights.shape) = sameRankShapes(values.shape, weights.shape)
    let rank = weights.shape.count
    if values.shape.count > rank { values = values.reduced(from: rank, mean: mean) }
    guard var wide = weights.broadcast(to: values.shape) else { throw refusal }
    values.values = zip(values.values, wide.values).map(*)
    if wide.shape.count > 1 { wide = wide.reduced(from: 1, mean: mean) }
    if values.shape.count > 1 { values = values.reduced(from: 1, mean: mean) }
    return (values.values.reduce(0, +), wide.values.reduce(0, +))
  }
}

/// The weighted mean of a value per sample: Keras' MeanMetricWrapper.
open class MeanMetric: Metric {
  private var total = 0.0
  private var count = 0.0

  /// The values of a batch, the samples first.
  open func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues {
    throw XferError.unsupported("\(name) cannot be computed")
  }

  open override func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    try add(values(truth, prediction), sampleWeight)
  }

  final func add(_ values: MetricValues, _ sampleWeight: Tensor?) throws {
    let (sum, number) = try values.samplewise(weights: sampleWeight.map { MetricValues($0) }, mean: true, name: name)
    total += sum
    count += number
  }

  open override var result: Double { count == 0 ? 0 : total / count }
  public final override var state: [Double] { [total, count] }
  public final override func restore(_ state: [Double]) { if state.count == 2 { (total, count) = (state[0], state[1]) } }
}

/// The weighted mean of the numbers given: ``update(_:_:sampleWeight:)`` reads the second argument only.
public final class Mean: MeanMetric {
  public override class var className: String { "Mean" }
  public override init(name: String = "mean") { super.init(name: name) }
  public override func values(_ truth: Tensor, _ prediction: Tensor) throws -> MetricValues { MetricValues(prediction) }
  public func update(_ values: Tensor, sampleWeight: Tensor? = nil) throws { try add(MetricValues(values), sampleWeight) }
}

/// The weighted sum of the numbers given: ``update(_:_:sampleWeight:)`` reads the second argument only.
public final class Sum: Metric {
  public override class var className: String { "Sum" }
  private var total = 0.0
  public override init(name: String = "sum") { super.init(name: name) }
  public override func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    try update(prediction, sampleWeight: sampleWeight)
  }
  public func update(_ values: Tensor, sampleWeight: Tensor? = nil) throws {
    total += try MetricValues(values).samplewise(weights: sampleWeight.map { MetricValues($0) }, mean: false, name: name).total
  }
  public override var result: Double { total }
  public override var state: [Double] { [total] }
  public override func restore(_ state: [Double]) { total = state.first ?? 0 }
}

/// A metric of the program's own, given as functions.
public final class CustomMetric: Metric {
  public override class var className: String { "CustomMetric" }
  public typealias Update = (_ truth: Tensor, _ prediction: Tensor, _ sampleWeight: Tensor?) throws -> Void
  private let take: Update
  private let figure: () -> Double
  private let clear: () -> Void

  public init(name: String, update: @escaping Update, result: @escaping () -> Double, reset: @escaping () -> Void) {
    (take, figure, clear) = (update, result, reset)
    super.init(name: name)
  }
  public override func update(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil) throws {
    try take(truth, prediction, sampleWeight)
  }
  public override var result: Double { figure() }
  public override func reset() { clear() }
}
