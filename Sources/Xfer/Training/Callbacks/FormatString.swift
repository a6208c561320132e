import XferCore

/// What a place of a format string can stand for.
enum FormatValue {
  case int(Int)
  case double(Double)
}

/// Python's `str.format` for numbers: "{epoch:02d}-{val_loss:.2f}"; "{{" and "}}" are braces.
func format(_ text: String, _ values: [String: FormatValue]) throws -> String {
  var result = ""
  var rest = Substring(text)
  func fail(_ reason: String) -> XferError { XferError.invalid("Failed to format this callback filepath: \"\(text)\". Reason: \(reason)") }
  while let character = rest.first {
    rest.removeFirst()
    guard character == "{" || character == "}" else {
      result.append(character)
      continue
    }
    if rest.first == character {
      rest.removeFirst()
      result.append(character)
      continue
    }
    guard character == "{", let end = rest.firstIndex(of: "}") else { throw fail("a single '\(character)'") }
    let parts = rest[..<end].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    rest = rest[rest.index(after: end)...]
    let name = parts.first.map(String.init) ?? ""
    guard let value = values[name] else { throw fail("'\(name)' is not known; known are \(values.keys.sorted().joined(separator: ", "))") }
    guard let formatted = FormatSpec(parts.count > 1 ? String(parts[1]) : "").flatMap({ $0.apply(value) }) else {
      throw fail("the format '\(parts.last ?? "")' is not one of numbers")
    }
    result += formatted
  }
  return result
}

/// [0][width][.precision][d|f|e|g], as C has them.
private struct FormatSpec {
  private var zeros = false
  private var width = 0
  private var precision: Int?
  private var type: Character?

  init?(_ text: String) {
    var rest = Substring(text)
    func number() -> Int? {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      rest = rest.dropFirst(digits.count)
      return Int(digits)
    }
    if rest.first == "0" {
      zeros = true
      rest.removeFirst()
    }
    width = number() ?? 0
    if rest.first == "." {
      rest.removeFirst()
      guard let digits = number() else { return nil }
      precision = digits
    }
    type = rest.popFirst()
    guard rest.isEmpty, width < 100, precision ?? 0 < 100, type.map({ "dfFeEgG".contains($0) }) ?? true else { return nil }
  }

  func apply(_ value: FormatValue) -> String? {
    let text: String
    switch (value, type) {
    case (.int(let number), nil), (.int(let number), "d"):
      guard precision == nil else { return nil }
      text = "\(number)"
    case (.double, "d"): return nil
    case (.double(let number), nil) where precision == nil: text = "\(number)"
    case (.int(let number), _): text = printed(Double(number))
    case (.double(let number), _): text = printed(number)
    }
    guard text.count < width else { return text }
    let padding = String(repeating: zeros ? "0" : " ", count: width - text.count)
    return zeros && text.hasPrefix("-") ? "-" + padding + text.dropFirst() : padding + text
  }

  private func printed(_ number: Double) -> String { formatted(number, "%.*\(type ?? "g")", precision ?? 6) }
}
