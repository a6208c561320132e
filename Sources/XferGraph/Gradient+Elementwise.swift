import CXfer
import XferCore

extension Differentiate {
  func activation(_ node: Node, _ dy: ValueID) -> [(ValueID, ValueID)] {
    guard case .activation(var attributes) = node.attributes else { return [] }
    // Keeping the output alone lets the activation be fused into the op before it.
    attributes.saved_is_output = attributes.activation.gradientFromOutput ? 1 : 0
    let saved = attributes.saved_is_output != 0 ? node.outputs[0] : node.inputs[0]
    return [(node.inputs[0], graph.add(.activationBackward, .activation(attributes), [saved, dy], graph.shape(dy)))]
  }

  func reduce(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    guard case .reduce(let attributes) = node.attributes else { return [] }
    let s = graph.shape(node.inputs[0])
    switch attributes.kind {
    case Int32(XFER_REDUCE_SUM): return [(node.inputs[0], graph.broadcast(dy, count: s[1], scale: 1))]
    case Int32(XFER_REDUCE_MEAN): return [(node.inputs[0], graph.broadcast(dy, count: s[1], scale: 1 / Float(s[1])))]
    default: return [(node.inputs[0], try largest(node, dy))]
    }
  }

  func binary(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    guard case .binary(let attributes) = node.attributes, let kind = BinaryKind(rawValue: attributes.kind) else { return [] }
    let (a, b) = (node.inputs[0], node.inputs[1])
    var result: [(ValueID, ValueID)] = []
    func give(_ value: ValueID, _ gradient: () throws -> ValueID) throws {
      if wants(value) { result.append((value, try summed(gradient(), to: graph.shape(value)))) }
    }
    switch kind {
    case .add:
      try give(a) { dy }
      try give(b) { dy }
    case .subtract:
      try give(a) { dy }
      try give(b) { try graph.binary(.multiply, dy, graph.constant(Tensor([-1]))) }
    case .multiply:
      try give(a) { try graph.binary(.multiply, dy, b) }
      try give(b) { try graph.binary(.multiply, dy, a) }
    case .divide:
      try give(a) { try graph.binary(.divide, dy, b) }
      try give(b) {
        let quotient = try graph.binary(.divide, node.outputs[0], b)
        return try graph.binary(.multiply, graph.binary(.multiply, dy, quotient), graph.constant(Tensor([-1])))
      }
    case .maximum, .minimum:
      let shares = try extreme(node, dy, maximum: kind == .maximum)
      try give(a) { shares.a }
      try give(b) { shares.b }
    case .power:
      let rules = try power(node, dy)
      try give(a, rules.a)
      try give(b, rules.b)
    // Constant almost everywhere.
    case .equal, .greater, .greaterEqual: break
    }
    return result
  }

  /// Sums a gradient over the dimensions that were stretched from 1.
  private func summed(_ gradient: ValueID, to shape: [Int]) throws -> ValueID {
    var value = gradient
    for axis in shape.indices where shape[axis] == 1 && graph.shape(value)[axis] != 1 {
      let full = graph.shape(value)
      let folded = try graph.reshape(value, to: [full[..<axis].reduce(1, *), full[axis], full[(axis + 1)...].reduce(1, *)])
      var result = full
      result[axis] = 1
      value = try graph.reshape(graph.reduce(.sum, folded), to: result)
    }
    return value
  }

  func concat(_ node: Node, _ dy: ValueID) -> [(ValueID, ValueID)] {
    guard case .axis(let attributes) = node.attributes else { return [] }
    let axis = Int(attributes.axis)
    var begin = Array(repeating: 0, count: graph.shape(dy).count)
    var result: [(ValueID, ValueID)] = []
    for input in node.inputs {
      if wants(input) { result.append((input, graph.slice(dy, begin: begin, shape: graph.shape(input)))) }
      begin[axis] += graph.shape(input)[axis]
    }
    return result
  }

  func pad(_ node: Node, _ dy: ValueID) -> [(ValueID, ValueID)] {
    guard case .box(var attributes) = node.attributes else { return [] }
    attributes.value = 0
    return [(node.inputs[0], graph.add(.slice, .box(attributes), [dy], graph.shape(node.inputs[0])))]
  }

  func permuteChannels(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    guard case .constant(let order) = graph.values[node.inputs[1].index].source else { return [] }
    let index = order.floats.map { Int($0) }
    var inverse = Array(repeating: -1, count: graph.shape(node.inputs[0]).last ?? 0)
    for (to, from) in index.enumerated() {
      guard inverse[from] < 0 else { throw XferError.unsupported("\(node.label): a channel order with repetitions has no gradient") }
      inverse[from] = to
    }
    guard !inverse.contains(-1) else { throw XferError.unsupported("\(node.label): a channel order that drops channels has no gradient") }
    return [(node.inputs[0], try graph.permuteChannels(dy, index: inverse))]
  }

  func crossentropy(_ node: Node, _ dloss: ValueID) -> [(ValueID, ValueID)] {
    let kind: OpKind = node.kind == .binaryCrossentropy ? .binaryCrossentropyBackward : .sparseCategoricalCrossentropyBackward
    let prediction = node.inputs[1]
    return [(prediction, graph.add(kind, node.attributes, [node.inputs[0], prediction, dloss], graph.shape(prediction)))]
  }
}
