import CXfer
import XferCore

extension Graph {
  /// Values that keep their content while a plan lives: constants, weights the plan does not change, and what is computed from
  /// them alone. `plastic` names weights that change between runs.
  func constantValues(plastic: Set<ObjectIdentifier>) -> Set<ValueID> {
    var constant: Set<ValueID> = []
    for (index, value) in values.enumerated() {
      switch value.source {
      case .constant: constant.insert(ValueID(index: index))
      case .variable(let variable):
        let id = ObjectIdentifier(variable)
        if !updated.contains(id), !plastic.contains(id) { constant.insert(ValueID(index: index)) }
      default: break
      }
    }
    // A function of the program's own may give something else each time.
    for node in nodes where node.phase != .update && node.kind != .custom && node.inputs.allSatisfy({ constant.contains(root($0)) }) {
      constant.formUnion(node.outputs)
    }
    return constant
  }

  /// Puts an affine op with constant factors into the constant kernel and bias of the convolution or product before it:
  /// `s·(Wx + b) + t = (sW)x + (sb + t)`. The scaled kernel is a constant node of its own, so the weight itself stays as it is.
  ///
  /// Not where the affine op's factors are of `moving` weights and the kernel is not: there the frozen part of a network ends, and what it gives
  /// is to be the same whether or not it was computed apart.
  func foldFrozenBatchNorm(plastic: Set<ObjectIdentifier>, moving: Set<ObjectIdentifier>, keeping kept: Set<ValueID>) throws {
    let constant = constantValues(plastic: plastic)
    let moved = computed(from: moving)
    let producers = producers()
    let consumers = consumers()
    var removed: Set<Int> = []
    var replacement: [Int: [Node]] = [:]
    for (index, node) in nodes.enumerated() where node.kind == .scaleShift && node.phase == .forward {
      let x = root(node.inputs[0])
      guard node.inputs.dropFirst().allSatisfy({ constant.contains(root($0)) }), !kept.contains(x),
        consumers[x]?.count == 1, let source = producers[x], replacement[source] == nil, !constant.contains(x),
        // Seen through a reshape, rows and even channels may be others than the product's own.
        shape(x) == shape(node.outputs[0]),
        !node.inputs.dropFirst().contains(where: { moved.contains(root($0)) })
          || nodes[source].inputs.dropFirst().contains(where: { moved.contains(root($0)) }),
        let folded = try folding(nodes[source], into: node, constant)
      else { continue }
      removed.insert(source)
      replacement[index] = folded
    }
    nodes = nodes.indices.flatMap { removed.contains($0) ? [] : replacement[$0] ?? [nodes[$0]] }
  }

  /// These weights, and all that is computed from them.
  private func computed(from weights: Set<ObjectIdentifier>) -> Set<ValueID> {
    guard !weights.isEmpty else { return [] }
    return descendants(
      of: values.indices.map { ValueID(index: $0) }.filter { value in
        if case .variable(let variable) = values[value.index].source { weights.contains(ObjectIdentifier(variable)) } else { false }
      })
  }

  private func folding(_ source: Node, into affine: Node, _ constant: Set<ValueID>) throws -> [Node]? {
    guard source.inputs.count >= 2, constant.contains(root(source.inputs[1])), hasPlainEpilogue(source) else { return nil }
    guard source.inputs.dropFirst(2).allSatisfy({ constant.contains(root($0)) }) else { return nil }
    let kernel = source.inputs[1]
    let kernelShape = shape(kernel)
    let scaleShape: [Int]
    switch source.kind {
    case .conv2D: scaleShape = [1, 1, 1, kernelShape[3]]
    case .depthwiseConv2D: scaleShape = [1, 1, kernelShape[2], kernelShape[3]]
    case .matmul:
      guard case .matmul(let attributes) = source.attributes, attributes.transpose_b == 0 else { return nil }
      scaleShape = [1, kernelShape[1]]
    default: return nil
    }
    let mark = nodes.count
    label = affine.label
    let scale = affine.inputs[1]
    let scaled = try binary(.multiply, kernel, reshape(scale, to: scaleShape))
    var bias = affine.inputs.count > 2 ? affine.inputs[2] : nil
    if source.inputs.count > 2 {
      let moved = try binary(.multiply, source.inputs[2], scale)
      bias = try bias.map { try binary(.add, moved, $0) } ?? moved
    }
    let constants = Array(nodes[mark...])
    nodes.removeSubrange(mark...)
    var result = source
    result.inputs = [source.inputs[0], scaled] + (bias.map { [$0] } ?? [])
    result.outputs = affine.outputs
    result.fusedFrom.append(affine.label)
    result.withEpilogue { $0.hasBias = bias == nil ? 0 : 1 }
    if case .activation(let attributes) = affine.attributes { result.withEpilogue { $0.activation = attributes.activation } }
    return constants + [result]
  }

  private func hasPlainEpilogue(_ node: Node) -> Bool {
    guard let epilogue = node.epilogue else { return false }
    return epilogue.activation.isLinear && epilogue.hasResidual == 0
  }
}

/// What convolution and product attributes share.
struct Epilogue {
  var hasBias: Int32
  var hasResidual: Int32
  var activation: xfer_activation
}

extension Node {
  var epilogue: Epilogue? {
    switch attributes {
    case .conv(let a) where kind == .conv2D || kind == .depthwiseConv2D:
      Epilogue(hasBias: a.has_bias, hasResidual: a.has_residual, activation: a.activation)
    case .matmul(let a): Epilogue(hasBias: a.has_bias, hasResidual: a.has_residual, activation: a.activation)
    default: nil
    }
  }

  mutating func withEpilogue(_ change: (inout Epilogue) -> Void) {
    guard var epilogue else { return }
    change(&epilogue)
    switch attributes {
    case .conv(var a):
      (a.has_bias, a.has_residual, a.activation) = (epilogue.hasBias, epilogue.hasResidual, epilogue.activation)
      attributes = .conv(a)
    case .matmul(var a):
      (a.has_bias, a.has_residual, a.activation) = (epilogue.hasBias, epilogue.hasResidual, epilogue.activation)
      attributes = .matmul(a)
    default: break
    }
  }
}
