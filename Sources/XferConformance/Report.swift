/// What a conformance run found: one entry an op, in the order of the op numbers.
public struct ConformanceReport: Sendable {
  /// The findings about one op, or about one gradient (an op and its backward op by finite differences).
  public struct Entry: Sendable {
    public let name: String
    /// Random cases the backend was compared on.
    public internal(set) var cases = 0
    /// Those among them that had tensors of bfloat16.
    public internal(set) var halves = 0
    /// Random cases the backend declined by `supports`.
    public internal(set) var declined = 0
    /// The largest error seen, in units of what is tolerated: at most 1 in a passing run.
    public internal(set) var worst = 0.0
    /// Each names the case (shapes, attributes, round), what was done and what came out.
    public internal(set) var failures: [String] = []
  }

  public let plugin: String
  public let seed: UInt64
  public internal(set) var entries: [Entry] = []

  public var failures: [String] { entries.flatMap(\.failures) }
  public var passed: Bool { failures.isEmpty }
  /// Cases that ran, over all ops.
  public var cases: Int { entries.reduce(0) { $0 + $1.cases } }

  /// Appends the findings of another report about the same plugin.
  public mutating func add(_ other: ConformanceReport) { entries += other.entries }

  /// A table for people: a line an op, the failures below it.
  public var text: String {
    var lines: [String] = []
    for entry in entries {
      let verdict = entry.failures.isEmpty ? (entry.cases == 0 ? "not supported" : "ok") : "FAILED"
      let name = entry.name + String(repeating: " ", count: max(1, 60 - entry.name.count))
      let declined = entry.declined > 0 && entry.cases > 0 ? ", \(entry.declined) declined" : ""
      let halves = entry.halves > 0 ? ", \(entry.halves) in bfloat16" : ""
      let worst = entry.cases > 0 ? ", \(entry.cases) cases\(halves)\(declined), error \(percent(entry.worst)) of tolerance" : ""
      lines.append("\(name)\(verdict)\(worst)")
      lines += entry.failures.map { "    \($0)" }
    }
    lines.append("\(plugin), seed \(seed): \(cases) cases, \(failures.count) failures")
    return lines.joined(separator: "\n")
  }

  private func percent(_ value: Double) -> String { value.isFinite ? "\((value * 1000).rounded() / 10)%" : "above 100%" }
}
