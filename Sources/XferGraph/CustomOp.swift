import CXfer
public import XferCore

/// An op given by the program itself: a function that runs, and perhaps the function of its gradient.
///
/// The function gets the inputs' memory and writes the outputs'. It runs on the thread that runs the plan.
public struct CustomOp {
  /// Works on memory alone: one address an input, one an output, of the shapes it was prepared for.
  public typealias Run = (_ inputs: UnsafePointer<UnsafeRawPointer?>, _ outputs: UnsafePointer<UnsafeMutableRawPointer?>) throws -> Void
  /// Called once for the shapes of a plan; what can be laid out before the first run is laid out here.
  public typealias Prepare = (_ inputs: [TensorDescription], _ outputs: [TensorDescription]) throws -> Run
  /// The same of a gradient: the inputs are the op's inputs, its output and dy; the outputs are one an input of the op, nil (and a nil
  /// address when it runs) for those whose gradient nobody wants.
  public typealias PrepareBackward = (_ inputs: [TensorDescription], _ gradients: [TensorDescription?]) throws -> Run

  public typealias Body = (_ inputs: [Tensor], _ outputs: [Tensor]) throws -> Void
  public typealias Backward = (_ inputs: [Tensor], _ outputs: [Tensor], _ dy: Tensor, _ gradients: [Tensor?]) throws -> Void

  /// What reports and errors call it.
  public let name: String
  let prepare: Prepare
  let backward: PrepareBackward?

  /// From functions over memory.
  public init(name: String, prepare: @escaping Prepare, prepareBackward: PrepareBackward? = nil) {
    (self.name, self.prepare, backward) = (name, prepare, prepareBackward)
  }

  /// From functions over tensors, which borrow the memory for the call only. `backward` gets (inputs, outputs, dy) and writes one tensor
  /// for each input that wants a gradient; nil stands where none is wanted.
  public init(name: String, body: @escaping Body, backward: Backward? = nil) {
    self.init(
      name: name,
      prepare: { inputs, outputs in
        { from, to in
          try body(
            inputs.indices.compactMap { tensor(from[$0], inputs[$0]) }, outputs.indices.compactMap { tensor(to[$0], outputs[$0]) })
        }
      },
      prepareBackward: backward.map { backward in
        { inputs, gradients in
          let count = gradients.count
          return { from, to in
            let given = inputs.indices.compactMap { tensor(from[$0], inputs[$0]) }
            guard given.count == count + 2 else { throw XferError.internal("\(name): \(given.count) inputs of a gradient of \(count)") }
            let wanted = gradients.enumerated().map { index, description in description.flatMap { tensor(to[index], $0) } }
            try backward(Array(given[..<count]), [given[count]], given[count + 1], wanted)
          }
        }
      })
  }
}

private func tensor(_ address: UnsafeRawPointer?, _ description: TensorDescription) -> Tensor? {
  address.map { Tensor(borrowing: UnsafeMutableRawPointer(mutating: $0), shape: description.shape, dtype: description.dtype) }
}

private func tensor(_ address: UnsafeMutableRawPointer?, _ description: TensorDescription) -> Tensor? {
  tensor(address.map { UnsafeRawPointer($0) }, description)
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
    guard let backward = op.backward else {
      throw XferError.unsupported("\(node.label): \(op.name) was given without a backward function, and its gradient is needed")
    }
    let wanted = node.inputs.indices.filter { wants(node.inputs[$0]) }
    let shapes = node.inputs.map { TensorDescription(graph.shape($0)) }
    let gradient = CustomOp(
      name: "\(op.name) backward",
      prepare: { inputs, _ in
        let all = shapes.indices.map { wanted.contains($0) ? shapes[$0] : nil }
        let run = try backward(inputs, all)
        if wanted.count == shapes.count { return run }
        let places = AddressList(count: shapes.count)
        return { from, to in
          for (index, input) in wanted.enumerated() { places.base[input] = to[index] }
          try run(from, UnsafePointer(places.base))
        }
      })
    let results = graph.add(.custom, .custom(gradient), node.inputs + [node.outputs[0], dy], outputs: wanted.map { shapes[$0] })
    return zip(wanted, results).map { (node.inputs[$0], $1) }
  }
}

/// Room for addresses that outlives a call.
private final class AddressList {
  let base: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  init(count: Int) {
    base = .allocate(capacity: max(count, 1))
    base.initialize(repeating: nil, count: max(count, 1))
  }
  deinit { base.deallocate() }
}
