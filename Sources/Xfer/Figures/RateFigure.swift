import Glibc

/// The loss over the learning rate, on a logarithmic axis, with the suggestion.
struct RateFigure {
  let range: LearningRateRange

  private let left = 64.0
  private let top = 48.0
  private let width = 520.0
  private let height = 240.0

  var svg: String {
    let (rates, losses) = (range.rates, range.losses)
    let exponents = rates.map { log10($0) }
    let (first, last) = (exponents.first ?? -7, max(exponents.last ?? 0, (exponents.first ?? -7) + 1e-6))
    // The end of the curve, where the loss grows without bound, would press the rest into a line.
    let start = losses.first ?? 1
    let low = min(losses.min() ?? 0, range.rawLosses.min() ?? 0)
    let high = max(start + (start - low) * 0.5, low + 1e-6)
    let ticks = SVG.ticks(low, high)
    let (bottom, ceiling) = (ticks.first ?? low, ticks.last ?? high)
    func x(_ exponent: Double) -> Double { left + width * (exponent - first) / (last - first) }
    func y(_ loss: Double) -> Double { top + height * (1 - (min(max(loss, bottom), ceiling) - bottom) / (ceiling - bottom)) }
    func points(_ values: [Double]) -> [(x: Double, y: Double)] { zip(exponents, values).map { (x($0), y($1)) } }

    var parts = [SVG.heading("Learning rate range test", x: left)]
    for tick in ticks {
      parts.append(SVG.line((left, y(tick)), (left + width, y(tick))))
      parts.append(SVG.text(fixed(tick, SVG.digits(ticks)), x: left - 8, y: y(tick) + 4, anchor: "end"))
    }
    for decade in stride(from: first.rounded(.up), through: last + 1e-9, by: 1) {
      parts.append(SVG.line((x(decade), top), (x(decade), top + height)))
      parts.append(SVG.text("1e\(Int(decade))", x: x(decade), y: top + height + 18, anchor: "middle"))
    }
    parts.append(SVG.text("learning rate", x: left + width / 2, y: top + height + 38, anchor: "middle"))
    parts.append(SVG.polyline(points(range.rawLosses), colour: SVG.faint, width: 1))
    parts.append(SVG.polyline(points(losses), colour: SVG.blue))
    if let suggestion = range.suggestion, let index = rates.firstIndex(of: suggestion) {
      let place = x(exponents[index])
      parts.append(SVG.line((place, top), (place, top + height), colour: SVG.orange, dashed: true))
      parts.append(SVG.dot((place, y(losses[index])), colour: SVG.orange))
      let isLeft = place < left + width / 2
      parts.append(
        SVG.text(
          "suggestion \(LearningRateRange.text(suggestion))", x: place + (isLeft ? 6 : -6), y: top + 12, anchor: isLeft ? "start" : "end",
          colour: SVG.orange))
    }
    return SVG.document(
      width: left + width + 24, height: top + height + 56, title: "Loss over the learning rate", parts.joined(separator: "\n"))
  }
}
