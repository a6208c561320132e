public import XferCore
public import XferGraph

/// The output of a layer before there is data: a shape, and how it is computed.
public final class SymbolicTensor {
  public let shape: OpenShape
  public let dtype: DType
  /// The call that makes it.
  let node: FunctionalNode
  /// Which of the call's outputs it is.
  let index: Int

  init(shape: OpenShape, dtype: DType, node: FunctionalNode, index: Int = 0) {
    self.shape = shape
    self.dtype = dtype
    self.node = node
    self.index = index
    node.record(self)
  }
}

/// A call does not keep its outputs: they keep the call.
struct WeakSymbol {
  weak var symbol: SymbolicTensor?
  let shape: OpenShape
  let dtype: DType
}

/// One call of a layer on symbolic tensors.
final class FunctionalNode {
  let layer: Layer
  let inputs: [SymbolicTensor]
  /// The explicit `training` argument, nil when none was given.
  let training: Bool?
  /// Other call arguments, see ``Layer/setCallArguments(_:)``.
  let arguments: [String: JSONValue]
  /// What came out and is still used by anyone.
  fileprivate(set) var outputs: [WeakSymbol] = []

  init(layer: Layer, inputs: [SymbolicTensor], training: Bool?, arguments: [String: JSONValue] = [:]) {
    self.layer = layer
    self.inputs = inputs
    self.training = training
    self.arguments = arguments
  }

  fileprivate func record(_ symbol: SymbolicTensor) {
    let entry = WeakSymbol(symbol: symbol, shape: symbol.shape, dtype: symbol.dtype)
    if outputs.indices.contains(symbol.index) { outputs[symbol.index] = entry } else { outputs.append(entry) }
  }

  /// Whether only one of its inputs is computed, by the `training` of the enclosing call.
  var choosesByTraining: Bool { (layer as? Operation)?.choosesByTraining == true }

  /// The inputs a call with this `training` reads.
  func inputs(training: Bool) -> [SymbolicTensor] { choosesByTraining ? [inputs[training ? 0 : 1]] : inputs }

  /// All outputs; those that nobody used are made anew.
  var symbols: [SymbolicTensor] {
    outputs.enumerated().map { index, output in
      output.symbol ?? SymbolicTensor(shape: output.shape, dtype: output.dtype, node: self, index: index)
    }
  }
}

/// The layer behind an input of a model.
public final class InputLayer: Layer {
  public override class var className: String { "InputLayer" }
  /// A sample's dimensions; nil where any size will do, as with images of any height and width.
  public let shape: OpenShape
  public let dtype: DType
  /// The batch size the model was written for; it changes nothing but the config.
  private let batchSize: Int?

  public init(shape: OpenShape, dtype: DType = .float32, batchSize: Int? = nil, name: String? = nil) throws {
    guard shape.allSatisfy({ ($0 ?? 1) > 0 }) else {
      throw XferError.shape("Input: dimensions are to be above 0, \(text(shape)) was given")
    }
    guard (batchSize ?? 1) > 0 else { throw XferError.shape("Input: the batch size is to be above 0, \(batchSize ?? 0) was given") }
    // Beyond any sample there is; products of such dimensions must not overflow.
    guard try Tensor.byteCount([1] + shape.map { $0 ?? 1 }, dtype) <= 1 << 32 else {
      throw XferError.shape("Input: a sample of shape \(text(shape)) would take more than 4 GiB")
    }
    (self.shape, self.dtype, self.batchSize) = (shape, dtype, batchSize)
    super.init(name: name ?? AutomaticName.next(for: "InputLayer"))
    markBuilt()
  }

  public convenience init(config: inout Configuration) throws {
    let key = config.value("batch_shape") != nil ? "batch_shape" : config.value("batch_input_shape") != nil ? "batch_input_shape" : "shape"
    config.ignore("batch_shape", "batch_input_shape", "shape", "optional", "trainable", "registered_name", "module")
    for kind in ["sparse", "ragged"] where try config.bool(kind, false) {
      throw XferError.unsupported("Input: \(kind) tensors are not supported")
    }
    guard let list = config.value(key)?.arrayValue else {
      throw XferError.invalid("Input: 'shape' is required, without the batch dimension")
    }
    let sizes = try list.map { value -> Int? in
      guard value.isNull || value.intValue != nil else {
        throw config.wrong(key, "a list of whole numbers, null where any size will do", .array(list))
      }
      return value.intValue
    }
    let batch = key == "shape" ? nil : sizes.first ?? nil
    let dtypeName = config.value("dtype")?.dtypeName ?? "float32"
    guard let dtype = DType(name: dtypeName) else { throw XferError.dtype("Input: unknown dtype '\(dtypeName)'") }
    let name = config.value("name")?.stringValue
    try config.finish()
    try self.init(shape: key == "shape" ? sizes : Array(sizes.dropFirst()), dtype: dtype, batchSize: batch, name: name)
  }

  /// What the layer hands on: the start of a model.
  public func symbol() -> SymbolicTensor {
    SymbolicTensor(shape: [nil] + shape, dtype: dtype, node: FunctionalNode(layer: self, inputs: [], training: nil))
  }

  public override var inputDType: DType { dtype }
  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID { inputs[0] }

  public override var config: JSONValue {
    [
      "batch_shape": .array(([batchSize] + shape).map { $0.map { .int($0) } ?? .null }), "dtype": .string(dtype.name), "sparse": false,
      "ragged": false, "name": .string(name), "optional": false,
    ]
  }
}

/// A model input of this shape, the batch dimension left out; nil where any size will do.
public func Input(shape: OpenShape, dtype: DType = .float32, name: String? = nil) throws -> SymbolicTensor {
  try InputLayer(shape: shape, dtype: dtype, name: name).symbol()
}

/// "[150, None, 3]".
func text(_ shape: OpenShape) -> String { "[\(shape.map { $0.map(String.init) ?? "None" }.joined(separator: ", "))]" }

extension JSONValue {
  /// The element type a config names: by itself or as a policy, {"class_name": "DTypePolicy", "config": {"name": "float32"}}.
  var dtypeName: String? { stringValue ?? self["config"]?["name"]?.stringValue }
}
