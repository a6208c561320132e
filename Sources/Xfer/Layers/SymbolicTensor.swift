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
    node.outputs.append(WeakSymbol(symbol: self))
  }
}

/// A call does not keep its outputs: they keep the call.
struct WeakSymbol { weak var symbol: SymbolicTensor? }

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
}

/// The layer behind an input of a model.
public final class InputLayer: Layer {
  public override class var className: String { "InputLayer" }
  public let shape: [Int]
  public let dtype: DType

  public init(shape: [Int], dtype: DType = .float32, name: String? = nil) throws {
    guard shape.allSatisfy({ $0 > 0 }) else { throw XferError.shape("Input: dimensions are to be above 0, \(shape) was given") }
    // Beyond any sample there is; products of such dimensions must not overflow.
    guard try Tensor.byteCount([1] + shape, dtype) <= 1 << 34 else {
      throw XferError.shape("Input: a sample of shape \(shape) would take more than 16 GiB")
    }
    self.shape = shape
    self.dtype = dtype
    super.init(name: name ?? AutomaticName.next(for: "InputLayer"))
    markBuilt()
  }

  public convenience init(config: inout Configuration) throws {
    let key = config.value("batch_shape") != nil ? "batch_shape" : config.value("batch_input_shape") != nil ? "batch_input_shape" : "shape"
    config.ignore("batch_shape", "batch_input_shape", "shape", "sparse", "ragged", "optional", "trainable")
    guard let list = config.value(key)?.arrayValue else { throw XferError.invalid("Input: 'shape' is required, without the batch dimension") }
    let dims = key == "shape" ? list[...] : list.dropFirst()
    let shape = try dims.map { value -> Int in
      guard let size = value.intValue else {
        throw XferError.unsupported("Input: open dimensions besides the batch are not supported, \(config.value(key)?.text() ?? "") was given")
      }
      return size
    }
    let dtypeName = config.value("dtype")?.stringValue ?? "float32"
    guard let dtype = DType(name: dtypeName) else { throw XferError.dtype("Input: unknown dtype '\(dtypeName)'") }
    let name = config.value("name")?.stringValue
    try config.finish()
    try self.init(shape: shape, dtype: dtype, name: name)
  }

  /// What the layer hands on: the start of a model.
  public func symbol() -> SymbolicTensor {
    SymbolicTensor(shape: [nil] + shape.map { $0 }, dtype: dtype, node: FunctionalNode(layer: self, inputs: [], training: nil))
  }

  public override var inputDType: DType { dtype }
  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID { inputs[0] }

  public override var config: JSONValue {
    [
      "batch_shape": .array([.null] + shape.map { .int($0) }), "dtype": .string(dtype.name), "sparse": false, "ragged": false,
      "name": .string(name),
    ]
  }
}

/// A model input of this shape, the batch dimension left out.
public func Input(shape: [Int], dtype: DType = .float32, name: String? = nil) throws -> SymbolicTensor {
  try InputLayer(shape: shape, dtype: dtype, name: name).symbol()
}
