public import XferCore

/// Layers one after another.
///
/// The first may be an ``InputLayer``; without one, and when the first is no model either, the weights are made by the first call, which
/// brings a shape, or by ``build(inputShape:)``.
public final class Sequential: Model {
  public override class var className: String { "Sequential" }
  private(set) var stack: [Layer]

  public init(_ layers: [Layer], name: String? = nil) throws {
    guard !layers.isEmpty else { throw XferError.invalid("Sequential wants at least one layer") }
    let first = layers[0] as? InputLayer
    stack = first == nil ? layers : Array(layers.dropFirst())
    guard !stack.contains(where: { $0 is InputLayer }) else { throw XferError.invalid("Sequential: an Input can only come first") }
    super.init(unconnected: name ?? AutomaticName.next(for: "Sequential"))
    if let first {
      try NameScope.within(self.name) { try connect(from: first) }
    } else if let inner = layers[0] as? Model, let symbol = inner.inputs.first {
      let input = try InputLayer(shape: Array(symbol.shape.dropFirst()), dtype: symbol.dtype)
      try NameScope.within(self.name) { try connect(from: input) }
    }
  }

  /// Makes the weights for inputs of this shape, the batch dimension first. A model that has them keeps them.
  public func build(inputShape: OpenShape) throws { try buildIfNeeded([inputShape]) }

  public override func build(_ inputs: [OpenShape]) throws {
    guard inputs.count == 1, let shape = inputs.first, !shape.isEmpty else {
      throw XferError.shape("Sequential wants one input with a batch dimension, \(inputs.map(text)) was given")
    }
    try connect(from: InputLayer(shape: Array(shape.dropFirst())))
  }

  /// Calls the layers one on the other; this model's name is the scope already.
  private func connect(from input: InputLayer) throws {
    let symbol = input.symbol()
    try rewire(inputs: [symbol], outputs: [stack.reduce(symbol) { try $1($0) }])
    markBuilt()
  }

  /// Puts a layer behind the last one. It keeps its own `trainable`; a frozen parent hides it.
  public func add(_ layer: Layer) throws {
    if let end = outputs.first {
      let output = try NameScope.within(name) { try layer(end) }
      stack.append(layer)
      try rewire(inputs: inputs, outputs: [output])
    } else {
      stack.append(layer)
    }
  }

  /// Without the input, as Keras lists them.
  public override var sublayers: [Layer] { stack }

  public override var config: JSONValue {
    var config: [String: JSONValue] = ["name": .string(name), "trainable": .bool(trainable), "dtype": dtypePolicy]
    config["layers"] = .array(inputs.prefix(1).map(\.node.layer.serialized) + stack.map(\.serialized))
    if let input = inputs.first { config["build_input_shape"] = openShape(input.shape) }
    return .object(config)
  }

  public override var serialized: JSONValue {
    var entry: [String: JSONValue] = ["module": "keras", "class_name": "Sequential", "config": config, "registered_name": nil]
    if let input = inputs.first { entry["build_config"] = ["input_shape": openShape(input.shape)] }
    entry["compile_config"] = trainer?.compileConfig ?? [:]
    return .object(entry)
  }
}

/// A shape as configs have it, null where it is open.
func openShape(_ shape: OpenShape) -> JSONValue { .array(shape.map { $0.map { .int($0) } ?? .null }) }

/// The element type all layers compute in, as Keras writes it.
let dtypePolicy: JSONValue = ["module": "keras", "class_name": "DTypePolicy", "config": ["name": "float32"], "registered_name": nil]
