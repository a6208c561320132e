/// A table in box-drawing characters with the proportions and line breaks of the tables Keras prints.
struct TextTable {
  enum Alignment { case left, right, center }
  typealias Column = (title: String, alignment: Alignment)

  let columns: [Column]
  var rows: [[String]] = []
  /// Characters a cell takes without the blanks around it.
  private let widths: [Int]

  /// - Parameter positions: where each column ends, as shares of the line.
  init(columns: [Column], positions: [Double], lineLength: Int) {
    self.columns = columns
    var end = 0
    var widths = positions.map { position in
      defer { end = max(end, Int(position * Double(lineLength))) }
      return max(4, Int(position * Double(lineLength)) - end)
    }
    // The shares leave no room for borders and blanks: take it from all columns evenly.
    var excess = widths.reduce(0) { $0 + $1 + 3 } + 1 - lineLength
    for index in widths.indices where excess > 0 {
      let share = Int((Double(excess) / Double(widths.count - index)).rounded(.toNearestOrEven))
      let taken = min(share, widths[index] - 1)
      widths[index] -= taken
      excess -= share
    }
    self.widths = widths
  }

  var text: String {
    let titles = columns.map(\.title)
    var result = rule("┏", "━", "┳", "┓") + line(titles, "┃", bottom: true) + rule("┡", "━", "╇", "┩")
    for (index, row) in rows.enumerated() {
      if index > 0 { result += rule("├", "─", "┼", "┤") }
      result += line(row, "│")
    }
    return result + rule("└", "─", "┴", "┘")
  }

  private func rule(_ left: String, _ dash: String, _ between: String, _ right: String) -> String {
    left + widths.map { String(repeating: dash, count: $0 + 2) }.joined(separator: between) + right + "\n"
  }

  private func line(_ cells: [String], _ border: String, bottom: Bool = false) -> String {
    let wrapped = zip(cells, widths).map { wrap($0, $1) }
    let height = wrapped.map(\.count).max() ?? 0
    return (0..<height).map { row in
      let parts = wrapped.enumerated().map { column, lines in
        let index = bottom ? row - (height - lines.count) : row
        return " " + align(lines.indices.contains(index) ? lines[index] : "", widths[column], columns[column].alignment) + " "
      }
      return border + parts.joined(separator: border) + border + "\n"
    }.joined()
  }

  /// Breaks at blanks; what is too long for a line of its own ends in "…".
  private func wrap(_ text: String, _ width: Int) -> [String] {
    var lines: [String] = []
    for word in text.split(separator: " ") {
      if let last = lines.last, last.count + 1 + word.count <= width {
        lines[lines.count - 1] = "\(last) \(word)"
      } else {
        lines.append(String(word))
      }
    }
    return lines.map { $0.count > width ? "\($0.prefix(width - 1))…" : $0 }
  }

  private func align(_ text: String, _ width: Int, _ alignment: Alignment) -> String {
    let space = max(0, width - text.count)
    let left =
      switch alignment {
      case .left: 0
      case .right: space
      case .center: space / 2
      }
    return String(repeating: " ", count: left) + text + String(repeating: " ", count: space - left)
  }
}
