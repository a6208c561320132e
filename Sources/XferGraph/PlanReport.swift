public import XferCore
import CXfer

/// One line of a plan's report.
public struct PlanReportNode: Sendable {
  public let layer: String
  public let op: String
  public let backend: String
  public let shape: [Int]
  /// How what it makes is kept.
  public let dtype: DType
  public let phase: NodePhase
  /// Layers whose work this op took over.
  public let fusedFrom: [String]
  /// Multiplications and additions of one run.
  public let flops: Double
  /// Bytes read and written once.
  public let bytes: Int
  /// Places in the report of the nodes whose results it reads.
  public let inputs: [Int]
  /// What it makes.
  public let outputs: [ValueID]
  /// Whether it depends on what the plan is fed, and not on weights alone.
  public let readsData: Bool
  /// Whether it reads a weight, as it is or made into something else.
  public let readsWeights: Bool
  /// Whether it reads one that this plan changes.
  public let changesWeights: Bool
}

extension Plan {
  /// The plan's ops in running order.
  public func report() -> [PlanReportNode] {
    let sources = PlanSources(graph)
    let makers = Dictionary(steps.enumerated().flatMap { index, step in step.node.outputs.map { ($0, index) } }) { first, _ in first }
    return steps.map { step in
      let values = step.node.inputs + step.node.outputs
      let weights = sources.weights(of: step.node)
      return PlanReportNode(
        layer: step.node.label, op: step.node.kind.name, backend: step.kernel.backendName,
        shape: step.node.outputs.first.map { graph.shape($0) } ?? [], dtype: step.node.outputs.first.map { graph.dtype($0) } ?? .float32,
        phase: step.node.phase, fusedFrom: step.node.fusedFrom,
        flops: graph.flops(step.node), bytes: values.reduce(0) { $0 + graph.description($1).byteCount },
        inputs: Array(Set(step.node.inputs.compactMap { makers[graph.root($0)] })).sorted(), outputs: step.node.outputs,
        readsData: step.node.outputs.contains(where: sources.fed.contains), readsWeights: !weights.isEmpty,
        changesWeights: weights.contains { graph.updated.contains(ObjectIdentifier($0)) })
    }
  }
}

/// What the values of a graph go back to.
private struct PlanSources {
  let graph: Graph
  /// Values that depend on what a plan is fed.
  private(set) var fed: Set<ValueID> = []
  private let producers: [ValueID: Int]

  init(_ graph: Graph) {
    self.graph = graph
    producers = graph.producers()
    for node in graph.nodes where node.inputs.contains(where: { isFed($0) }) { fed.formUnion(node.outputs) }
  }

  private func isFed(_ value: ValueID) -> Bool {
    let root = graph.root(value)
    if case .input = graph.values[root.index].source { return true }
    return fed.contains(root)
  }

  /// The weights a node reads, and those that went into what it reads beside the data.
  func weights(of node: Node) -> [Variable] {
    var found: [Variable] = []
    var pending = node.inputs.map { graph.root($0) }
    var seen: Set<ValueID> = []
    while let value = pending.popLast() {
      guard !isFed(value), seen.insert(value).inserted else { continue }
      if case .variable(let variable) = graph.values[value.index].source { found.append(variable) }
      if let producer = producers[value] { pending += graph.nodes[producer].inputs.map { graph.root($0) } }
    }
    return found
  }
}

extension Graph {
  /// These values and all that they are made of.
  public func ancestors(of values: [ValueID]) -> Set<ValueID> {
    let producers = producers()
    var found: Set<ValueID> = []
    var pending = values.map { root($0) }
    while let value = pending.popLast() {
      guard found.insert(value).inserted, let producer = producers[value] else { continue }
      pending += nodes[producer].inputs.map { root($0) }
    }
    return found
  }

  func flops(_ node: Node) -> Double { specification(node, constant: []).flops }
}

extension OpSpecification {
  /// Multiplications and additions.
  var flops: Double {
    func count(_ value: TensorDescription) -> Double { Double(value.count) }
    switch kind {
    case .matmul:
      let shape = inputs[0].shape
      return 2 * count(outputs[0]) * Double(shape[shape.count - (attributes.transposedA ? 2 : 1)])
    case .conv2D, .depthwiseConv2D:
      let k = inputs[1].shape
      return 2 * count(outputs[0]) * Double(k[0] * k[1] * (kind == .conv2D ? k[2] : 1))
    case .conv2DBackwardInput, .depthwiseConv2DBackwardInput:
      let k = inputs[1].shape
      return 2 * count(inputs[0]) * Double(k[0] * k[1] * (kind == .conv2DBackwardInput ? k[2] : 1))
    case .conv2DBackwardKernel, .depthwiseConv2DBackwardKernel:
      let k = outputs[0].shape
      return 2 * count(inputs[1]) * Double(k[0] * k[1] * (kind == .conv2DBackwardKernel ? k[2] : 1))
    case .separableConv2D:
      let (window, k) = (inputs[1].shape, inputs[2].shape)
      return 2 * count(outputs[0]) / Double(k[3]) * Double(k[2]) * Double(window[0] * window[1] + k[3])
    case .adam: return 10 * count(outputs[0])
    case .scaleShift, .sgd, .lerp: return 2 * count(outputs[0])
    default: return outputs.first.map(count) ?? 0
    }
  }
}

extension OpAttributes {
  fileprivate var transposedA: Bool { if case .matmul(let value) = self { value.transpose_a != 0 } else { false } }
}
