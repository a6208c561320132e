import CXfer
import XferCore

extension Differentiate {
  func matmul(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    guard case .matmul(let attributes) = node.attributes else { return [] }
    let (a, b) = (node.inputs[0], node.inputs[1])
    let (ta, tb) = (attributes.transpose_a != 0, attributes.transpose_b != 0)
    var result: [(ValueID, ValueID)] = []
    if graph.shape(a).count == 3 {
      if wants(a) {
        result.append(
          (
            a,
            ta
              ? try graph.batchMatmul(b, dy, transposeA: tb, transposeB: true) : try graph.batchMatmul(dy, b, transposeB: !tb)
          ))
      }
      if wants(b) {
        result.append(
          (
            b,
            tb
              ? try graph.batchMatmul(dy, a, transposeA: true, transposeB: ta) : try graph.batchMatmul(a, dy, transposeA: !ta)
          ))
      }
      return result
    }
    if wants(a) {
      result.append((a, ta ? try graph.matmul(b, dy, transposeA: tb, transposeB: true) : try graph.matmul(dy, b, transposeB: !tb)))
    }
    if wants(b) {
      result.append((b, tb ? try graph.matmul(dy, a, transposeA: true, transposeB: ta) : try graph.matmul(a, dy, transposeA: !ta)))
    }
    if attributes.has_bias != 0, wants(node.inputs[2]) { result.append((node.inputs[2], try sumOverRows(dy))) }
    return result
  }

  func convolution(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    guard case .conv(var attributes) = node.attributes else { return [] }
    let depthwise = node.kind == .depthwiseConv2D
    let (x, kernel) = (node.inputs[0], node.inputs[1])
    let hasBias = attributes.has_bias != 0
    attributes.has_bias = 0
    var result: [(ValueID, ValueID)] = []
    if wants(x) {
      let kind: OpKind = depthwise ? .depthwiseConv2DBackwardInput : .conv2DBackwardInput
      result.append((x, graph.add(kind, .conv(attributes), [dy, kernel], graph.shape(x))))
    }
    if wants(kernel) {
      let kind: OpKind = depthwise ? .depthwiseConv2DBackwardKernel : .conv2DBackwardKernel
      result.append((kernel, graph.add(kind, .conv(attributes), [x, dy], graph.shape(kernel))))
    }
    if hasBias, wants(node.inputs[2]) { result.append((node.inputs[2], try sumOverRows(dy))) }
    return result
  }

  /// [..., C] → [C].
  func sumOverRows(_ value: ValueID) throws -> ValueID {
    let channels = graph.shape(value).last ?? 1
    let rows = graph.description(value).count / max(channels, 1)
    return try graph.reshape(graph.reduce(.sum, graph.reshape(value, to: [1, rows, channels])), to: [channels])
  }

  func pool(_ node: Node, _ dy: ValueID) -> [(ValueID, ValueID)] {
    guard case .pool(let attributes) = node.attributes else { return [] }
    let x = node.inputs[0]
    let inputs = attributes.kind == Int32(XFER_POOL_MAX) ? [x, node.outputs[0], dy] : [dy]
    return [(x, graph.add(.pool2DBackward, node.attributes, inputs, graph.shape(x)))]
  }
}
