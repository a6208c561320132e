import XferCore

/// The calls and layers between symbols, in Keras' orders (`map_graph` of keras/src/ops/function.py): legacy weight files list
/// layers in that order, so it must be the same.
struct NetworkMap {
  /// Calls so that each comes after those it needs.
  private(set) var nodes: [FunctionalNode] = []
  /// Layers by decreasing distance from the outputs; equals by discovery.
  private(set) var layers: [Layer] = []

  private var finished: Set<ObjectIdentifier> = []
  private var discovery: [ObjectIdentifier: Int] = [:]

  init(inputs: [SymbolicTensor], outputs: [SymbolicTensor]) throws {
    let boundary = Set(inputs.map { ObjectIdentifier($0) })
    for output in outputs { try visit(output, boundary) }
    var nodeDepth: [ObjectIdentifier: Int] = [:]
    var layerDepth: [ObjectIdentifier: Int] = [:]
    var byLayer: [ObjectIdentifier: Layer] = [:]
    for node in nodes.reversed() {
      let layer = ObjectIdentifier(node.layer)
      let depth = max(nodeDepth[ObjectIdentifier(node)] ?? 0, layerDepth[layer] ?? 0)
      nodeDepth[ObjectIdentifier(node)] = depth
      layerDepth[layer] = depth
      byLayer[layer] = node.layer
      guard !node.isBoundary(boundary) else { continue }
      for input in node.inputs {
        let parent = ObjectIdentifier(input.node)
        nodeDepth[parent] = max(depth + 1, nodeDepth[parent] ?? 0)
      }
    }
    let missing = inputs.filter { !finished.contains(ObjectIdentifier($0.node)) }
    guard missing.isEmpty else {
      throw XferError.invalid("the model's outputs do not depend on its input '\(missing[0].node.layer.name)'")
    }
    layers = byLayer.values.sorted {
      let (a, b) = (ObjectIdentifier($0), ObjectIdentifier($1))
      return (-(layerDepth[a] ?? 0), discovery[a] ?? 0) < (-(layerDepth[b] ?? 0), discovery[b] ?? 0)
    }
  }

  private mutating func visit(_ symbol: SymbolicTensor, _ boundary: Set<ObjectIdentifier>) throws {
    // An explicit stack: networks are deeper than a thread's stack likes.
    var stack: [(node: FunctionalNode, next: Int)] = [(symbol.node, 0)]
    func children(_ node: FunctionalNode) -> [SymbolicTensor] {
      node.isBoundary(boundary) ? [] : node.inputs
    }
    if finished.contains(ObjectIdentifier(symbol.node)) { return }
    discover(symbol.node)
    while let (node, next) = stack.last {
      let inputs = children(node)
      if next < inputs.count {
        stack[stack.count - 1].next += 1
        let child = inputs[next].node
        if !finished.contains(ObjectIdentifier(child)) {
          discover(child)
          stack.append((child, 0))
        }
      } else {
        if inputs.isEmpty, !node.inputs.isEmpty || node.layer is InputLayer, !node.isBoundary(boundary) {
          throw XferError.invalid("the model's outputs depend on '\(node.layer.name)', which is not among its inputs")
        }
        if finished.insert(ObjectIdentifier(node)).inserted { nodes.append(node) }
        stack.removeLast()
      }
    }
  }

  private mutating func discover(_ node: FunctionalNode) {
    if discovery[ObjectIdentifier(node.layer)] == nil { discovery[ObjectIdentifier(node.layer)] = discovery.count }
  }
}

extension FunctionalNode {
  /// Whether one of its outputs is where a model begins.
  fileprivate func isBoundary(_ symbols: Set<ObjectIdentifier>) -> Bool {
    outputs.contains { $0.symbol.map { symbols.contains(ObjectIdentifier($0)) } ?? false }
  }
}
