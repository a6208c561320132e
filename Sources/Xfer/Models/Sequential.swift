public import XferCore

/// Layers one after another.
///
/// The first may be an ``InputLayer`` or a symbol; without one the model is built by the first call that brings a shape.
public final class Sequential: Model {
  public override class var className: String { "Sequential" }
  private(set) var stack: [Layer]

  public init(_ layers: [Layer], name: String? = nil) throws {
    guard !layers.isEmpty else { throw XferError.invalid("Sequential wants at least one layer") }
    let input: InputLayer
    if let first = layers.first as? InputLayer {
      input = first
      stack = Array(layers.dropFirst())
    } else if let first = layers.first as? Model {
      input = try InputLayer(shape: first.inputs[0].shape.dropFirst().map { $0 ?? 0 }, dtype: first.inputs[0].dtype)
      stack = layers
    } else {
      throw XferError.state("Sequential: the first layer is to be an Input or a model, so that the shapes are known; '\(layers[0].name)' was given")
    }
    let symbol = SymbolicTensor(
      shape: [nil] + input.shape.map { $0 }, dtype: input.dtype, node: FunctionalNode(layer: input, inputs: [], training: nil))
    let output = try stack.reduce(symbol) { try $1($0) }
    try super.init(inputs: [symbol], outputs: [output], name: name ?? AutomaticName.next(for: "Sequential"))
  }

  /// Puts a layer behind the last one. It keeps its own `trainable`; a frozen parent hides it.
  public func add(_ layer: Layer) throws {
    let output = try layer(outputs[0])
    stack.append(layer)
    try rewire(inputs: inputs, outputs: [output])
  }

  /// Without the input, as Keras lists them.
  public override var sublayers: [Layer] { stack }

  public override var config: JSONValue {
    [
      "name": .string(name), "trainable": .bool(trainable),
      "layers": .array([inputs[0].node.layer.serialized] + stack.map(\.serialized)),
      "build_input_shape": .array(inputs[0].shape.map { $0.map { .int($0) } ?? .null }),
    ]
  }

  public override var serialized: JSONValue {
    ["module": "keras", "class_name": "Sequential", "config": config, "registered_name": nil]
  }
}
