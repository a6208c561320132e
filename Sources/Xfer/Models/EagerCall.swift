public import XferCore
import XferGraph

extension Layer {
  /// Calls the layer on data, reading the trainable flags of this moment.
  ///
  /// - Parameters:
  ///   - inputs: tensors with the batch dimension first; integers and uint8 are converted to what the layer reads.
  ///   - tape: records the call, so that gradients can be asked of it.
  public func callAsFunction(_ inputs: [Tensor], training: Bool = false, tape: GradientTape? = nil) throws -> Tensor {
    let outputs = try all(inputs, training: training, tape: tape)
    guard outputs.count == 1 else { throw XferError.invalid("\(name) has \(outputs.count) outputs: all(_:training:tape:) gives them") }
    return outputs[0]
  }

  /// The call of a layer with any number of outputs.
  public func all(_ inputs: [Tensor], training: Bool = false, tape: GradientTape? = nil) throws -> [Tensor] {
    guard !inputs.isEmpty else { throw XferError.invalid("\(name) wants at least one input, none was given") }
    guard inputs.allSatisfy({ !$0.shape.isEmpty }) else {
      throw XferError.shape("\(name) wants inputs with a batch dimension, a scalar was given")
    }
    try buildIfNeeded(inputs.map { $0.shape.map { $0 } })
    let flags = trainableFlags
    let taped = tape.map { tape in inputs.map { tape.watches($0) } }
    let arguments = callArguments
    let key = EagerPlans.Key(
      inputs: inputs.map(\.description), training: training, taped: taped, flags: flags,
      arguments: arguments.isEmpty ? "" : JSONValue.object(arguments).text(), backend: Backend.choiceGeneration,
      precision: precision)
    let lower: EagerPlans.Lowering = { [self] rows in
      let graph = Graph(precision: precision)
      let values = inputs.map { graph.input(TensorDescription([rows ?? $0.shape[0]] + $0.shape.dropFirst(), $0.dtype)) }
      let outputs = try emitAll(values, LoweringContext(graph: graph, training: training, arguments: arguments))
      return (graph, values, outputs + graph.losses)
    }
    guard let tape else { return keepingLosses(try eager.run(key, inputs, rows: inputs[0].shape[0], lower: lower)) }
    let cut = { [self] graph in try (self as? Model)?.frozenCut(in: graph, training: training) ?? [] }
    let entry = try eager.exclusive(key, variables: trainableWeights, cut: cut, lower: lower)
    return keepingLosses(try tape.record(entry, inputs: inputs) { [eager] in eager.giveBack(entry, key) })
  }

  public func callAsFunction(_ input: Tensor, training: Bool = false, tape: GradientTape? = nil) throws -> Tensor {
    try callAsFunction([input], training: training, tape: tape)
  }
}
