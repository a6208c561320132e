import CXfer
public import XferCore
public import XferGraph

/// Keras' activations by name.
public struct ActivationFunction: Equatable, Sendable {
  public let name: String

  private static let kinds: [String: xfer_activation] = [
    "linear": .linear,
    "relu": .of(Int(XFER_ACTIVATION_RELU)),
    "relu6": .of(Int(XFER_ACTIVATION_RELU), maxValue: 6),
    "leaky_relu": .of(Int(XFER_ACTIVATION_RELU), alpha: 0.2),
    "sigmoid": .of(Int(XFER_ACTIVATION_SIGMOID)),
    "tanh": .of(Int(XFER_ACTIVATION_TANH)),
    "elu": .of(Int(XFER_ACTIVATION_ELU), alpha: 1),
    "selu": .of(Int(XFER_ACTIVATION_SELU)),
    "silu": .of(Int(XFER_ACTIVATION_SILU)),
    "swish": .of(Int(XFER_ACTIVATION_SILU)),
    "gelu": .of(Int(XFER_ACTIVATION_GELU)),
    "softplus": .of(Int(XFER_ACTIVATION_SOFTPLUS)),
    "softsign": .of(Int(XFER_ACTIVATION_SOFTSIGN)),
    "exponential": .of(Int(XFER_ACTIVATION_EXPONENTIAL)),
    "hard_sigmoid": .of(Int(XFER_ACTIVATION_HARD_SIGMOID)),
    "hard_silu": .of(Int(XFER_ACTIVATION_HARD_SILU)),
    "hard_swish": .of(Int(XFER_ACTIVATION_HARD_SILU)),
  ]

  public static let linear = ActivationFunction(known: "linear")
  public static let relu = ActivationFunction(known: "relu")
  public static let relu6 = ActivationFunction(known: "relu6")
  public static let sigmoid = ActivationFunction(known: "sigmoid")
  public static let tanh = ActivationFunction(known: "tanh")
  public static let silu = ActivationFunction(known: "silu")
  public static let softmax = ActivationFunction(known: "softmax")

  private init(known name: String) { self.name = name }

  public init(_ name: String, layer: String = "Activation") throws {
    guard name == "softmax" || Self.kinds[name] != nil else {
      throw XferError.invalid("\(layer): unknown activation '\(name)'\(hint(name, among: Array(Self.kinds.keys) + ["softmax"]))")
    }
    self.name = name
  }

  /// From a config value: a name, or {"class_name"/"name"…} as old files have it.
  init(_ json: JSONValue?, layer: String) throws {
    guard let json else {
      self = .linear
      return
    }
    guard let name = json.stringValue ?? json["config"]?.stringValue else {
      throw XferError.invalid("\(layer): 'activation' is to be a name, \(json.text()) was given")
    }
    try self.init(name, layer: layer)
  }

  func emit(_ x: ValueID, _ graph: Graph) throws -> ValueID {
    if name == "softmax" { return try graph.softmax(x) }
    return graph.activation(x, Self.kinds[name] ?? .linear)
  }
}

/// Applies an activation by name.
public final class Activation: Layer {
  public override class var className: String { "Activation" }
  let function: ActivationFunction

  public init(_ function: ActivationFunction, name: String? = nil) {
    self.function = function
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    function = try ActivationFunction(config.value("activation"), layer: config.className)
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID { try function.emit(inputs[0], context.graph) }
  public override var ownConfig: [String: JSONValue] { ["activation": .string(function.name)] }
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
    negativeSlope = try config.double("negative_slope", 0)
    threshold = try config.double("threshold", 0)
    for (key, value) in [("max_value", maxValue ?? 0), ("negative_slope", negativeSlope), ("threshold", threshold)] where value < 0 {
      throw XferError.invalid("ReLU: '\(key)' is to be 0 or above, \(value) was given")
    }
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    context.graph.activation(inputs[0], .of(
      Int(XFER_ACTIVATION_RELU), alpha: Float(negativeSlope), maxValue: maxValue.map { Float($0) } ?? .infinity, threshold: Float(threshold)))
  }

  public override var ownConfig: [String: JSONValue] {
    ["max_value": maxValue.map { .double($0) } ?? .null, "negative_slope": .double(negativeSlope), "threshold": .double(threshold)]
  }
}

/// Softmax over an axis.
public final class Softmax: Layer {
  public override class var className: String { "Softmax" }
  let axis: Int

  public init(axis: Int = -1, name: String? = nil) {
    self.axis = axis
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    axis = try config.int("axis", -1)
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID { try context.graph.softmax(inputs[0], axis: axis) }
  public override var ownConfig: [String: JSONValue] { ["axis": .int(axis)] }
}
