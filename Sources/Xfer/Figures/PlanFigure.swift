import XferCore
import XferGraph

/// A drawing of a plan: a box for each layer, from the input down, with its op, backend, arithmetic and bytes; coloured by whether its weights
/// are frozen, trained, or run once a sample; marked where it took over the work of other layers.
struct PlanFigure {
  let title: String
  let boxes: PlanBoxes
  let showShapes: Bool
  let peakBytes: Int
  /// Whether the plan is one of a training step.
  let isTraining: Bool
  private let layout: PlanLayout

  init(title: String, _ boxes: PlanBoxes, showShapes: Bool, peakBytes: Int, isTraining: Bool) {
    (self.title, self.boxes, self.showShapes, self.peakBytes, self.isTraining) = (title, boxes, showShapes, peakBytes, isTraining)
    layout = PlanLayout(boxes.inputs, rowLimit: 34)
  }

  private static let boxWidth = 268.0
  private static let laneGap = 18.0
  /// Beside each column, for lines that pass boxes by.
  private static let gutter = 46.0
  private static let rowGap = 20.0
  private static let top = 104.0
  private static let margin = 28.0
  private static let purple = "#7048b6"

  private var boxHeight: Double { showShapes ? 60 : 46 }
  private var rowHeight: Double { boxHeight + Self.rowGap }

  private static func colours(_ state: PlanReport.State) -> (fill: String, line: String) {
    switch state {
    case .none: ("#f6f8fa", "#afb8c1")
    case .frozen: ("#e3edfb", SVG.blue)
    case .cached: ("#dcf3e6", "#1f8a54")
    case .trained: ("#fdebdc", SVG.orange)
    }
  }

  private func label(_ state: PlanReport.State) -> String {
    switch state {
    case .none: "no weights"
    case .frozen: "frozen"
    case .cached: "frozen, run once a sample"
    case .trained: isTraining ? "trained" : "trainable"
    }
  }

  // MARK: Places

  private var columnStarts: [Double] {
    var starts: [Double] = []
    var x = Self.margin
    for lanes in layout.lanes {
      starts.append(x)
      x += Double(lanes) * (Self.boxWidth + Self.laneGap) + Self.gutter
    }
    return starts + [x]
  }

  private var height: Double { Self.top + Double(layout.rows.max() ?? 1) * rowHeight + Self.margin }

  private func corner(_ box: Int, _ starts: [Double]) -> (x: Double, y: Double) {
    let place = layout.places[box]
    return (starts[place.column] + Double(place.lane) * (Self.boxWidth + Self.laneGap), Self.top + Double(place.row) * rowHeight)
  }

  // MARK: Drawing

  var svg: String {
    let starts = columnStarts
    let (header, headerEnd) = header
    let width = max((starts.last ?? 0) - Self.gutter, headerEnd) + Self.margin
    let lines = layout.edges.map { line($0, starts) }
    let drawn = boxes.boxes.indices.map { draw($0, corner($0, starts)) }
    return SVG.document(width: width, height: height, title: title, ([header] + lines + drawn).joined(separator: "\n"))
  }

  /// Title, legend and sums, and where they end on the right.
  private var header: (svg: String, end: Double) {
    var parts = [
      "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"6\" refY=\"4\" markerWidth=\"6\" markerHeight=\"6\" orient=\"auto\">"
        + "<path d=\"M 0 0 L 8 4 L 0 8 z\" fill=\"#8c959f\"/></marker></defs>", SVG.heading(title, x: Self.margin),
    ]
    var x = Self.margin
    func entry(_ text: String, swatch: String) {
      parts.append(swatch)
      parts.append(SVG.text(text, x: x + 22, y: 53, colour: SVG.ink))
      x += 22 + 6.3 * Double(text.count) + 26
    }
    for state in PlanReport.State.allCases {
      let (count, cost) = boxes.total(state)
      guard count > 0 else { continue }
      let (fill, line) = Self.colours(state)
      entry(
        "\(label(state)): \(count), \(Self.flops(cost.flops))",
        swatch:
          "<rect x=\"\(SVG.number(x))\" y=\"42\" width=\"16\" height=\"14\" rx=\"3\" fill=\"\(fill)\" stroke=\"\(line)\" stroke-width=\"1.5\"/>"
      )
    }
    if boxes.boxes.contains(where: { !$0.fusedFrom.isEmpty }) {
      entry(
        "took over other layers (+)",
        swatch: "<rect x=\"\(SVG.number(x + 5))\" y=\"42\" width=\"5\" height=\"14\" rx=\"2\" fill=\"\(Self.purple)\"/>")
    }
    let forward = boxes.boxes.reduce(into: PlanBoxes.Cost()) { $0 += $1.cost }
    var back = boxes.other
    for box in boxes.boxes { back += box.training }
    var sum = "forward \(Self.flops(forward.flops)), \(Self.bytes(forward.bytes))"
    if back.flops > 0 { sum += "  ·  backward and updates \(Self.flops(back.flops)), \(Self.bytes(back.bytes))" }
    parts.append(SVG.text(sum + "  ·  intermediate values take \(Self.bytes(peakBytes))", x: Self.margin, y: 78))
    return (parts.joined(separator: "\n"), max(x, Self.margin + 6.3 * Double(sum.count + 40)))
  }

  private func draw(_ index: Int, _ corner: (x: Double, y: Double)) -> String {
    let box = boxes.boxes[index]
    let (fill, line) = Self.colours(box.state)
    let (x, y) = corner
    var parts = [
      "<g><title>\(SVG.escaped(details(box)))</title>",
      "<rect x=\"\(SVG.number(x))\" y=\"\(SVG.number(y))\" width=\"\(SVG.number(Self.boxWidth))\" height=\"\(SVG.number(boxHeight))\" rx=\"6\""
        + " fill=\"\(fill)\" stroke=\"\(line)\" stroke-width=\"1.5\"/>",
    ]
    if !box.fusedFrom.isEmpty {
      parts.append(
        "<rect x=\"\(n(x + 4))\" y=\"\(n(y + 5))\" width=\"4\" height=\"\(n(boxHeight - 10))\" rx=\"2\" fill=\"\(Self.purple)\"/>"
      )
    }
    let left = x + 15
    let name = box.layer.isEmpty ? "loss" : box.layer
    parts.append(
      "<text x=\"\(n(left))\" y=\"\(n(y + 18))\" font-weight=\"600\" fill=\"\(SVG.ink)\">\(SVG.escaped(Self.fitting(name, 28)))</text>"
    )
    if !box.fusedFrom.isEmpty {
      parts.append(SVG.text("+\(box.fusedFrom.count)", x: x + Self.boxWidth - 10, y: y + 18, anchor: "end", colour: Self.purple))
    }
    let op = box.ops.count > 1 ? "\(box.ops[0]) and \(box.ops.count - 1) more" : box.ops.first ?? ""
    let right = x + Self.boxWidth - 10
    parts.append(SVG.text(Self.fitting("\(op)  ·  \(box.backends.joined(separator: ", "))", 24), x: left, y: y + 36))
    parts.append(SVG.text(Self.flops(box.cost.flops), x: right, y: y + 36, anchor: "end"))
    if showShapes {
      parts.append(SVG.text(box.shape.map(String.init).joined(separator: "×"), x: left, y: y + 52))
      parts.append(SVG.text(Self.bytes(box.cost.bytes), x: right, y: y + 52, anchor: "end"))
    }
    return (parts + ["</g>"]).joined(separator: "\n")
  }

  /// What a pointer on the box shows.
  private func details(_ box: PlanBoxes.Box) -> String {
    var lines = [
      box.layer.isEmpty ? "loss" : box.layer, "\(box.ops.joined(separator: ", ")) by \(box.backends.joined(separator: ", "))",
      "output \(box.shape.map(String.init).joined(separator: "×"))",
      "\(Self.flops(box.cost.flops)), \(Self.bytes(box.cost.bytes)) read and written",
      label(box.state),
    ]
    if box.training.flops > 0 {
      lines.append("backward and updates: \(Self.flops(box.training.flops)), \(Self.bytes(box.training.bytes))")
    }
    if !box.fusedFrom.isEmpty { lines.append("took over \(box.fusedFrom.joined(separator: ", "))") }
    return lines.joined(separator: "\n")
  }

  // MARK: Lines

  private func line(_ edge: PlanLayout.Edge, _ starts: [Double]) -> String {
    let (from, to) = (layout.places[edge.from], layout.places[edge.to])
    let (a, b) = (corner(edge.from, starts), corner(edge.to, starts))
    let middle = Self.boxWidth / 2
    let (x1, y1, x2, y2) = (a.x + middle, a.y + boxHeight, b.x + middle, b.y)
    let end = y2 - 4
    if from.column != to.column {
      // Out at the bottom, up between the columns, in at the top.
      let between = starts[to.column] - Self.gutter / 2 - Self.laneGap / 2
      let (low, high) = (y1 + Self.rowGap / 2, y2 - 16)
      return path(
        "M \(n(x1)) \(n(y1)) C \(n(x1)) \(n(low + 8)), \(n(between)) \(n(low + 8)), \(n(between)) \(n(low - 24))"
          + " L \(n(between)) \(n(high + 24)) C \(n(between)) \(n(high - 12)), \(n(x2)) \(n(high - 12)), \(n(x2)) \(n(end))")
    }
    if from.lane == to.lane, to.row - from.row > 1 {
      // Past the boxes between, along their right side.
      let right = a.x + Self.boxWidth
      let out = right + 10 + min(26, 4 * Double(to.row - from.row))
      let (begin, finish) = (a.y + boxHeight / 2, b.y + boxHeight / 2)
      return path("M \(n(right)) \(n(begin)) C \(n(out)) \(n(begin)), \(n(out)) \(n(finish)), \(n(right + 4)) \(n(finish))")
    }
    if from.lane == to.lane { return path("M \(n(x1)) \(n(y1)) L \(n(x2)) \(n(end))") }
    // To another lane: a long line keeps to the lane that is free.
    let turn = Self.rowGap + 8
    if to.row - from.row == 1 {
      return path("M \(n(x1)) \(n(y1)) C \(n(x1)) \(n(y1 + turn)), \(n(x2)) \(n(y2 - turn)), \(n(x2)) \(n(end))")
    }
    if from.lane > to.lane {
      let corner = y2 - Self.rowGap
      return path("M \(n(x1)) \(n(y1)) L \(n(x1)) \(n(corner - 6)) C \(n(x1)) \(n(y2)), \(n(x2 + 30)) \(n(corner)), \(n(x2)) \(n(end))")
    }
    let corner = y1 + Self.rowGap
    return path("M \(n(x1)) \(n(y1)) C \(n(x1 + 30)) \(n(corner)), \(n(x2)) \(n(y1)), \(n(x2)) \(n(corner + 6)) L \(n(x2)) \(n(end))")
  }

  private func n(_ value: Double) -> String { SVG.number(value) }

  private func path(_ d: String) -> String {
    "<path d=\"\(d)\" fill=\"none\" stroke=\"#8c959f\" stroke-width=\"1.4\" marker-end=\"url(#arrow)\"/>"
  }

  // MARK: Texts

  private static func fitting(_ text: String, _ count: Int) -> String { text.count <= count ? text : "\(text.prefix(count - 1))…" }

  static func flops(_ value: Double) -> String {
    if value >= 1e9 { return "\(fixed(value / 1e9, 2)) GFLOP" }
    return value >= 1e6 ? "\(fixed(value / 1e6, 1)) MFLOP" : "\(fixed(value / 1e3, value >= 1e4 ? 0 : 1)) kFLOP"
  }

  static func bytes(_ value: Int) -> String {
    value >= 100_000 ? "\(fixed(Double(value) / 1e6, 1)) MB" : "\(fixed(Double(value) / 1e3, 1)) kB"
  }
}
