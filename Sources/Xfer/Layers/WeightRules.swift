public import XferCore
public import XferGraph

/// Regularizers and constraints by name, and called on data.
public enum WeightRules {
  /// A regularizer or constraint of this class.
  public static func make(_ className: String, config: JSONValue) throws -> any WeightRule {
    let json: JSONValue = ["class_name": .string(className), "config": config]
    if Constraint.names.contains(className), let rule = try Constraint(json, layer: className) { return rule }
    guard Regularizer.names.contains(className), let rule = try Regularizer(json, layer: className) else {
      throw XferError.notFound(
        "unknown regularizer or constraint '\(className)'\(hint(className, among: Regularizer.names + Constraint.names))")
    }
    return rule
  }
}

extension WeightRule {
  /// The penalty [] or the projected values of data.
  public func callAsFunction(_ values: Tensor) throws -> Tensor {
    let graph = Graph()
    let input = graph.input(TensorDescription(values.shape))
    let output = try emit(input, graph)
    var options = Plan.Options()
    options.kept = [output]
    let plan = try Plan(graph, options: options)
    try plan.run([(input, values.converted(to: .float32))])
    return try plan.read(output).copy()
  }
}
