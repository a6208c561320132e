public import XferCore
import XferGraph

/// The mean over the last dimension of (prediction − target)².
public final class MeanSquaredError: FunctionLoss {
  public override class var className: String { "MeanSquaredError" }
  public init(reduction: Reduction = .sumOverBatchSize) { super.init(name: "mean_squared_error", reduction: reduction) }
  init(config: inout Configuration) throws { try super.init(&config, name: "mean_squared_error") }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    try graph.meanOfLast(graph.unary(.square, graph.subtract(t, p)))
  }
}

/// The mean over the last dimension of |prediction − target|.
public final class MeanAbsoluteError: FunctionLoss {
  public override class var className: String { "MeanAbsoluteError" }
  public init(reduction: Reduction = .sumOverBatchSize) { super.init(name: "mean_absolute_error", reduction: reduction) }
  init(config: inout Configuration) throws { try super.init(&config, name: "mean_absolute_error") }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    try graph.meanOfLast(graph.unary(.abs, graph.subtract(t, p)))
  }
}

/// 100·mean(|target − prediction| / max(|target|, 1e-7)).
public final class MeanAbsolutePercentageError: FunctionLoss {
  public override class var className: String { "MeanAbsolutePercentageError" }
  public init(reduction: Reduction = .sumOverBatchSize) { super.init(name: "mean_absolute_percentage_error", reduction: reduction) }
  init(config: inout Configuration) throws { try super.init(&config, name: "mean_absolute_percentage_error") }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let size = try graph.binary(.maximum, graph.unary(.abs, t), graph.scalar(kerasEpsilon))
    return try graph.multiply(graph.meanOfLast(graph.unary(.abs, graph.divide(graph.subtract(t, p), size))), 100)
  }
}

/// mean((ln(max(prediction, 1e-7) + 1) − ln(max(target, 1e-7) + 1))²).
public final class MeanSquaredLogarithmicError: FunctionLoss {
  public override class var className: String { "MeanSquaredLogarithmicError" }
  public init(reduction: Reduction = .sumOverBatchSize) { super.init(name: "mean_squared_logarithmic_error", reduction: reduction) }
  init(config: inout Configuration) throws { try super.init(&config, name: "mean_squared_logarithmic_error") }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let logs = try [p, t].map { graph.log(try graph.add(graph.binary(.maximum, $0, graph.scalar(kerasEpsilon)), 1)) }
    return try graph.meanOfLast(graph.unary(.square, graph.subtract(logs[0], logs[1])))
  }
}

/// −Σ target·prediction of vectors brought to length 1 along `axis`: −1 for the same direction.
public final class CosineSimilarity: FunctionLoss {
  public override class var className: String { "CosineSimilarity" }
  let axis: Int
  public init(axis: Int = -1, reduction: Reduction = .sumOverBatchSize) {
    self.axis = axis
    super.init(name: "cosine_similarity", reduction: reduction)
  }
  init(config: inout Configuration) throws {
    axis = try config.int("axis", -1)
    try super.init(&config, name: "cosine_similarity")
  }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let axis = try graph.dimension(axis, of: p)
    let units = try [p, t].map { x in
      let square = try graph.reduce(.sum, graph.unary(.square, x), axes: [axis], keepDims: true)
      // The inverse length is at most 1/1e-7.
      let inverse = graph.unary(.rsqrt, try graph.binary(.maximum, square, graph.scalar(kerasEpsilon * kerasEpsilon)))
      return try graph.multiply(x, inverse)
    }
    return graph.unary(.negate, try graph.reduce(.sum, graph.multiply(units[1], units[0]), axes: [axis]))
  }
  // Keras' config leaves the axis out and so loses it; here it stands there where it is not the default.
  public override var ownConfig: [String: JSONValue] { axis == -1 ? [:] : ["axis": .int(axis)] }
}

/// Quadratic up to `delta`, linear beyond (Huber 1964).
public final class Huber: FunctionLoss {
  public override class var className: String { "Huber" }
  let delta: Double
  public init(delta: Double = 1, reduction: Reduction = .sumOverBatchSize) {
    self.delta = delta
    super.init(name: "huber_loss", reduction: reduction)
  }
  init(config: inout Configuration) throws {
    delta = try config.double("delta", 1)
    try super.init(&config, name: "huber_loss")
  }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let error = try graph.subtract(p, t)
    let size = graph.unary(.abs, error)
    let quadratic = try graph.multiply(graph.unary(.square, error), 0.5)
    let linear = try graph.add(graph.multiply(size, delta), -0.5 * delta * delta)
    return try graph.meanOfLast(graph.select(graph.binary(.greaterEqual, graph.scalar(delta), size), quadratic, linear))
  }
  // As with CosineSimilarity: Keras' config loses it.
  public override var ownConfig: [String: JSONValue] { delta == 1 ? [:] : ["delta": .double(delta)] }
}

/// mean(ln cosh(prediction − target)), computed as x + softplus(−2x) − ln 2.
public final class LogCosh: FunctionLoss {
  public override class var className: String { "LogCosh" }
  public init(reduction: Reduction = .sumOverBatchSize) { super.init(name: "log_cosh", reduction: reduction) }
  init(config: inout Configuration) throws { try super.init(&config, name: "log_cosh") }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let x = try graph.subtract(p, t)
    let rest = graph.softplus(try graph.multiply(x, -2))
    return try graph.meanOfLast(graph.add(graph.add(x, rest), -0.6931471805599453))
  }
}

/// mean(prediction − target·ln(prediction + 1e-7)).
public final class Poisson: FunctionLoss {
  public override class var className: String { "Poisson" }
  public init(reduction: Reduction = .sumOverBatchSize) { super.init(name: "poisson", reduction: reduction) }
  init(config: inout Configuration) throws { try super.init(&config, name: "poisson") }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let log = graph.log(try graph.add(p, kerasEpsilon))
    return try graph.meanOfLast(graph.subtract(p, graph.multiply(t, log)))
  }
}

/// Σ target·ln(target/prediction), both clipped to [1e-7, 1] (Kullback and Leibler 1951).
public final class KLDivergence: FunctionLoss {
  public override class var className: String { "KLDivergence" }
  public init(reduction: Reduction = .sumOverBatchSize) { super.init(name: "kl_divergence", reduction: reduction) }
  init(config: inout Configuration) throws { try super.init(&config, name: "kl_divergence") }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let (t, p) = (try graph.clip(t, kerasEpsilon, 1), try graph.clip(p, kerasEpsilon, 1))
    return try graph.reduce(.sum, graph.multiply(t, graph.log(graph.divide(t, p))), axes: [-1])
  }
}
