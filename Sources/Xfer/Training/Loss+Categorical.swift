public import XferCore
public import XferGraph

/// Crossentropy of one-hot (or any) distributions along `axis`. Probabilities are brought to the sum 1 and clipped to [1e-7, 1−1e-7], but where
/// a model's softmax made them, its logits are taken in their place.
public final class CategoricalCrossentropy: FunctionLoss {
  public override class var className: String { "CategoricalCrossentropy" }
  let logits: Bool
  let labelSmoothing: Double
  let axis: Int

  public init(fromLogits: Bool = false, labelSmoothing: Double = 0, axis: Int = -1, reduction: Reduction = .sumOverBatchSize) {
    (logits, self.labelSmoothing, self.axis) = (fromLogits, labelSmoothing, axis)
    super.init(name: "categorical_crossentropy", reduction: reduction)
  }

  init(config: inout Configuration) throws {
    logits = try config.bool("from_logits", false)
    labelSmoothing = try config.labelSmoothing()
    axis = try config.int("axis", -1)
    try super.init(&config, name: "categorical_crossentropy")
  }

  public override var fromLogits: Bool { logits }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    try graph.same(t, p)
    let axis = try graph.dimension(axis, of: p)
    let t = try graph.smoothedClasses(t, labelSmoothing)
    let (values, areLogits) = try graph.logits(p, logits)
    let logs = try areLogits ? graph.logSoftmax(values, axis: axis) : graph.log(graph.normalizedProbabilities(values, axis: axis))
    return graph.unary(.negate, try graph.reduce(.sum, graph.multiply(t, logs), axes: [axis]))
  }
  public override var ownConfig: [String: JSONValue] {
    ["from_logits": .bool(logits), "label_smoothing": .double(labelSmoothing), "axis": .int(axis)]
  }
}

extension Graph {
  /// Labels moved towards 1/classes; classes are counted along the last dimension, whatever the loss' axis is, as in Keras.
  fileprivate func smoothedClasses(_ t: ValueID, _ smoothing: Double) throws -> ValueID {
    try smoothed(t, smoothing, to: 1 / Double(shape(t).last ?? 1))
  }

  fileprivate func normalizedProbabilities(_ p: ValueID, axis: Int) throws -> ValueID {
    try clip(divide(p, reduce(.sum, p, axes: [axis], keepDims: true)), kerasEpsilon, 1 - kerasEpsilon)
  }
}

/// Categorical crossentropy times alpha·(1 − p)^gamma (Lin et al. 2017).
public final class CategoricalFocalCrossentropy: FunctionLoss {
  public override class var className: String { "CategoricalFocalCrossentropy" }
  let alpha: JSONValue
  let gamma: Double
  let logits: Bool
  let labelSmoothing: Double
  let axis: Int

  public init(
    alpha: Double = 0.25, gamma: Double = 2, fromLogits: Bool = false, labelSmoothing: Double = 0, axis: Int = -1,
    reduction: Reduction = .sumOverBatchSize
  ) {
    (self.alpha, self.gamma) = (.double(alpha), gamma)
    (logits, self.labelSmoothing, self.axis) = (fromLogits, labelSmoothing, axis)
    super.init(name: "categorical_focal_crossentropy", reduction: reduction)
  }

  init(config: inout Configuration) throws {
    alpha = config.value("alpha") ?? 0.25
    guard alpha.doubleValue != nil || alpha.arrayValue?.allSatisfy({ $0.doubleValue != nil }) == true else {
      throw config.wrong("alpha", "a number or one for each class", alpha)
    }
    gamma = try config.double("gamma", 2)
    logits = try config.bool("from_logits", false)
    labelSmoothing = try config.labelSmoothing()
    axis = try config.int("axis", -1)
    try super.init(&config, name: "categorical_focal_crossentropy")
  }

  public override var fromLogits: Bool { logits }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    try graph.same(t, p)
    let axis = try graph.dimension(axis, of: p)
    let t = try graph.smoothedClasses(t, labelSmoothing)
    let p = try graph.normalizedProbabilities(logits ? graph.softmax(p, axis: axis) : p, axis: axis)
    let focal = try graph.binary(.power, graph.subtract(1, minus: p), graph.scalar(gamma))
    let factors = try Tensor((alpha.arrayValue ?? [alpha]).map { Float($0.doubleValue ?? 0) })
    let weighted = try graph.multiply(focal, graph.constant(factors))
    return graph.unary(.negate, try graph.reduce(.sum, graph.multiply(weighted, graph.multiply(t, graph.log(p))), axes: [axis]))
  }
  public override var ownConfig: [String: JSONValue] {
    ["from_logits": .bool(logits), "label_smoothing": .double(labelSmoothing), "axis": .int(axis), "alpha": alpha, "gamma": .double(gamma)]
  }
}

/// Crossentropy of integer labels and predictions over classes along `axis`; labels are the predictions' shape without it, or with a 1 there.
///
/// Samples of the class `ignoreClass` count neither in the sum nor in the mean's divisor.
public final class SparseCategoricalCrossentropy: FunctionLoss {
  public override class var className: String { "SparseCategoricalCrossentropy" }
  let logits: Bool
  let ignoreClass: Int?
  let axis: Int

  public init(
    fromLogits: Bool = false, ignoreClass: Int? = nil, axis: Int = -1, reduction: Reduction = .sumOverBatchSize,
    name: String = "sparse_categorical_crossentropy"
  ) {
    (logits, self.ignoreClass, self.axis) = (fromLogits, ignoreClass, axis)
    super.init(name: name, reduction: reduction)
  }

  init(config: inout Configuration) throws {
    logits = try config.bool("from_logits", false)
    ignoreClass = config.value("ignore_class") == nil ? nil : try config.int("ignore_class", 0)
    axis = try config.int("axis", -1)
    try super.init(&config, name: "sparse_categorical_crossentropy")
  }

  public override var fromLogits: Bool { logits }
  public override var targetDType: DType { .int32 }
  public override func check(_ truth: Tensor, predictionShape: [Int]) throws {
    let rank = predictionShape.count
    guard (-rank..<rank).contains(axis) else { throw XferError.invalid("\(name): axis \(axis) does not exist in shape \(predictionShape)") }
    let classes = predictionShape[axis < 0 ? axis + rank : axis]
    let converted = try truth.converted(to: .int32)
    try withExtendedLifetime(converted) {
      let labels = UnsafeBufferPointer(start: converted.data.assumingMemoryBound(to: Int32.self), count: converted.count)
      guard let place = labels.firstIndex(where: { ($0 < 0 || Int($0) >= classes) && ignoreClass != Int($0) }) else { return }
      let sample = place / max(converted.count / max(converted.shape.first ?? 1, 1), 1)
      throw XferError.data(
        "y has the label \(labels[place]) in sample \(sample); for \(classes) predictions labels go from 0 to \(classes - 1)")
    }
  }

  /// The labels as floats in the shape of the losses.
  private func labels(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let axis = try graph.dimension(axis, of: p)
    var wanted = graph.shape(p)
    wanted.remove(at: axis)
    var given = graph.shape(t)
    if given.count == graph.shape(p).count, given[axis] == 1 { given.remove(at: axis) }
    guard given == wanted else {
      throw XferError.shape("SparseCategoricalCrossentropy: labels have shape \(graph.shape(t)), predictions \(graph.shape(p))")
    }
    return try graph.reshape(t, to: given)
  }

  private func valid(_ labels: ValueID, _ ignored: Int, _ graph: Graph) throws -> ValueID {
    try graph.subtract(1, minus: graph.binary(.equal, graph.cast(labels, to: .float32), graph.scalar(Double(ignored))))
  }

  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    var labels = try labels(t, p, graph)
    // With a class to ignore Keras changes the predictions first, and no longer knows the logits.
    let (values, areLogits) = ignoreClass == nil ? try graph.logits(p, logits) : (p, logits)
    var scores = try graph.moved(values, toEnd: axis)
    var counted: ValueID?
    if let ignoreClass {
      let valid = try valid(labels, ignoreClass, graph)
      labels = try graph.cast(graph.select(valid, graph.cast(labels, to: .float32), graph.scalar(0)), to: .int32)
      scores = try graph.select(graph.reshape(valid, to: graph.shape(valid) + [1]), scores, graph.scalar(0))
      counted = valid
    }
    let rows = try graph.sparseCategoricalCrossentropy(labels, scores, fromLogits: areLogits)
    let losses = try graph.reshape(rows, to: graph.shape(labels))
    return try counted.map { try graph.select($0, losses, graph.scalar(0)) } ?? losses
  }

  public override func mask(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID? {
    guard let ignoreClass else { return nil }
    let (t, p) = try graph.sameRank(truth, prediction)
    return try valid(labels(t, p, graph), ignoreClass, graph)
  }

  public override var ownConfig: [String: JSONValue] {
    var config: [String: JSONValue] = ["from_logits": .bool(logits), "ignore_class": ignoreClass.map { .int($0) } ?? .null]
    // Keras' config leaves the axis out and so loses it; here it stands there where it is not the default.
    if axis != -1 { config["axis"] = .int(axis) }
    return config
  }
}

/// (1 − p^q)/q of the probability p of the integer label: robust against wrong labels (Zhang and Sabuncu 2018).
public final class CategoricalGeneralizedCrossEntropy: FunctionLoss {
  public override class var className: String { "CategoricalGeneralizedCrossEntropy" }
  let q: Double
  init(config: inout Configuration) throws {
    q = try config.double("q", 0.5)
    guard q > 0, q < 1 else { throw XferError.invalid("CategoricalGeneralizedCrossEntropy: 'q' is to be between 0 and 1, \(q) was given") }
    try super.init(&config, name: "categorical_generalized_cross_entropy")
  }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    let classes = graph.shape(p).last ?? 1
    var labels = graph.shape(t)
    if labels.count == graph.shape(p).count, labels.last == 1 { labels.removeLast() }
    guard labels == graph.shape(p).dropLast() else {
      throw XferError.shape("\(name): labels have shape \(graph.shape(t)), predictions \(graph.shape(p))")
    }
    let numbers = graph.constant(try Tensor((0..<classes).map(Float.init)))
    let oneHot = try graph.binary(.equal, graph.reshape(t, to: labels + [1]), numbers)
    let likelihood = try graph.reduce(.sum, graph.multiply(p, oneHot), axes: [-1])
    return try graph.multiply(graph.subtract(1, minus: graph.binary(.power, likelihood, graph.scalar(q))), 1 / q)
  }
  public override var ownConfig: [String: JSONValue] { ["q": .double(q)] }
}
