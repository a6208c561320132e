import XferGraph

/// The steps of a plan as a drawing shows them: one box for what a layer does to the data on the way forward, with the cost of its way back and its
/// updates beside it.
struct PlanBoxes {
  struct Box {
    var layer: String
    var ops: [String] = []
    var backends: [String] = []
    var shape: [Int] = []
    var fusedFrom: [String] = []
    var state = PlanReport.State.none
    var cost = Cost()
    /// Of the gradients and updates.
    var training = Cost()
  }

  struct Cost {
    var flops = 0.0
    var bytes = 0

    static func += (a: inout Cost, b: PlanReportNode) { (a.flops, a.bytes) = (a.flops + b.flops, a.bytes + b.bytes) }
    static func += (a: inout Cost, b: Cost) { (a.flops, a.bytes) = (a.flops + b.flops, a.bytes + b.bytes) }
  }

  private(set) var boxes: [Box] = []
  /// The boxes each box reads, all before it.
  private(set) var inputs: [[Int]] = []
  /// What belongs to no layer: the loss' way back, the optimizer's own numbers.
  private(set) var other = Cost()

  init(_ report: PlanReport) {
    let nodes = report.nodes
    /// The box of each step on the way forward.
    var place = [Int?](repeating: nil, count: nodes.count)
    for (index, node) in nodes.enumerated() where node.phase == .forward && node.readsData {
      let sources = Array(Set(node.inputs.compactMap { place[$0] })).sorted()
      // What a layer does in several steps is one box, unless something between them reads it.
      let own = sources.last { boxes[$0].layer == node.layer }
      let box: Int
      if let own, sources.allSatisfy({ $0 <= own }) {
        box = own
        inputs[box] = Array(Set(inputs[box] + sources.filter { $0 != own })).sorted()
      } else {
        box = boxes.count
        boxes.append(Box(layer: node.layer))
        inputs.append(sources)
      }
      place[index] = box
      add(node, to: box, report.states[index])
    }
    var byLayer: [String: Int] = [:]
    for (index, box) in boxes.enumerated() {
      for name in [box.layer] + box.fusedFrom where byLayer[name] == nil { byLayer[name] = index }
    }
    for (index, node) in nodes.enumerated() where place[index] == nil {
      guard let box = byLayer[node.layer] else {
        other += node
        continue
      }
      // Weights that are made anew in each step, as those with LoRA, belong to the way forward.
      if node.phase == .forward { boxes[box].cost += node } else { boxes[box].training += node }
    }
  }

  private mutating func add(_ node: PlanReportNode, to box: Int, _ state: PlanReport.State) {
    boxes[box].shape = node.shape
    boxes[box].cost += node
    if !boxes[box].ops.contains(node.op) { boxes[box].ops.append(node.op) }
    if !boxes[box].backends.contains(node.backend) { boxes[box].backends.append(node.backend) }
    boxes[box].fusedFrom += node.fusedFrom.filter { !boxes[box].fusedFrom.contains($0) }
    let order = PlanReport.State.allCases
    if (order.firstIndex(of: state) ?? 0) > (order.firstIndex(of: boxes[box].state) ?? 0) { boxes[box].state = state }
  }

  /// The cost of all boxes in a state, forward.
  func total(_ state: PlanReport.State) -> (count: Int, cost: Cost) {
    let members = boxes.filter { $0.state == state }
    return (members.count, members.reduce(into: Cost()) { $0 += $1.cost })
  }
}
