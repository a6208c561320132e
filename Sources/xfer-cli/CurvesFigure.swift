import Xfer

/// Loss and accuracy over the epochs as an SVG of two panels; a dashed line marks where fine-tuning begins.
struct CurvesFigure {
  private let result: TrainingResult
  /// Epochs of all phases, one after another; the state before training is epoch 0.
  private let epochs: [Logs]
  private let boundaries: [(epoch: Int, name: String)]

  private static let width = 880.0
  private static let height = 340.0
  private static let ink = "#24292f"
  private static let faint = "#d8dee4"
  private static let grey = "#656d76"
  private static let train = "#2f6fde"
  private static let validation = "#e8590c"

  init(_ result: TrainingResult) {
    self.result = result
    epochs = result.phases.flatMap { phase in phase.history.epochs.indices.map { phase.logs($0) } }
    var count = 0
    var boundaries: [(Int, String)] = []
    for phase in result.phases {
      if count > 0, !phase.history.epochs.isEmpty { boundaries.append((count, phase.name)) }
      count += phase.history.epochs.count
    }
    self.boundaries = boundaries
  }

  var svg: String {
    let loss = Panel(title: "Loss", left: 56, figure: self, key: "loss", limits: nil)
    let accuracy = Panel(title: "Accuracy", left: 500, figure: self, key: "accuracy", limits: (0, 1))
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(Self.width)) \(Int(Self.height))" width="\(Int(Self.width))" \
      height="\(Int(Self.height))" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="12">
      <title>Training curves of \(Self.escaped(result.base)), \(result.classes.count) classes</title>
      <rect width="100%" height="100%" fill="#ffffff"/>
      \(loss.svg)
      \(accuracy.svg)
      \(legend)
      </svg>

      """
  }

  private var legend: String {
    func entry(_ x: Double, _ colour: String, _ label: String) -> String {
      """
      <line x1="\(x)" y1="22" x2="\(x + 22)" y2="22" stroke="\(colour)" stroke-width="2.5" stroke-linecap="round"/>
      <text x="\(x + 28)" y="26" fill="\(Self.ink)">\(label)</text>
      """
    }
    return entry(Self.width - 190, Self.train, "training") + "\n" + entry(Self.width - 96, Self.validation, "validation")
  }

  private static func escaped(_ text: String) -> String {
    text.reduce(into: "") { result, letter in
      switch letter {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      default: result.append(letter)
      }
    }
  }

  /// One panel: axes with round numbers, a line for training, one for validation.
  private struct Panel {
    let title: String
    let left: Double
    let figure: CurvesFigure
    let top = 48.0
    let width = 350.0
    let height = 240.0
    private let training: [(epoch: Double, value: Double)]
    private let validating: [(epoch: Double, value: Double)]
    private let ticks: [Double]
    private let lastEpoch: Double

    init(title: String, left: Double, figure: CurvesFigure, key: String, limits: (Double, Double)?) {
      (self.title, self.left, self.figure) = (title, left, figure)
      func series(_ name: String) -> [(epoch: Double, value: Double)] {
        figure.epochs.enumerated().compactMap { index, logs in logs[name].flatMap { $0.isFinite ? (Double(index + 1), $0) : nil } }
      }
      training = series(key)
      let first = figure.result.before?[key].map { [(epoch: 0.0, value: $0)] } ?? []
      validating = first + series("val_\(key)")
      let values = (training + validating).map(\.value)
      let low = limits?.0 ?? min(0, values.min() ?? 0)
      let high = limits?.1 ?? max(values.max() ?? 1, low + 1e-6)
      ticks = Self.ticks(low, high)
      lastEpoch = Double(max(figure.epochs.count, 1))
    }

    /// About five round numbers from at or below `low` to at or above `high`.
    private static func ticks(_ low: Double, _ high: Double) -> [Double] {
      var step = 1.0
      let rough = (high - low) / 5
      while step > rough { step /= 10 }
      while step * 10 <= rough { step *= 10 }
      step *= [1, 2, 2.5, 5, 10].first { step * $0 >= rough } ?? 10
      let first = (low / step).rounded(.down)
      let last = (high / step - 1e-9).rounded(.up)
      return (0...Int(last - first)).map { (first + Double($0)) * step }
    }

    private func x(_ epoch: Double) -> Double { left + width * epoch / lastEpoch }
    private func y(_ value: Double) -> Double {
      let (low, high) = (ticks.first ?? 0, ticks.last ?? 1)
      return top + height * (1 - (value - low) / (high - low))
    }
    private func number(_ value: Double) -> String { fixed(value, 1) }

    var svg: String {
      let heading = "<text x=\"\(number(left))\" y=\"26\" font-size=\"15\" font-weight=\"600\" fill=\"\(CurvesFigure.ink)\">\(title)</text>"
      return ([heading] + grid + boundaries + [line(training, CurvesFigure.train), line(validating, CurvesFigure.validation)] + ends)
        .joined(separator: "\n")
    }

    private var grid: [String] {
      let digits = ticks.count > 1 && ticks[1] - ticks[0] < 0.1 ? 2 : ticks.allSatisfy { $0 == $0.rounded() } ? 0 : 1
      let fine = ticks.contains { abs($0 * 10 - ($0 * 10).rounded()) > 1e-6 } ? max(digits, 2) : digits
      let rows = ticks.map { tick in
        """
        <line x1="\(number(left))" y1="\(number(y(tick)))" x2="\(number(left + width))" y2="\(number(y(tick)))" stroke="\(CurvesFigure.faint)"/>
        <text x="\(number(left - 8))" y="\(number(y(tick) + 4))" text-anchor="end" fill="\(CurvesFigure.grey)">\(fixed(tick, fine))</text>
        """
      }
      let stride = max(1, Int((lastEpoch / 10).rounded(.up)))
      let columns = Swift.stride(from: 0, through: Int(lastEpoch), by: stride).map { epoch in
        "<text x=\"\(number(x(Double(epoch))))\" y=\"\(number(top + height + 18))\" text-anchor=\"middle\" fill=\"\(CurvesFigure.grey)\">\(epoch)</text>"
      }
      let caption =
        "<text x=\"\(number(left + width / 2))\" y=\"\(number(top + height + 38))\" text-anchor=\"middle\" "
        + "fill=\"\(CurvesFigure.grey)\">epoch</text>"
      return rows + columns + [caption]
    }

    private var boundaries: [String] {
      figure.boundaries.map { boundary in
        let place = number(x(Double(boundary.epoch)))
        return """
          <line x1="\(place)" y1="\(number(top))" x2="\(place)" y2="\(number(top + height))" stroke="\(CurvesFigure.grey)" stroke-dasharray="4 4"/>
          <text x="\(number(x(Double(boundary.epoch)) + 6))" y="\(number(top + 12))" fill="\(CurvesFigure.grey)">\(boundary.name)</text>
          """
      }
    }

    private func line(_ points: [(epoch: Double, value: Double)], _ colour: String) -> String {
      let path = points.map { "\(number(x($0.epoch))),\(number(y($0.value)))" }.joined(separator: " ")
      return
        "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2.5\" stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
    }

    /// The last values, as dots.
    private var ends: [String] {
      [(training.last, CurvesFigure.train), (validating.last, CurvesFigure.validation)].compactMap { point, colour in
        point.map {
          "<circle cx=\"\(number(x($0.epoch)))\" cy=\"\(number(y($0.value)))\" r=\"4\" fill=\"\(colour)\" stroke=\"#ffffff\" stroke-width=\"1.5\"/>"
        }
      }
    }
  }
}
