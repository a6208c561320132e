public import XferCore
public import XferGraph

/// A layer from a Swift function: composed of graph ops, or given forward and backward over tensors.
///
/// ```swift
/// let square = Lambda { inputs, context in try context.graph.multiply(inputs[0], inputs[0]) }
/// let half = Lambda(
///   forward: { x, y in for i in 0..<y.count { y.float32[i] = x[0].float32[i] / 2 } },
///   backward: { _, _, dy, dx in if let dx = dx[0] { for i in 0..<dx.count { dx.float32[i] = dy.float32[i] / 2 } } })
/// ```
///
/// A Swift function has no name a file could hold: a model with one is saved, but loading it is refused. ``CustomKernel`` is saved by name.
public final class Lambda: Layer {
  public override class var className: String { "Lambda" }
  private let compose: ([ValueID], LoweringContext) throws -> ValueID
  private let merges: Bool

  /// Composed of ops of the graph; gradients come by themselves. `mergesInputs`: the function takes several inputs.
  public init(
    name: String? = nil, mergesInputs: Bool = false, _ compose: @escaping ([ValueID], LoweringContext) throws -> ValueID
  ) {
    (self.compose, merges) = (compose, mergesInputs)
    super.init(name: name)
  }

  /// From functions over tensors, of the shapes the layer's inputs have. `outputShape` (without the batch dimension) is that of the first input
  /// when it is nil. `backward` writes the gradients that are wanted (not nil); without it the layer passes no gradient and training through it throws.
  public convenience init(
    name: String? = nil, outputShape: [Int]? = nil, mergesInputs: Bool = false,
    forward: @escaping (_ inputs: [Tensor], _ output: Tensor) throws -> Void,
    backward: ((_ inputs: [Tensor], _ output: Tensor, _ dy: Tensor, _ gradients: [Tensor?]) throws -> Void)? = nil
  ) {
    let op = CustomOp(
      name: name ?? "Lambda", body: { try forward($0, $1[0]) },
      backward: backward.map { backward in { try backward($0, $1[0], $2, $3) } })
    self.init(name: name, mergesInputs: mergesInputs) { inputs, context in
      let shape = context.graph.shape(inputs[0])
      return context.graph.custom(op, inputs, output: TensorDescription(outputShape.map { [shape.first ?? 1] + $0 } ?? shape))
    }
  }

  public override var mergesInputs: Bool { merges }
  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID { try compose(inputs, context) }

  /// What a file with a Lambda meets.
  static func refuse(_ config: inout Configuration) throws -> Layer {
    throw XferError.unsupported(
      "Lambda: a function of a program cannot be read from a file or a config; register it as a kernel and use CustomKernel, or compose it of layers"
    )
  }
}
