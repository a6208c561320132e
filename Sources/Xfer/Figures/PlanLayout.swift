import XferGraph

/// Where the boxes of a drawn plan stand: in rows, each below all it reads; in lanes side by side, so that a long chain stays in one of them;
/// and in columns beside each other, as in a newspaper, so that a deep network fits a page.
struct PlanLayout {
  struct Place: Equatable {
    var column: Int
    /// From the top of the column.
    var row: Int
    var lane: Int
  }

  struct Edge: Equatable {
    let from: Int
    let to: Int
  }

  private(set) var places: [Place]
  let edges: [Edge]
  /// Lanes of each column.
  private(set) var lanes: [Int] = []
  private(set) var rows: [Int] = []

  /// - Parameters:
  ///   - inputs: which boxes each box reads; those come before it.
  ///   - rowLimit: about how many rows a column takes.
  init(_ inputs: [[Int]], rowLimit: Int) {
    let ranks = Self.ranks(inputs)
    edges = inputs.enumerated().flatMap { to, list in list.map { Edge(from: $0, to: to) } }
    let lanes = Self.lanes(inputs, ranks)
    let starts = Self.columnStarts(edges, ranks, rowLimit)
    places = ranks.indices.map { box in
      let column = (starts.lastIndex { $0 <= ranks[box] }) ?? 0
      return Place(column: column, row: ranks[box] - starts[column], lane: lanes[box])
    }
    // Lanes are counted anew in each column.
    for column in starts.indices {
      let members = places.indices.filter { places[$0].column == column }
      let used = Set(members.map { places[$0].lane }).sorted()
      for box in members { places[box].lane = used.firstIndex(of: places[box].lane) ?? 0 }
      self.lanes.append(used.count)
      rows.append((members.map { places[$0].row }.max() ?? 0) + 1)
    }
  }

  /// The longest way from the top to each box.
  private static func ranks(_ inputs: [[Int]]) -> [Int] {
    var ranks: [Int] = []
    for list in inputs { ranks.append(list.map { ranks[$0] + 1 }.max() ?? 0) }
    return ranks
  }

  /// A box goes on in the lane of the box above it that has no longer way to the end elsewhere; other branches take lanes that nothing else is in.
  private static func lanes(_ inputs: [[Int]], _ ranks: [Int]) -> [Int] {
    var readers = [[Int]](repeating: [], count: inputs.count)
    for (box, list) in inputs.enumerated() { for source in list { readers[source].append(box) } }
    var heights = [Int](repeating: 0, count: inputs.count)
    for box in inputs.indices.reversed() { heights[box] = readers[box].map { heights[$0] + 1 }.max() ?? 0 }
    /// The reader that goes on in a box' lane.
    let heirs = readers.map { list in list.max { (heights[$0], $1) < (heights[$1], $0) } }
    var lanes = [Int](repeating: 0, count: inputs.count)
    /// The box with which the line of boxes in one lane began.
    var lines = Array(inputs.indices)
    var taken: [[(rows: ClosedRange<Int>, line: Int)]] = []
    for box in inputs.indices.sorted(by: { (ranks[$0], $0) < (ranks[$1], $1) }) {
      // As far down as the box' own lines go, the lane is not free.
      let end = max(ranks[box], (readers[box].map { ranks[$0] }.max() ?? ranks[box]) - 1)
      let rows = ranks[box]...end
      func isFree(_ lane: Int, _ line: Int?) -> Bool { !taken[lane].contains { $0.rows.overlaps(rows) && $0.line != line } }
      let parents = inputs[box].filter { heirs[$0] == box && isFree(lanes[$0], lines[$0]) }
      if let parent = parents.min(by: { (lanes[$0], $0) < (lanes[$1], $1) }) {
        (lanes[box], lines[box]) = (lanes[parent], lines[parent])
      } else {
        lanes[box] = taken.indices.first { isFree($0, nil) } ?? taken.count
      }
      while taken.count <= lanes[box] { taken.append([]) }
      taken[lanes[box]].append((rows, lines[box]))
    }
    return lanes
  }

  /// The first row of each column: columns end where the fewest boxes above are still read below.
  private static func columnStarts(_ edges: [Edge], _ ranks: [Int], _ limit: Int) -> [Int] {
    let count = (ranks.max() ?? 0) + 1
    let columns = max(1, (count + limit - 1) / limit)
    /// How many boxes above each row are read by one in it or below.
    var crossing = [Int](repeating: 0, count: count)
    let ends = Dictionary(edges.map { ($0.from, ranks[$0.to]) }, uniquingKeysWith: max)
    for (box, end) in ends { for row in ranks[box] + 1...end { crossing[row] += 1 } }
    var starts = [0]
    for column in 1..<columns {
      let wanted = count * column / columns
      let slack = max(1, limit / 4)
      let last = starts[starts.count - 1]
      guard last + 1 < count else { break }
      let candidates = (max(last + 1, wanted - slack)...max(last + 1, min(count - 1, wanted + slack)))
      let best = candidates.min { (crossing[$0], abs($0 - wanted)) < (crossing[$1], abs($1 - wanted)) } ?? wanted
      starts.append(best)
    }
    return starts
  }
}
