extension Graph {
  /// The set of values of least memory through which every way from the sources to the border goes (Ford & Fulkerson 1956, with the shortest
  /// augmenting paths of Edmonds & Karp 1972). Only values for which `allowed` holds are cut.
  func smallestCut(from sources: [ValueID], to border: Set<ValueID>, _ members: Set<ValueID>, allowed: (ValueID) -> Bool) -> [ValueID] {
    // Two vertices a value, in and out, with its bytes between them; unlimited from an op's inputs to its output.
    let order = members.sorted { $0.index < $1.index }
    let place = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
    let (sink, start) = (order.count * 2, order.count * 2 + 1)
    let unlimited = Int.max / 4
    var capacity: [[Int: Int]] = Array(repeating: [:], count: sink + 2)
    func connect(_ from: Int, _ to: Int, _ amount: Int) {
      capacity[from][to, default: 0] += amount
      capacity[to][from, default: 0] += 0
    }
    for (index, value) in order.enumerated() {
      connect(index * 2, index * 2 + 1, allowed(value) && !sources.contains(value) ? description(value).byteCount : unlimited)
      if border.contains(value) { connect(index * 2 + 1, sink, unlimited) }
      if sources.contains(value) { connect(start, index * 2, unlimited) }
    }
    for node in nodes {
      for output in node.outputs {
        guard let to = place[output] else { continue }
        for input in node.inputs { if let from = place[root(input)] { connect(from * 2 + 1, to * 2, unlimited) } }
      }
    }
    func reach() -> [Int?] {
      var previous = [Int?](repeating: nil, count: sink + 2)
      previous[start] = start
      var queue = [start]
      var head = 0
      while head < queue.count {
        let at = queue[head]
        head += 1
        for (next, amount) in capacity[at].sorted(by: { $0.key < $1.key }) where amount > 0 && previous[next] == nil {
          previous[next] = at
          queue.append(next)
        }
      }
      return previous
    }
    var previous = reach()
    while previous[sink] != nil {
      var (amount, at) = (unlimited, sink)
      while at != start, let from = previous[at] {
        amount = min(amount, capacity[from][at] ?? 0)
        at = from
      }
      // A way without a limit: nothing on it may be cut.
      guard amount < unlimited else { return [] }
      at = sink
      while at != start, let from = previous[at] {
        capacity[from][at, default: 0] -= amount
        capacity[at][from, default: 0] += amount
        at = from
      }
      previous = reach()
    }
    // Of several smallest cuts the last: most is computed before it, and nothing is torn apart that would be folded or fused.
    var reaches = [Bool](repeating: false, count: sink + 2)
    reaches[sink] = true
    var queue = [sink]
    while let at = queue.popLast() {
      for from in capacity[at].keys where !reaches[from] && (capacity[from][at] ?? 0) > 0 {
        reaches[from] = true
        queue.append(from)
      }
    }
    return order.enumerated().filter { !reaches[$0.offset * 2] && reaches[$0.offset * 2 + 1] }.map(\.element)
  }
}
