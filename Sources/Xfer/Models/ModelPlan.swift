public import XferCore
public import XferGraph

/// Refuses what no batch has: sizes of tensors are computed from it before anything is allocated.
func checkBatchSize(_ size: Int) throws {
  guard (1...Int(Int32.max)).contains(size) else {
    throw XferError.invalid("batch_size is to be from 1 to \(Int32.max), \(size) was given")
  }
}

extension Model {
  /// The plan by which the model would run with this batch size: inference, or a training step of the compiled model.
  public func plan(batchSize: Int, training: Bool = false) throws -> Plan {
    try checkBatchSize(batchSize)
    if training { return try compiled().plan(batchSize: batchSize) }
    let graph = Graph(precision: precision)
    let values = zip(inputs, try inputShapes(batchSize: batchSize)).map { graph.input(TensorDescription($1, $0.dtype)) }
    var options = Plan.Options()
    options.kept = try emitAll(values, LoweringContext(graph: graph, training: false))
    return try Plan(graph, options: options)
  }
}
