import CXfer
public import XferCore
public import XferGraph

/// One of Keras' activations, by name, with its arguments where they differ from Keras' defaults; or a layer without weights in its place.
public struct ActivationFunction: Equatable, Sendable {
  /// Keras' name of the function, or the class name of the layer.
  public let name: String
  /// Arguments beside the tensor.
  let arguments: [String: JSONValue]
  /// The serialized layer that serves as the activation, or the model a program composed.
  let layer: JSONValue?

  /// Keras' other names.
  private static let aliases = ["swish": "silu", "hard_swish": "hard_silu"]
  /// The arguments each function takes beside the tensor.
  static let parameters: [String: [String]] = [
    "celu": ["alpha"], "elu": ["alpha"], "exponential": [], "gelu": ["approximate"], "glu": ["axis"], "hard_shrink": ["threshold"],
    "hard_sigmoid": [], "hard_silu": [], "hard_tanh": [], "leaky_relu": ["negative_slope"], "linear": [], "log_sigmoid": [],
    "log_softmax": ["axis"], "mish": [], "relu": ["negative_slope", "max_value", "threshold"], "relu6": [], "selu": [], "sigmoid": [],
    "silu": [], "soft_shrink": ["threshold"], "softmax": ["axis"], "softplus": [], "softsign": [], "sparse_plus": [],
    "sparse_sigmoid": [], "sparsemax": ["axis"], "squareplus": ["b"], "tanh": [], "tanh_shrink": [],
    "threshold": ["threshold", "default_value"],
  ]

  public static let linear = ActivationFunction(known: "linear")
  public static let relu = ActivationFunction(known: "relu")
  public static let relu6 = ActivationFunction(known: "relu6")
  public static let sigmoid = ActivationFunction(known: "sigmoid")
  public static let tanh = ActivationFunction(known: "tanh")
  public static let silu = ActivationFunction(known: "silu")
  public static let softmax = ActivationFunction(known: "softmax")

  private init(known name: String, arguments: [String: JSONValue] = [:], layer: JSONValue? = nil) {
    (self.name, self.arguments, self.layer) = (name, arguments, layer)
  }

  /// - Throws: `XFER_E_INVALID_ARGUMENT` for a name or an argument Keras does not know, with the nearest known one.
  public init(_ name: String, arguments: [String: JSONValue] = [:], layer owner: String = "Activation") throws {
    let known = Self.aliases[name] ?? name
    guard let parameters = Self.parameters[known] else {
      throw XferError.invalid(
        "\(owner): unknown activation '\(name)'\(hint(name, among: Array(Self.parameters.keys) + Array(Self.aliases.keys)))")
    }
    if let stray = arguments.keys.sorted().first(where: { !parameters.contains($0) }) {
      throw XferError.invalid("\(owner): activation '\(name)' has no argument '\(stray)'\(hint(stray, among: parameters))")
    }
    if known == "threshold", let missing = parameters.first(where: { (arguments[$0] ?? .null).isNull }) {
      throw XferError.invalid("\(owner): activation 'threshold' needs its argument '\(missing)'")
    }
    for (key, value) in arguments where !value.isNull && value.doubleValue == nil && value.boolValue == nil {
      throw XferError.invalid("\(owner): '\(key)' of activation '\(name)' is to be a number, \(value.text()) was given")
    }
    self.init(known: known, arguments: arguments)
  }

  /// From a config value: a name, {"class_name":"function","config":name} as old files have it, that with "arguments", or a serialized layer.
  init(_ json: JSONValue?, layer owner: String) throws {
    guard let json else {
      self = .linear
      return
    }
    if let name = json.stringValue ?? json["config"]?.stringValue {
      try self.init(name, arguments: json["arguments"]?.objectValue ?? [:], layer: owner)
      return
    }
    guard let className = json["class_name"]?.stringValue else {
      throw XferError.invalid("\(owner): 'activation' is to be a name or a serialized layer, \(json.text()) was given")
    }
    if className == "Functional" {
      let model = try Deserializer().model(json)
      guard model.inputs.count == 1, model.outputs.count == 1, model.weights.isEmpty else {
        throw XferError.unsupported("\(owner): a model as 'activation' is to have one input, one output and no weights")
      }
      self.init(known: className, layer: model.serialized)
      return
    }
    guard Self.layers.contains(className) else {
      throw XferError.unsupported(
        "\(owner): a layer \(className) cannot be an activation; names of activations and \(Self.layers.sorted().joined(separator: ", ")) can"
      )
    }
    self.init(known: className, layer: try LayerRegistry.make(className, config: json["config"] ?? [:]).serialized)
  }

  /// Layers of elements without weights.
  private static let layers: Set<String> = ["Activation", "ELU", "LeakyReLU", "ReLU", "Softmax"]

  /// As Keras writes it.
  var config: JSONValue {
    if let layer { return layer }
    if arguments.isEmpty { return .string(name) }
    return ["class_name": "function", "config": .string(name), "arguments": .object(arguments)]
  }

  /// What sets `activation` in the config of the layer `owner`; nil for other keys.
  static func setter(
    _ key: String, _ value: JSONValue, of owner: Layer, _ set: @escaping (ActivationFunction) -> Void
  ) throws -> (() -> Void)? {
    guard key == "activation" else { return nil }
    let function = try ActivationFunction(value.isNull ? nil : value, layer: type(of: owner).className)
    return { set(function) }
  }

  func emit(_ x: ValueID, _ graph: Graph) throws -> ValueID {
    if let layer {
      if name == "Functional" { return try Deserializer().model(layer).emit([x], LoweringContext(graph: graph, training: false)) }
      return try LayerRegistry.make(name, config: layer["config"] ?? [:]).lower([x], LoweringContext(graph: graph, training: false))
    }
    func number(_ key: String, _ fallback: Double) -> Double { arguments[key]?.doubleValue ?? fallback }
    let axis = try integer("axis", -1)
    func plain(_ kind: Int, alpha: Double = 0, maximum: Double = .infinity) -> ValueID {
      graph.activation(x, .of(kind, alpha: Float(alpha), maxValue: Float(maximum)))
    }
    switch name {
    case "relu":
      let maximum = arguments["max_value"]?.doubleValue
      return try graph.relu(x, maxValue: maximum, negativeSlope: number("negative_slope", 0), threshold: number("threshold", 0))
    case "relu6": return plain(Int(XFER_ACTIVATION_RELU), maximum: 6)
    case "leaky_relu": return plain(Int(XFER_ACTIVATION_RELU), alpha: number("negative_slope", 0.2))
    case "sigmoid": return plain(Int(XFER_ACTIVATION_SIGMOID))
    case "tanh": return plain(Int(XFER_ACTIVATION_TANH))
    case "elu": return plain(Int(XFER_ACTIVATION_ELU), alpha: number("alpha", 1))
    case "selu": return plain(Int(XFER_ACTIVATION_SELU))
    case "silu": return plain(Int(XFER_ACTIVATION_SILU))
    case "gelu": return plain(Int(arguments["approximate"]?.boolValue == true ? XFER_ACTIVATION_GELU_TANH : XFER_ACTIVATION_GELU))
    case "softplus": return plain(Int(XFER_ACTIVATION_SOFTPLUS))
    case "softsign": return plain(Int(XFER_ACTIVATION_SOFTSIGN))
    case "exponential": return plain(Int(XFER_ACTIVATION_EXPONENTIAL))
    case "hard_sigmoid": return plain(Int(XFER_ACTIVATION_HARD_SIGMOID))
    case "hard_silu": return plain(Int(XFER_ACTIVATION_HARD_SILU))
    case "softmax": return try graph.softmax(x, axis: axis)
    case "celu": return try graph.celu(x, alpha: number("alpha", 1))
    case "glu": return try graph.gatedLinearUnit(x, axis: axis)
    case "hard_shrink": return try graph.hardShrink(x, number("threshold", 0.5))
    case "soft_shrink": return try graph.softShrink(x, number("threshold", 0.5))
    case "hard_tanh": return try graph.clip(x, -1, 1)
    case "log_sigmoid": return graph.logSigmoid(x)
    case "log_softmax": return try graph.logSoftmax(x, axis: axis)
    case "mish": return try graph.multiply(x, graph.unary(.tanh, plain(Int(XFER_ACTIVATION_SOFTPLUS))))
    case "sparse_plus": return try graph.sparsePlus(x)
    case "sparse_sigmoid": return try graph.sparseSigmoid(x)
    case "sparsemax": return try graph.sparsemax(x, axis: axis)
    case "squareplus": return try graph.squareplus(x, number("b", 4))
    case "tanh_shrink": return try graph.subtract(x, graph.unary(.tanh, x))
    case "threshold":
      let above = try graph.binary(.greater, x, graph.scalar(number("threshold", 0)))
      return try graph.select(above, x, graph.scalar(number("default_value", 0)))
    default: return x
    }
  }

  private func integer(_ key: String, _ fallback: Int) throws -> Int {
    guard let value = arguments[key] else { return fallback }
    guard let whole = value.intValue else {
      throw XferError.invalid("activation '\(name)': '\(key)' is to be a whole number, \(value.text()) was given")
    }
    return whole
  }
}
