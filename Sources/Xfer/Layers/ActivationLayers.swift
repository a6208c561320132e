import CXfer
public import XferCore
public import XferGraph

/// Applies an activation.
public final class Activation: Layer {
  public override class var className: String { "Activation" }
  private(set) var function: ActivationFunction

  public init(_ function: ActivationFunction, name: String? = nil) {
    self.function = function
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    function = try ActivationFunction(config.value("activation"), layer: config.className)
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    try function.emit(inputs[0], context.graph)
  }
  override func setter(_ key: String, _ value: JSONValue) throws -> (() -> Void)? {
    try ActivationFunction.setter(key, value, of: self) { self.function = $0 }
  }
  public override var ownConfig: [String: JSONValue] { ["activation": function.config] }
}

/// max(x, 0), with Keras' maximum, slope and threshold.
public final class ReLU: Layer {
  public override class var className: String { "ReLU" }
  let maxValue: Double?
  let negativeSlope: Double
  let threshold: Double

  public init(maxValue: Double? = nil, negativeSlope: Double = 0, threshold: Double = 0, name: String? = nil) {
    (self.maxValue, self.negativeSlope, self.threshold) = (maxValue, negativeSlope, threshold)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    maxValue = try config.value("max_value") == nil ? nil : config.double("max_value", 0)
    try config.refuseNull("negative_slope", "threshold")
    negativeSlope = try config.double("negative_slope", 0)
    threshold = try config.double("threshold", 0)
    for (key, value) in [("max_value", maxValue ?? 0), ("negative_slope", negativeSlope), ("threshold", threshold)] where value < 0 {
      throw XferError.invalid("ReLU: '\(key)' is to be 0 or above, \(value) was given")
    }
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    try context.graph.relu(inputs[0], maxValue: maxValue, negativeSlope: negativeSlope, threshold: threshold)
  }

  public override var ownConfig: [String: JSONValue] {
    ["max_value": maxValue.map { .double($0) } ?? .null, "negative_slope": .double(negativeSlope), "threshold": .double(threshold)]
  }
}

/// x above 0, `negativeSlope · x` below (Maas et al. 2013).
public final class LeakyReLU: Layer {
  public override class var className: String { "LeakyReLU" }
  let negativeSlope: Double

  public init(negativeSlope: Double = 0.3, name: String? = nil) {
    self.negativeSlope = negativeSlope
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    try config.refuseNull("negative_slope", "alpha")
    // "alpha" is Keras 2's name; it wins, as it does in Keras.
    negativeSlope = try config.double("alpha", config.double("negative_slope", 0.3))
    guard negativeSlope >= 0 else { throw XferError.invalid("LeakyReLU: 'negative_slope' is to be 0 or above, \(negativeSlope) was given") }
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    try context.graph.relu(inputs[0], maxValue: nil, negativeSlope: negativeSlope, threshold: 0)
  }

  public override var ownConfig: [String: JSONValue] { ["negative_slope": .double(negativeSlope)] }
}

/// x above 0, `α·(exp(x) − 1)` below (Clevert et al. 2015).
public final class ELU: Layer {
  public override class var className: String { "ELU" }
  let alpha: Double

  public init(alpha: Double = 1, name: String? = nil) {
    self.alpha = alpha
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    try config.refuseNull("alpha")
    alpha = try config.double("alpha", 1)
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    context.graph.activation(inputs[0], .of(Int(XFER_ACTIVATION_ELU), alpha: Float(alpha)))
  }

  public override var ownConfig: [String: JSONValue] { ["alpha": .double(alpha)] }
}

/// x above 0, `alpha · x` below, with learned alphas of the input's shape; 1 along shared axes (He et al. 2015).
public final class PReLU: Layer {
  public override class var className: String { "PReLU" }
  let alphaSpec: WeightSpec
  let sharedAxes: [Int]?
  private var alpha: Variable?

  public init(alphaInitializer: Initializer = .zeros, sharedAxes: [Int]? = nil, name: String? = nil) {
    (alphaSpec, self.sharedAxes) = (WeightSpec(alphaInitializer), sharedAxes)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    alphaSpec = try WeightSpec(&config, "alpha", default: .zeros)
    sharedAxes = try config.integers("shared_axes")
    try super.init(reading: &config)
  }

  public override func build(_ inputs: [OpenShape]) throws {
    guard inputs.count == 1, inputs[0].count >= 2 else {
      throw XferError.shape("\(name) wants one input [batch, …], \(described(inputs)) was given")
    }
    let rank = inputs[0].count
    for axis in sharedAxes ?? [] where !(1..<rank).contains(axis) {
      throw XferError.invalid(
        "\(name): 'shared_axes' are to be from 1 to \(rank - 1) for an input of \(rank) dimensions, \(axis) was given")
    }
    let shape = try inputs[0].indices.dropFirst().map { axis -> Int in
      if sharedAxes?.contains(axis) == true { return 1 }
      guard let size = inputs[0][axis] else {
        throw XferError.shape("\(name): dimension \(axis) of the input \(described(inputs)) is open; share it by 'shared_axes' or fix it")
      }
      return size
    }
    alpha = try addWeight("alpha", shape, alphaSpec)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard let alpha else { throw XferError.state("\(name) has no weights yet") }
    let graph = context.graph
    let given = Array(graph.shape(inputs[0]).dropFirst())
    guard given.count == alpha.shape.count,
      zip(given, alpha.shape).enumerated().allSatisfy({ axis, sizes in
        sizes.0 == sizes.1 || sharedAxes?.contains(axis + 1) == true
      })
    else { throw XferError.shape("\(name) was built with alphas \(alpha.shape), an input of shape \(graph.shape(inputs[0])) was given") }
    let relu = xfer_activation.of(Int(XFER_ACTIVATION_RELU))
    let below = graph.activation(graph.unary(.negate, inputs[0]), relu)
    return try graph.subtract(graph.activation(inputs[0], relu), graph.multiply(below, graph.variable(alpha)))
  }

  public override var ownConfig: [String: JSONValue] {
    ["shared_axes": sharedAxes.map { .array($0.map { .int($0) }) } ?? .null].with(alphaSpec.config("alpha"))
  }
}

/// Softmax over an axis, or over several together.
public final class Softmax: Layer {
  public override class var className: String { "Softmax" }
  let axes: [Int]
  private let isList: Bool

  public init(axis: Int = -1, name: String? = nil) {
    (axes, isList) = ([axis], false)
    super.init(name: name)
  }

  public init(axes: [Int], name: String? = nil) {
    (self.axes, isList) = (axes, true)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    try config.refuseNull("axis")
    isList = config.value("axis")?.arrayValue != nil
    axes = try config.integers("axis") ?? [-1]
    guard !axes.isEmpty else { throw XferError.invalid("Softmax: 'axis' is to name at least one axis, [] was given") }
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    try context.graph.softmax(inputs[0], axes: axes)
  }
  public override var ownConfig: [String: JSONValue] { ["axis": isList ? .array(axes.map { .int($0) }) : .int(axes[0])] }
}
