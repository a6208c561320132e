/// What the project's figures share: colours, round numbers for axes, and the frame of the file.
public enum SVG {
  public static let ink = "#24292f"
  public static let faint = "#d8dee4"
  public static let grey = "#656d76"
  public static let blue = "#2f6fde"
  public static let orange = "#e8590c"

  /// A figure on white ground.
  public static func document(width: Double, height: Double, title: String, _ body: String) -> String {
    """
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(width)) \(Int(height))" width="\(Int(width))" \
    height="\(Int(height))" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif" font-size="12">
    <title>\(escaped(title))</title>
    <rect width="100%" height="100%" fill="#ffffff"/>
    \(body)
    </svg>

    """
  }

  public static func escaped(_ text: String) -> String {
    text.reduce(into: "") { result, letter in
      switch letter {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      default: result.append(letter)
      }
    }
  }

  /// A coordinate.
  public static func number(_ value: Double) -> String { fixed(value, 1) }

  /// About five round numbers from at or below `low` to at or above `high`.
  public static func ticks(_ low: Double, _ high: Double) -> [Double] {
    var step = 1.0
    let rough = (high - low) / 5
    while step > rough { step /= 10 }
    while step * 10 <= rough { step *= 10 }
    step *= [1, 2, 2.5, 5, 10].first { step * $0 >= rough } ?? 10
    let first = (low / step).rounded(.down)
    let last = (high / step - 1e-9).rounded(.up)
    return (0...Int(last - first)).map { (first + Double($0)) * step }
  }

  /// How many digits tell ticks apart.
  public static func digits(_ ticks: [Double]) -> Int {
    let digits = ticks.count > 1 && ticks[1] - ticks[0] < 0.1 ? 2 : ticks.allSatisfy { $0 == $0.rounded() } ? 0 : 1
    return ticks.contains { abs($0 * 10 - ($0 * 10).rounded()) > 1e-6 } ? max(digits, 2) : digits
  }

  /// - Parameter anchor: "start", "middle" or "end".
  public static func text(_ text: String, x: Double, y: Double, anchor: String = "start", colour: String = grey) -> String {
    "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\" fill=\"\(colour)\">\(escaped(text))</text>"
  }

  public static func heading(_ title: String, x: Double) -> String {
    "<text x=\"\(number(x))\" y=\"26\" font-size=\"15\" font-weight=\"600\" fill=\"\(ink)\">\(escaped(title))</text>"
  }

  public static func line(_ a: (x: Double, y: Double), _ b: (x: Double, y: Double), colour: String = faint, dashed: Bool = false) -> String
  {
    "<line x1=\"\(number(a.x))\" y1=\"\(number(a.y))\" x2=\"\(number(b.x))\" y2=\"\(number(b.y))\" stroke=\"\(colour)\""
      + (dashed ? " stroke-dasharray=\"4 4\"/>" : "/>")
  }

  public static func polyline(_ points: [(x: Double, y: Double)], colour: String, width: Double = 2.5) -> String {
    let path = points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
    return
      "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"\(width)\" stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
  }

  public static func dot(_ point: (x: Double, y: Double), colour: String) -> String {
    "<circle cx=\"\(number(point.x))\" cy=\"\(number(point.y))\" r=\"4\" fill=\"\(colour)\" stroke=\"#ffffff\" stroke-width=\"1.5\"/>"
  }
}
