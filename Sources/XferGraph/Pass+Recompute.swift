import XferCore

extension Graph {
  /// Makes values that only the backward pass still needs once more from what it needs anyway, in place of keeping them: what
  /// normalization, rectifiers and depthwise convolutions give is as large as what products give, and costs next to nothing
  /// (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost). The same kernels on the same values give the same bits.
  func recompute(keeping kept: Set<ValueID>) {
    let producers = producers()
    var firstUse: [ValueID: Int] = [:]
    var firstUpdate: [ValueID: Int] = [:]
    for (index, node) in nodes.enumerated() where node.phase != .forward {
      for input in node.inputs { if firstUse[root(input)] == nil { firstUse[root(input)] = index } }
      for case .update(_, let variable?) in node.outputs.map({ values[$0.index].source }) {
        let value = self.variable(variable)
        if firstUpdate[value] == nil { firstUpdate[value] = index }
      }
    }
    func isForward(_ value: ValueID) -> Bool { producers[value].map { nodes[$0].phase == .forward } ?? false }
    func isLarge(_ value: ValueID) -> Bool { description(value).count >= leastElements }

    /// Whether a value can be had before node `use` from values that are there then.
    func isAtHand(_ value: ValueID, before use: Int) -> Bool {
      if !isForward(value) { return producers[value] == nil && firstUpdate[value, default: .max] >= use }
      return firstUse[value] != nil || !isLarge(value) || isCheap(value, before: use)
    }
    func isCheap(_ value: ValueID, before use: Int) -> Bool {
      guard isForward(value), !kept.contains(value), let index = producers[value], nodes[index].isCheap else { return false }
      return nodes[index].inputs.allSatisfy { isAtHand(root($0), before: use) }
    }

    let again = Set(firstUse.filter { isLarge($0.key) && isCheap($0.key, before: $0.value) }.map(\.key))
    guard !again.isEmpty else { return }
    var copies: [ValueID: ValueID] = [:]
    var order: [Node] = []
    func copy(_ input: ValueID) -> ValueID {
      let value = root(input)
      guard isForward(value), isLarge(value), again.contains(value) || firstUse[value] == nil, let index = producers[value] else {
        return input
      }
      if copies[value] == nil {
        var node = nodes[index]
        node.inputs = node.inputs.map(copy)
        node.phase = .backward
        copies[value] = make(description(value), .node)
        node.outputs = [copies[value] ?? value]
        order.append(node)
      }
      let made = copies[value] ?? value
      return shape(input) == shape(made) ? made : make(description(input), .alias(made))
    }
    for node in nodes {
      var node = node
      if node.phase != .forward {
        node.inputs = node.inputs.map { again.contains(root($0)) ? copy($0) : $0 }
      }
      order.append(node)
    }
    nodes = order
  }
}

/// Smaller values are kept: there is nothing to gain.
private let leastElements = 1 << 14

extension Node {
  /// A few operations an element of its only output, and no random numbers.
  fileprivate var isCheap: Bool {
    switch kind {
    case .scaleShift, .activation, .depthwiseConv2D: outputs.count == 1
    default: false
    }
  }
}
