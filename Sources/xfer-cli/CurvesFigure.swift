import Xfer

/// Loss and accuracy over the epochs as an SVG of two panels; a dashed line marks where fine-tuning begins.
struct CurvesFigure {
  private let result: TrainingResult
  /// Epochs of all phases, one after another; the state before training is epoch 0.
  private let epochs: [Logs]
  private let boundaries: [(epoch: Int, name: String)]

  private static let width = 880.0
  private static let height = 340.0
  private static let train = SVG.blue
  private static let validation = SVG.orange

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
    return SVG.document(
      width: Self.width, height: Self.height, title: "Training curves of \(result.base), \(result.classes.count) classes",
      [loss.svg, accuracy.svg, legend].joined(separator: "\n"))
  }

  private var legend: String {
    func entry(_ x: Double, _ colour: String, _ label: String) -> String {
      """
      <line x1="\(x)" y1="22" x2="\(x + 22)" y2="22" stroke="\(colour)" stroke-width="2.5" stroke-linecap="round"/>
      <text x="\(x + 28)" y="26" fill="\(SVG.ink)">\(label)</text>
      """
    }
    return entry(Self.width - 190, Self.train, "training") + "\n" + entry(Self.width - 96, Self.validation, "validation")
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
      ticks = SVG.ticks(low, high)
      lastEpoch = Double(max(figure.epochs.count, 1))
    }

    private func x(_ epoch: Double) -> Double { left + width * epoch / lastEpoch }
    private func y(_ value: Double) -> Double {
      let (low, high) = (ticks.first ?? 0, ticks.last ?? 1)
      return top + height * (1 - (value - low) / (high - low))
    }

    var svg: String {
      ([SVG.heading(title, x: left)] + grid + boundaries
        + [SVG.polyline(points(training), colour: CurvesFigure.train), SVG.polyline(points(validating), colour: CurvesFigure.validation)]
        + ends)
        .joined(separator: "\n")
    }

    private var grid: [String] {
      let digits = SVG.digits(ticks)
      let rows = ticks.flatMap { tick in
        [
          SVG.line((left, y(tick)), (left + width, y(tick))),
          SVG.text(fixed(tick, digits), x: left - 8, y: y(tick) + 4, anchor: "end"),
        ]
      }
      let stride = max(1, Int((lastEpoch / 10).rounded(.up)))
      let columns = Swift.stride(from: 0, through: Int(lastEpoch), by: stride).map { epoch in
        SVG.text("\(epoch)", x: x(Double(epoch)), y: top + height + 18, anchor: "middle")
      }
      return rows + columns + [SVG.text("epoch", x: left + width / 2, y: top + height + 38, anchor: "middle")]
    }

    private var boundaries: [String] {
      figure.boundaries.enumerated().flatMap { index, boundary in
        let place = x(Double(boundary.epoch))
        return [
          SVG.line((place, top), (place, top + height), colour: SVG.grey, dashed: true),
          // Names of short phases would run into each other on one line.
          SVG.text(boundary.name, x: place + 6, y: top + 12 + 14 * Double(index % 4)),
        ]
      }
    }

    private func points(_ series: [(epoch: Double, value: Double)]) -> [(x: Double, y: Double)] {
      series.map { (x($0.epoch), y($0.value)) }
    }

    /// The last values, as dots.
    private var ends: [String] {
      [(training, CurvesFigure.train), (validating, CurvesFigure.validation)].compactMap { series, colour in
        points(series).last.map { SVG.dot($0, colour: colour) }
      }
    }
  }
}
