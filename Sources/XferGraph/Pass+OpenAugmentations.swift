import CXfer
public import XferCore

/// Random numbers by which an augmentation changes samples, made an input of the graph: one row a sample.
public struct AugmentationDraw {
  public let value: ValueID
  /// The layer's [seed, step].
  public let state: Tensor
  public let isNormal: Bool
}

extension Graph {
  private func isDraw(_ node: Node) -> Bool { node.kind == .random && node.phase == .forward }

  /// The random ops, counted from the first, that give every sample numbers of its own and change it before any learned layer has seen it: what
  /// they make of a sample may be fixed and still be augmentation. For a forward graph made for a batch of ``analysisBatch``.
  public func augmentations(of inputs: [ValueID]) -> [Int] {
    let draws = nodes.filter(isDraw)
    let kernels = values.indices.filter { index in
      if case .variable(let variable) = values[index].source { variable.shape.count > 1 } else { false }
    }
    let learned = descendants(of: kernels.map { ValueID(index: $0) }).intersection(descendants(of: inputs + draws.flatMap(\.outputs)))
    return draws.indices.filter { place in
      let drawn = draws[place].outputs[0]
      guard shape(drawn).first == Self.analysisBatch else { return false }
      let changed = descendants(of: [drawn])
      return !nodes.contains { node in
        let inputs = node.inputs.map { root($0) }
        return inputs.contains(where: changed.contains) && inputs.contains { learned.contains($0) && !changed.contains($0) }
      }
    }
  }

  /// Makes inputs of the numbers of these random ops; see ``augmentations(of:)``.
  public func openAugmentations(_ places: [Int]) -> [AugmentationDraw] {
    let draws = nodes.filter(isDraw)
    let opened = places.map { place in
      let node = draws[place]
      guard case .state(let state) = values[root(node.inputs[0]).index].source, case .random(let attributes) = node.attributes else {
        preconditionFailure("a random op draws from a state")
      }
      return AugmentationDraw(value: node.outputs[0], state: state, isNormal: attributes.kind == Int32(XFER_RANDOM_NORMAL))
    }
    cut(at: opened.map(\.value))
    return opened
  }

  /// Values and all that is computed from them.
  func descendants(of sources: [ValueID]) -> Set<ValueID> {
    var found = Set(sources)
    for node in nodes where node.inputs.contains(where: { found.contains(root($0)) }) { found.formUnion(node.outputs) }
    return found
  }
}
