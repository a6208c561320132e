public import XferCore
public import XferGraph

extension Model {
  /// The plan by which the model would run with this batch size: inference, or a training step of the compiled model.
  public func plan(batchSize: Int, training: Bool = false) throws -> Plan {
    guard batchSize > 0 else { throw XferError.invalid("batch_size is to be above 0, \(batchSize) was given") }
    if training { return try compiled().plan(batchSize: batchSize) }
    let graph = Graph(precision: precision)
    let values = zip(inputs, try inputShapes(batchSize: batchSize)).map { graph.input(TensorDescription($1, $0.dtype)) }
    var options = Plan.Options()
    options.kept = try emitAll(values, LoweringContext(graph: graph, training: false))
    return try Plan(graph, options: options)
  }
}
