import XferCore
import XferGraph

extension Variable {
  /// The values as files hold them: with the product of LoRA added, where there is one.
  func stored() throws -> Tensor {
    guard let update = lowRank else { return tensor }
    let graph = Graph()
    var options = Plan.Options()
    options.plastic = [self, update.a, update.b]
    options.kept = [try graph.adapted(self)]
    let plan = try Plan(graph, options: options)
    try plan.run([])
    return try plan.read(options.kept[0]).copy()
  }
}
