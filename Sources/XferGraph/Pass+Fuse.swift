import CXfer
import XferCore

extension Graph {
  /// Takes away the zeros around images that convolutions have taken into their own padding.
  func dropUnreadPadding(keeping kept: Set<ValueID>) {
    let consumers = consumers()
    nodes.removeAll { $0.kind == .pad && $0.phase == .forward && !kept.contains($0.outputs[0]) && consumers[$0.outputs[0]] == nil }
    let left = Set(nodes.filter { $0.kind == .pad }.map(\.label))
    for index in nodes.indices where !left.isEmpty { nodes[index].fusedFrom.removeAll(where: left.contains) }
  }

  /// Moves additions and rectifiers into the op that makes their input, where nothing else reads that input.
  func fuse(plastic: Set<ObjectIdentifier>, keeping kept: Set<ValueID>) {
    let constant = constantValues(plastic: plastic)
    fuseResiduals(kept, constant)
    fuseActivations(kept, constant)
  }

  /// conv(x) + r → conv(x, residual: r). The convolution moves to the addition's place, where r is known.
  private func fuseResiduals(_ kept: Set<ValueID>, _ constant: Set<ValueID>) {
    let consumers = consumers()
    var producers = producers()
    var place = nodes.indices.map { Optional(nodes[$0]) }
    for (index, node) in nodes.enumerated() where node.kind == .binary && node.phase == .forward {
      guard case .binary(let attributes) = node.attributes, attributes.kind == BinaryKind.add.rawValue else { continue }
      // The operand made last is the better one to merge with: less moves.
      let order = producers[root(node.inputs[0]), default: -1] > producers[root(node.inputs[1]), default: -1] ? [0, 1] : [1, 0]
      for operand in order {
        let (value, other) = (root(node.inputs[operand]), node.inputs[1 - operand])
        guard let source = producers[value], var merged = place[source], merged.kind == .conv2D || merged.kind == .matmul,
          let epilogue = merged.epilogue, epilogue.hasResidual == 0, epilogue.activation.isLinear,
          consumers[value]?.count == 1, !kept.contains(value), !constant.contains(value),
          shape(value) == shape(node.outputs[0]), shape(other) == shape(node.outputs[0]), merged.outputs[0] == value
        else { continue }
        merged.inputs.append(other)
        merged.outputs = node.outputs
        merged.withEpilogue { $0.hasResidual = 1 }
        merged.fusedFrom.append(node.label)
        place[source] = nil
        place[index] = merged
        producers[node.outputs[0]] = index
        break
      }
    }
    nodes = place.compactMap { $0 }
  }

  private func fuseActivations(_ kept: Set<ValueID>, _ constant: Set<ValueID>) {
    let consumers = consumers()
    let producers = producers()
    var place = nodes.indices.map { Optional(nodes[$0]) }
    for (index, node) in nodes.enumerated() where node.kind == .activation && node.phase != .update {
      let value = root(node.inputs[0])
      guard case .activation(let attributes) = node.attributes, attributes.activation.kind == Int32(XFER_ACTIVATION_RELU),
        let source = producers[value], var merged = place[source], consumers[value]?.count == 1, !kept.contains(value),
        !constant.contains(value), merged.phase == node.phase, merged.outputs[0] == value, shape(value) == shape(node.outputs[0])
      else { continue }
      if let epilogue = merged.epilogue, epilogue.activation.isLinear {
        merged.withEpilogue { $0.activation = attributes.activation }
      } else if merged.kind == .scaleShift, case .activation(let own) = merged.attributes, own.activation.isLinear {
        merged.attributes = node.attributes
      } else {
        continue
      }
      merged.outputs = node.outputs
      merged.fusedFrom.append(node.label)
      place[source] = merged
      place[index] = nil
    }
    nodes = place.compactMap { $0 }
  }
}
