public import XferCore
import CXfer

/// One line of a plan's report.
public struct PlanReportNode: Sendable {
  public let layer: String
  public let op: String
  public let backend: String
  public let shape: [Int]
  public let phase: NodePhase
  /// Layers whose work this op took over.
  public let fusedFrom: [String]
  /// Multiplications and additions of one run.
  public let flops: Double
  /// Bytes read and written once.
  public let bytes: Int
}

extension Plan {
  /// The plan's ops in running order.
  public func report() -> [PlanReportNode] {
    steps.map { step in
      let values = step.node.inputs + step.node.outputs
      return PlanReportNode(
        layer: step.node.label, op: step.node.kind.name, backend: step.kernel.backendName,
        shape: step.node.outputs.first.map { graph.shape($0) } ?? [], phase: step.node.phase, fusedFrom: step.node.fusedFrom,
        flops: graph.flops(step.node), bytes: values.reduce(0) { $0 + graph.description($1).byteCount })
    }
  }
}

extension Graph {
  func flops(_ node: Node) -> Double {
    func count(_ value: ValueID) -> Double { Double(description(value).count) }
    switch node.kind {
    case .matmul:
      let inner = shape(node.inputs[0])[shape(node.inputs[0]).count - (node.attributes.transposedA ? 2 : 1)]
      return 2 * count(node.outputs[0]) * Double(inner)
    case .conv2D, .depthwiseConv2D:
      let k = shape(node.inputs[1])
      return 2 * count(node.outputs[0]) * Double(k[0] * k[1] * (node.kind == .conv2D ? k[2] : 1))
    case .conv2DBackwardInput, .depthwiseConv2DBackwardInput:
      let k = shape(node.inputs[1])
      return 2 * count(node.inputs[0]) * Double(k[0] * k[1] * (node.kind == .conv2DBackwardInput ? k[2] : 1))
    case .conv2DBackwardKernel, .depthwiseConv2DBackwardKernel:
      let k = shape(node.outputs[0])
      return 2 * count(node.inputs[1]) * Double(k[0] * k[1] * (node.kind == .conv2DBackwardKernel ? k[2] : 1))
    case .separableConv2D:
      let (window, k) = (shape(node.inputs[1]), shape(node.inputs[2]))
      return 2 * count(node.outputs[0]) / Double(k[3]) * Double(k[2]) * Double(window[0] * window[1] + k[3])
    case .adam: return 10 * count(node.outputs[0])
    case .scaleShift, .sgd, .lerp: return 2 * count(node.outputs[0])
    default: return node.outputs.first.map(count) ?? 0
    }
  }
}

extension OpAttributes {
  fileprivate var transposedA: Bool { if case .matmul(let value) = self { value.transpose_a != 0 } else { false } }
}
