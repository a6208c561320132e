import Glibc
import XferCore

/// Keras' progress output, on stderr: a bar of 20 cells, or a line an epoch.
struct ProgressBar {
  let verbose: Int
  /// Nil for an evaluation.
  let epoch: Int?
  let epochs: Int
  let total: Int?
  private var steps = 0
  private let start = monotonicSeconds()
  private var drawn = -1.0
  private var open = false
  private let terminal = isatty(2) == 1

  init(verbose: Int, epoch: Int?, epochs: Int, total: Int?) {
    (self.verbose, self.epoch, self.epochs, self.total) = (verbose, epoch, epochs, total)
  }

  mutating func begin() {
    if verbose > 0, let epoch, epochs > 1 { writeError("Epoch \(epoch + 1)/\(epochs)\n") }
  }

  mutating func update(_ step: Int, _ logs: Logs) {
    steps = step
    guard verbose == 1, terminal else { return }
    let now = monotonicSeconds()
    guard now - drawn > 0.05 else { return }
    drawn = now
    open = true
    writeError("\r\u{1B}[2K" + line(logs, done: false))
  }

  mutating func end(_ logs: Logs) {
    open = false
    switch verbose {
    case 1: writeError((terminal ? "\r\u{1B}[2K" : "") + line(logs, done: true) + "\n")
    case 2: writeError("\(steps)/\(total ?? steps) - " + Self.elapsed(monotonicSeconds() - start, steps, " - ") + Self.values(logs) + "\n")
    default: break
    }
  }

  /// Ends an open line when an error takes over.
  mutating func abandon() {
    if open { writeError("\n") }
    open = false
  }

  private func line(_ logs: Logs, done: Bool) -> String {
    let all = total ?? (done ? steps : nil)
    let cells = all.map { 20 * min(steps, $0) / max($0, 1) } ?? 0
    let bar = String(repeating: "━", count: cells) + String(repeating: " ", count: 20 - cells)
    let seconds = monotonicSeconds() - start
    let time: String
    if done {
      time = Self.elapsed(seconds, steps)
    } else if let all, steps > 0 {
      time = "\(Int(seconds / Double(steps) * Double(all - steps)))s " + Self.perStep(seconds, steps)
    } else {
      time = Self.perStep(seconds, max(steps, 1))
    }
    return "\(steps)/\(all.map(String.init) ?? "Unknown") \(bar) \(time)" + Self.values(logs)
  }

  /// "7s 3s/step"; verbose 2 has " - " between.
  static func elapsed(_ seconds: Double, _ steps: Int, _ separator: String = " ") -> String {
    "\(Int(seconds))s" + separator + perStep(seconds, max(steps, 1))
  }

  private static func perStep(_ seconds: Double, _ steps: Int) -> String {
    let each = seconds / Double(steps)
    return each >= 1 ? "\(Int(each))s/step" : each >= 1e-3 ? "\(Int(each * 1e3))ms/step" : "\(Int(each * 1e6))us/step"
  }

  private static func values(_ logs: Logs) -> String {
    logs.items.sorted { $0.name < $1.name }.map { " - \($0.name): " + format($0.value) }.joined()
  }

  /// Four digits; in scientific form when small, as Keras prints.
  static func format(_ value: Double) -> String {
    abs(value) > 1e-3 ? formatted(value, "%.*f", 4) : formatted(value, "%.*e", 4)
  }
}

/// Shows a running fit, evaluate or predict; the last of the callbacks, as in Keras.
final class ProgressLogger: Callback {
  private var bar: ProgressBar?
  private var isFit = false

  override func trainBegin(_ state: TrainingState) { isFit = true }
  override func epochBegin(_ epoch: Int, _ state: TrainingState) {
    bar = ProgressBar(verbose: state.verbose, epoch: epoch, epochs: state.epochs, total: state.steps)
    bar?.begin()
  }
  override func batchEnd(_ batch: Int, _ logs: inout Logs, _ state: TrainingState) { bar?.update(batch + 1, logs) }
  override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) { bar?.end(logs) }

  // The validation of an epoch is silent.
  override func testBegin(_ state: TrainingState) { if !isFit { beginSingle(state) } }
  override func testBatchEnd(_ batch: Int, _ logs: Logs, _ state: TrainingState) { if !isFit { bar?.update(batch + 1, logs) } }
  override func testEnd(_ logs: Logs, _ state: TrainingState) { if !isFit { bar?.end(logs) } }
  override func predictBegin(_ state: TrainingState) { beginSingle(state) }
  override func predictBatchEnd(_ batch: Int, _ state: TrainingState) { bar?.update(batch + 1, Logs()) }
  override func predictEnd(_ state: TrainingState) { bar?.end(Logs()) }

  private func beginSingle(_ state: TrainingState) { bar = ProgressBar(verbose: state.verbose, epoch: nil, epochs: 1, total: state.steps) }

  /// Ends an open line when an error takes over.
  func abandon() { bar?.abandon() }
}

/// A number with so many digits behind the point, as C's `%.*f`.
public func fixed(_ value: Double, _ digits: Int) -> String { formatted(value, "%.*f", digits) }

func formatted(_ value: Double, _ format: String, _ digits: Int) -> String {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 400) { buffer in
    _ = withVaList([Int32(digits), value]) { vsnprintf(buffer.baseAddress, buffer.count, format, $0) }
    return buffer.baseAddress.map { String(cString: $0) } ?? ""
  }
}
