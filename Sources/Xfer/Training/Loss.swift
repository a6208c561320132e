public import XferCore
public import XferGraph

/// A loss: a value per sample, and Keras' reduction Σ(weight·loss)/N over them.
open class Loss {
  open class var className: String { "Loss" }
  public let name: String
  let eager = EagerPlans()

  public init(name: String) { self.name = name }

  /// The element type targets are given in.
  open var targetDType: DType { .float32 }
  /// Per-sample losses [N].
  open func samples(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID {
    throw XferError.unsupported("\(Self.className) cannot be computed")
  }
  open var ownConfig: [String: JSONValue] { [:] }
  public var config: JSONValue { .object(ownConfig.merging(["name": .string(name), "reduction": "sum_over_batch_size"]) { $1 }) }
  /// Throws for targets no prediction of this shape can have.
  open func check(_ truth: Tensor, predictionShape: [Int]) throws {}
  /// Whether predictions are logits.
  open var fromLogits: Bool { false }

  /// The scalar [1] with targets brought to the predictions' shape: (n,) and (n,1) align.
  func total(_ truth: ValueID, _ prediction: ValueID, weights: ValueID?, _ graph: Graph) throws -> ValueID {
    let outer = graph.label
    graph.label = name
    defer { graph.label = outer }
    let cast = graph.cast(truth, to: targetDType)
    let perSample = try samples(cast, prediction, graph)
    if let weights, graph.shape(weights).reduce(1, *) != graph.shape(perSample).reduce(1, *) {
      throw XferError.shape("sample_weight has shape \(graph.shape(weights)), the losses have \(graph.shape(perSample))")
    }
    return try graph.weightedMean(perSample, weights: weights)
  }

  /// The loss of data, as a tensor [1].
  public func callAsFunction(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil, tape: GradientTape? = nil) throws -> Tensor {
    try check(truth, predictionShape: prediction.shape)
    let inputs = [truth, prediction] + (sampleWeight.map { [$0] } ?? [])
    let key = EagerPlans.Key(
      inputs: inputs.map(\.description), training: false, taped: tape.map { tape in inputs.map { tape.watches($0) } }, flags: [],
      backend: Backend.choiceGeneration)
    let make: () throws -> (Graph, [ValueID], [ValueID]) = { [self] in
      let graph = Graph()
      let values = inputs.map { graph.input($0.description) }
      let weights = values.count > 2 ? graph.cast(values[2], to: .float32) : nil
      return (graph, values, [try total(values[0], values[1], weights: weights, graph)])
    }
    guard let tape else {
      let entry = try eager.shared(key, make: make)
      try entry.plan.run(Array(zip(entry.inputs, inputs)))
      return try entry.plan.read(entry.outputs[0]).copy()
    }
    let entry = try eager.exclusive(key, variables: [], make: make)
    return try tape.record(entry, inputs: inputs) { [eager] in eager.giveBack(entry, key) }[0]
  }

  /// By class name ("BinaryCrossentropy") or identifier ("binary_crossentropy").
  public static func make(_ name: String, config: JSONValue = [:]) throws -> Loss {
    var configuration = try Configuration(config, for: name)
    let reduction = try configuration.string("reduction", "sum_over_batch_size")
    guard ["sum_over_batch_size", "auto"].contains(reduction) else {
      throw XferError.unsupported("\(name): reduction '\(reduction)'; sum_over_batch_size is supported")
    }
    configuration.ignore("dtype", "fn", "ignore_class")
    let loss: Loss
    switch name {
    case "BinaryCrossentropy", "binary_crossentropy": loss = try BinaryCrossentropy(config: &configuration)
    case "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy": loss = try SparseCategoricalCrossentropy(config: &configuration)
    case "CustomLoss": loss = try CustomLoss(config: &configuration)
    default:
      throw XferError.notFound("unknown loss '\(name)'\(hint(name, among: ["BinaryCrossentropy", "SparseCategoricalCrossentropy"]))")
    }
    try configuration.finish()
    return loss
  }
}

/// Binary crossentropy of targets in [0,1]: mean over the last axis; probabilities are clipped to [1e-7, 1−1e-7].
public final class BinaryCrossentropy: Loss {
  public override class var className: String { "BinaryCrossentropy" }
  let logits: Bool
  let labelSmoothing: Double

  public init(fromLogits: Bool = false, labelSmoothing: Double = 0, name: String = "binary_crossentropy") {
    (logits, self.labelSmoothing) = (fromLogits, labelSmoothing)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    logits = try config.bool("from_logits", false)
    labelSmoothing = try config.double("label_smoothing", 0)
    guard (0...1).contains(labelSmoothing) else { throw XferError.invalid("BinaryCrossentropy: 'label_smoothing' is to be from 0 to 1, \(labelSmoothing) was given") }
    if try config.int("axis", -1) != -1 { throw XferError.unsupported("BinaryCrossentropy: only axis -1 is supported") }
    super.init(name: try config.string("name", "binary_crossentropy"))
  }

  public override var fromLogits: Bool { logits }
  public override func samples(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID {
    let shape = graph.shape(prediction)
    let flat = graph.shape(truth)
    let aligned = flat.count + 1 == shape.count && shape.last == 1 ? try graph.reshape(truth, to: flat + [1]) : truth
    return try graph.binaryCrossentropy(aligned, prediction, fromLogits: logits, labelSmoothing: Float(labelSmoothing))
  }
  public override var ownConfig: [String: JSONValue] { ["from_logits": .bool(logits), "label_smoothing": .double(labelSmoothing), "axis": -1] }
}

/// Crossentropy of integer labels, [N] or [N,1], and predictions [N, classes].
public final class SparseCategoricalCrossentropy: Loss {
  public override class var className: String { "SparseCategoricalCrossentropy" }
  let logits: Bool

  public init(fromLogits: Bool = false, name: String = "sparse_categorical_crossentropy") {
    logits = fromLogits
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    logits = try config.bool("from_logits", false)
    try config.refuse("ignore_class")
    super.init(name: try config.string("name", "sparse_categorical_crossentropy"))
  }

  public override var fromLogits: Bool { logits }
  public override var targetDType: DType { .int32 }
  public override func check(_ truth: Tensor, predictionShape: [Int]) throws {
    let classes = predictionShape.last ?? 0
    let converted = try truth.converted(to: .int32)
    try withExtendedLifetime(converted) {
      let labels = UnsafeBufferPointer(start: converted.data.assumingMemoryBound(to: Int32.self), count: converted.count)
      guard let sample = labels.firstIndex(where: { $0 < 0 || Int($0) >= classes }) else { return }
      throw XferError.data("y has the label \(labels[sample]) in sample \(sample); for \(classes) predictions labels go from 0 to \(classes - 1)")
    }
  }
  public override func samples(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID {
    try graph.sparseCategoricalCrossentropy(truth, prediction, fromLogits: logits)
  }
  public override var ownConfig: [String: JSONValue] { ["from_logits": .bool(logits), "ignore_class": nil] }
}
