import CXfer
import XferCore

/// Places in one block of memory for all intermediate values: values that are never alive together share bytes.
struct MemoryPlan {
  /// Offset of each stored value, aliases and in-place results resolved to their root first.
  private(set) var offsets: [ValueID: Int] = [:]
  private(set) var bytes = 0
  private var storage: [ValueID: ValueID] = [:]

  /// - Parameters:
  ///   - nodes: the nodes in running order.
  ///   - stored: values that need room here, as roots.
  ///   - kept: values read after the run.
  init(_ graph: Graph, nodes: [Node], stored: (ValueID) -> Bool, kept: Set<ValueID>) {
    var last: [ValueID: Int] = [:]
    for (index, node) in nodes.enumerated() { for input in node.inputs { last[graph.root(input)] = index } }
    for value in kept { last[graph.root(value)] = nodes.count }

    struct Life { var value: ValueID; var begin: Int; var end: Int; var bytes: Int }
    var lives: [Life] = []
    var lifeOf: [ValueID: Int] = [:]
    for (index, node) in nodes.enumerated() {
      for output in node.outputs where stored(output) {
        let bytes = graph.description(output).byteCount
        let end = last[output] ?? index
        if let source = Self.inPlaceSource(graph, node, output, index, last), stored(source), let life = lifeOf[storage[source] ?? source],
          lives[life].bytes == bytes, lives[life].end == index
        {
          storage[output] = storage[source] ?? source
          lives[life].end = max(index, end)
        } else {
          lifeOf[output] = lives.count
          lives.append(Life(value: output, begin: index, end: end, bytes: bytes))
        }
      }
    }
    place(lives.map { ($0.value, $0.begin, $0.end, $0.bytes) })
  }

  /// The memory offset of a root value.
  func offset(of value: ValueID) -> Int? { offsets[storage[value] ?? value] }

  /// Largest first, each at the lowest offset where it meets no value alive at the same time.
  private mutating func place(_ lives: [(value: ValueID, begin: Int, end: Int, bytes: Int)]) {
    var placed: [(begin: Int, end: Int, from: Int, to: Int)] = []
    for life in lives.sorted(by: { ($0.bytes, $1.begin) > ($1.bytes, $0.begin) }) {
      var offset = 0
      // Kernels may run a little past nothing: a cache line keeps neighbours apart.
      let size = (life.bytes + 63) / 64 * 64 + 64
      let rivals = placed.filter { $0.begin <= life.end && life.begin <= $0.end }.sorted { $0.from < $1.from }
      for rival in rivals {
        if offset + size <= rival.from { break }
        offset = max(offset, rival.to)
      }
      placed.append((life.begin, life.end, offset, offset + size))
      offsets[life.value] = offset
      bytes = max(bytes, offset + size)
    }
  }

  /// An input that dies with this node and whose memory the op may write its output to.
  private static func inPlaceSource(_ graph: Graph, _ node: Node, _ output: ValueID, _ index: Int, _ last: [ValueID: Int]) -> ValueID? {
    let candidates: [ValueID]
    switch node.kind {
    case .activation, .softmax, .scaleShift, .dropout, .unary: candidates = [node.inputs[0]]
    case .activationBackward, .softmaxBackward: candidates = [node.inputs[1], node.inputs[0]]
    case .binary, .select: candidates = node.inputs
    default: return nil
    }
    return candidates.first {
      let value = graph.root($0)
      return last[value] == index && graph.dtype($0) == graph.dtype(output)
        && graph.description($0).byteCount == graph.description(output).byteCount
    }.map { graph.root($0) }
  }
}
