import XferCore
import XferGraph

/// Random numbers of augmentation by sample: those a layer would draw for a batch of this sample alone at a step that the sample's key names.
final class SampleDraws {
  private let plan: Plan
  private let values: [ValueID]
  private let states: [(own: Tensor, layer: Tensor)]

  /// - Parameter draws: those of a network; their shapes begin with its batch.
  init(_ draws: [AugmentationDraw], of network: Graph) throws {
    let graph = Graph()
    states = try draws.map { (try $0.state.copy(), $0.state) }
    values = zip(draws, states).map { draw, state in
      graph.random([1] + network.shape(draw.value).dropFirst(), normal: draw.isNormal, state: state.own)
    }
    var options = Plan.Options()
    options.kept = values
    plan = try Plan(graph, options: options)
  }

  /// One tensor a draw, a row for each key.
  func numbers(_ keys: [Digest]) throws -> [Tensor] {
    var rows: [[Tensor]] = []
    for key in keys {
      for state in states {
        let own = state.own.data.assumingMemoryBound(to: Int64.self)
        // The run begins by advancing the step by one.
        (own[0], own[1]) = (state.layer.data.assumingMemoryBound(to: Int64.self)[0], Int64(key.high >> 2))
      }
      try plan.run([])
      rows.append(try values.map { try plan.read($0).copy() })
    }
    return try values.indices.map { index in try Tensor(joining: rows.map { $0[index] }) }
  }
}
