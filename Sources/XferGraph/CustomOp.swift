public import XferCore
public import CXfer

/// An op given by the program itself: shapes in, a function that runs, and perhaps the op of its gradient.
///
/// The function gets the inputs' memory and writes the outputs'. It runs on the thread that runs the plan.
public struct CustomOp {
  public typealias Body = (_ inputs: [Tensor], _ outputs: [Tensor]) throws -> Void

  /// What reports and errors call it.
  public let name: String
  let body: Body
  /// Gradients of the inputs from (inputs, outputs, dy): writes one tensor for each input that wants one; nil where there is no gradient.
  let backward: ((_ inputs: [Tensor], _ outputs: [Tensor], _ dy: Tensor, _ gradients: [Tensor?]) throws -> Void)?

  public init(
    name: String, body: @escaping Body,
    backward: ((_ inputs: [Tensor], _ outputs: [Tensor], _ dy: Tensor, _ gradients: [Tensor?]) throws -> Void)? = nil
  ) {
    (self.name, self.body, self.backward) = (name, body, backward)
  }
}

extension Graph {
  /// A call of the program's own function; `output` is the shape and type of what it makes.
  public func custom(_ op: CustomOp, _ inputs: [ValueID], output: TensorDescription) -> ValueID {
    add(.custom, .custom(op), inputs, outputs: [output])[0]
  }
}

extension Differentiate {
  /// A second custom op that reads the inputs, the output and dy, and writes the gradients that are wanted.
  func custom(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    guard case .custom(let op) = node.attributes else { return [] }
    guard let backward = op.backward else { throw XferError.unsupported("\(node.label): \(op.name) was given without a gradient") }
    let wanted = node.inputs.indices.filter { wants(node.inputs[$0]) }
    let count = node.inputs.count
    let gradient = CustomOp(name: "\(op.name) backward", body: { inputs, outputs in
      var slots = [Tensor?](repeating: nil, count: count)
      for (output, index) in zip(outputs, wanted) { slots[index] = output }
      try backward(Array(inputs[..<count]), [inputs[count]], inputs[count + 1], slots)
    })
    let results = graph.add(
      .custom, .custom(gradient), node.inputs + [node.outputs[0], dy], outputs: wanted.map { TensorDescription(graph.shape(node.inputs[$0])) })
    return zip(wanted, results).map { (node.inputs[$0], $1) }
  }
}
