import XferCore

extension Graph {
  /// Makes values that only the backward pass still needs once more, in place of keeping them from the forward pass on (Chen et al. 2016, Training
  /// Deep Nets with Sublinear Memory Cost). The same kernels on the same values give the same bits.
  ///
  /// With one segment only what costs next to nothing is made again: what normalization, rectifiers and depthwise convolutions give is as large as
  /// what products give. With more, the forward pass is divided into so many parts of about equal memory; what a part hands to later ones is kept, and
  /// its other values are made again when the backward pass comes to the part. That takes nearly another forward pass of time.
  func recompute(keeping kept: Set<ValueID>, segments: Int = 1) {
    var lifetimes = Lifetimes(self, kept: kept, checkpoints: [], lastSegment: 0)
    if segments > 1 {
      let (checkpoints, last) = self.checkpoints(segments: segments, lifetimes.remade())
      lifetimes = Lifetimes(self, kept: kept, checkpoints: checkpoints, lastSegment: last)
    }
    let again = lifetimes.remade()
    guard !again.isEmpty else { return }
    let producers = lifetimes.producers
    var copies: [ValueID: ValueID] = [:]
    var order: [Node] = []
    func copy(_ input: ValueID) -> ValueID {
      let value = root(input)
      guard again.contains(value) || lifetimes.isOnlyForward(value), let index = producers[value] else { return input }
      if copies[value] == nil {
        var node = nodes[index]
        node.inputs = node.inputs.map(copy)
        node.phase = .backward
        copies[value] = make(description(value), .node)
        node.outputs = [copies[value] ?? value]
        for output in node.outputs { remade[output] = value }
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

  /// The values that go from one of `segments` parts of the forward pass to a later one, and the node with which the last part begins. Parts hold equal
  /// bytes of what the backward pass reads and is not `remade` anyway.
  private func checkpoints(segments: Int, _ remade: Set<ValueID>) -> (values: Set<ValueID>, last: Int) {
    let read = Set(valuesForBackward()).subtracting(remade)
    let sizes = nodes.map { node in
      node.phase == .forward ? node.outputs.filter(read.contains).reduce(0) { $0 + description($1).byteCount } : 0
    }
    let total = sizes.reduce(0, +)
    var (segmentOf, bytes, last) = ([Int](), 0, 0)
    for (index, size) in sizes.enumerated() {
      segmentOf.append(min(segments - 1, total > 0 ? bytes * segments / total : 0))
      if index > 0, segmentOf[index] > segmentOf[index - 1] { last = index }
      bytes += size
    }
    let producers = producers()
    var crossing: Set<ValueID> = []
    for (index, node) in nodes.enumerated() where node.phase == .forward {
      for value in node.inputs.map({ root($0) }) {
        if let made = producers[value], segmentOf[made] < segmentOf[index] { crossing.insert(value) }
      }
    }
    return (crossing, last)
  }
}

/// Which values of the forward pass can be made again, and until when.
private final class Lifetimes {
  let producers: [ValueID: Int]
  private let graph: Graph
  private let kept: Set<ValueID>
  private let checkpoints: Set<ValueID>
  /// The node from which on only cheap values are made again: the backward pass reads them first.
  private let lastSegment: Int
  private var firstUse: [ValueID: Int] = [:]
  private var firstUpdate: [ValueID: Int] = [:]
  private var deadlines: [ValueID: Int] = [:]

  init(_ graph: Graph, kept: Set<ValueID>, checkpoints: Set<ValueID>, lastSegment: Int) {
    (self.graph, self.kept, self.checkpoints, self.lastSegment) = (graph, kept, checkpoints, lastSegment)
    producers = graph.producers()
    for (index, node) in graph.nodes.enumerated() where node.phase != .forward {
      for input in node.inputs { if firstUse[graph.root(input)] == nil { firstUse[graph.root(input)] = index } }
      for case .update(_, let variable?) in node.outputs.map({ graph.values[$0.index].source }) {
        let value = graph.variable(variable)
        if firstUpdate[value] == nil { firstUpdate[value] = index }
      }
    }
  }

  /// The values to be made again where the backward pass first reads them.
  func remade() -> Set<ValueID> { Set(firstUse.keys.filter(isRemade)) }

  /// Whether nothing but the forward pass, and what is made again of it, reads a value.
  func isOnlyForward(_ value: ValueID) -> Bool { isForward(value) && isLarge(value) && firstUse[value] == nil && !stays(value) }

  private func isRemade(_ value: ValueID) -> Bool {
    guard let use = firstUse[value], isLarge(value) else { return false }
    return deadline(value) >= use
  }

  /// The last place among the nodes where a value can still be made from what is there: weights may have been updated behind it. Below 0 for never.
  private func deadline(_ value: ValueID) -> Int {
    if let known = deadlines[value] { return known }
    // Nodes stand in an order in which they can run: inputs come from before.
    guard isForward(value), !stays(value), let index = producers[value],
      graph.nodes[index].isCheap || index < lastSegment && graph.nodes[index].isRepeatable
    else {
      deadlines[value] = -1
      return -1
    }
    var last = Int.max
    for input in graph.nodes[index].inputs.map({ graph.root($0) }) {
      if !isForward(input) {
        last = min(last, producers[input] == nil ? firstUpdate[input, default: .max] : -1)
      } else if isLarge(input), !stays(input), firstUse[input] == nil || isRemade(input) {
        last = min(last, deadline(input))
      }
    }
    deadlines[value] = last
    return last
  }

  private func isForward(_ value: ValueID) -> Bool { producers[value].map { graph.nodes[$0].phase == .forward } ?? false }
  /// Read behind the forward pass anyway.
  private func stays(_ value: ValueID) -> Bool { kept.contains(value) || checkpoints.contains(value) }
  private func isLarge(_ value: ValueID) -> Bool { graph.description(value).count >= leastElements }
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

  /// Gives the same again: not what the program computes itself. Random numbers come from a state that stays as it is during a run.
  fileprivate var isRepeatable: Bool { kind != .custom && outputs.count == 1 }
}
