public import XferCore
public import XferGraph

/// How a model runs: the ops of its plan in running order, and what becomes of the weights each reads.
public struct PlanReport {
  public enum State: String, CaseIterable, Sendable {
    /// It reads none.
    case none
    case frozen
    /// Frozen, and `fit` runs it once a sample.
    case cached
    case trained
  }

  public let plan: Plan
  public let nodes: [PlanReportNode]
  /// One a node.
  public let states: [State]

  /// - Parameters:
  ///   - cached: values that `fit` keeps, and those they are made of.
  ///   - trainable: layers whose weights would be trained, where the plan is one of inference and changes none.
  init(_ plan: Plan, cached: Set<ValueID> = [], trainable: Set<String> = []) {
    self.plan = plan
    nodes = plan.report()
    states = nodes.map { node in
      let isTrained = node.changesWeights || (node.readsWeights && ([node.layer] + node.fusedFrom).contains(where: trainable.contains))
      if isTrained { return .trained }
      return node.outputs.allSatisfy(cached.contains) ? .cached : node.readsWeights ? .frozen : .none
    }
  }

  /// {"nodes":[{"layer","op","backend","shape","dtype","phase","weights","fused_from","flops","bytes","inputs"}],"peak_bytes":n,
  /// "precision":"float32"}.
  public var json: JSONValue {
    let nodes = zip(nodes, states).map { node, state -> JSONValue in
      [
        "layer": .string(node.layer), "op": .string(node.op), "backend": .string(node.backend),
        "shape": .array(node.shape.map { .int($0) }), "dtype": .string(node.dtype.name),
        "phase": .string("\(node.phase)"), "weights": .string(state.rawValue), "fused_from": .array(node.fusedFrom.map { .string($0) }),
        "flops": .double(node.flops), "bytes": .int(node.bytes), "inputs": .array(node.inputs.map { .int($0) }),
      ]
    }
    return ["nodes": .array(nodes), "peak_bytes": .int(plan.peakBytes), "precision": .string(plan.precision.name)]
  }
}

extension Model {
  /// What ``plan(batchSize:training:)`` would run, node by node.
  ///
  /// ```swift
  /// let report = try model.planReport(batchSize: 32, training: true)
  /// for (node, state) in zip(report.nodes, report.states) { print(node.layer, node.op, state) }
  /// ```
  public func planReport(batchSize: Int, training: Bool = false) throws -> PlanReport {
    let plan = try plan(batchSize: batchSize, training: training)
    return try training ? PlanReport(plan, cached: valuesRunOnce(batchSize: batchSize)) : PlanReport(plan, trainable: trainableLayers)
  }

  /// The layers with weights that training would change.
  private var trainableLayers: Set<String> {
    let weights = Set(trainableWeights.map { ObjectIdentifier($0) })
    return Set(allLayers.filter { $0.ownWeights.contains { weights.contains(ObjectIdentifier($0)) } }.map(\.name))
  }

  /// The values of a training step's graph that are made once a sample: another lowering of the same network has them in the same places.
  private func valuesRunOnce(batchSize: Int) throws -> Set<ValueID> {
    let plastic = Set(try compiled().trainableWeights.map { ObjectIdentifier($0) })
    guard let part = try FrozenPart(self, plastic: plastic, training: true, fixing: false) else { return [] }
    let graph = try part.lowered(self, batch: batchSize).graph
    return graph.ancestors(of: part.cut(in: graph) ?? [])
  }
}
