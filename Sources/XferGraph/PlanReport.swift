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
