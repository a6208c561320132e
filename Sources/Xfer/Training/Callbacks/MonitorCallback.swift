import CXfer
public import XferCore

/// What the callbacks share that follow one figure of the logs.
public class MonitorCallback: Callback {
  /// What counts as better; "auto" goes by the figure's name.
  public enum Mode: String, Sendable { case auto, min, max }

  public let monitor: String
  public let mode: Mode
  let minDelta: Double
  public internal(set) var best: Double?
  private var isHigherBetter: Bool?

  init(monitor: String, mode: Mode, minDelta: Double, best: Double? = nil) {
    (self.monitor, self.mode, self.minDelta, self.best) = (monitor, mode, abs(minDelta), best)
  }

  /// The figure's value; nil, after a warning that begins with `purpose`, where the logs do not have it.
  func value(_ logs: Logs, _ purpose: String) -> Double? {
    if let value = logs[monitor] { return value }
    log(
      Int32(XFER_LOG_WARNING), "\(purpose) `\(monitor)` which is not available. Available metrics are: \(logs.names.joined(separator: ","))"
    )
    return nil
  }

  /// Whether a value is better than another by more than the smallest change that counts.
  func improves(_ value: Double, on reference: Double?, _ state: TrainingState) throws -> Bool {
    let up = try isHigherBetter ?? direction(state)
    isHigherBetter = up
    guard let reference else { return true }
    return up ? value - minDelta > reference : value + minDelta < reference
  }

  private func direction(_ state: TrainingState) throws -> Bool {
    if mode != .auto { return mode == .max }
    let name = monitor.hasPrefix("val_") ? String(monitor.dropFirst(4)) : monitor
    let trainer = state.trainer
    if name == "loss" || trainer?.lossNames.contains(where: { $0.name == name }) == true { return false }
    let metric = trainer?.namedMetrics.first { $0.name == name }?.metric ?? trainer?.metrics.first { $0.name == name }
    guard let metric else {
      throw XferError.invalid(
        "\(type(of: self).className): monitor '\(monitor)' is no metric of the model, so whether more of it is better is not known: "
          + "give mode 'max' or 'min'")
    }
    return Self.isHigherBetter(metric)
  }

  /// By the kind of metric: shares and scores are to grow, errors and losses to shrink.
  private static func isHigherBetter(_ metric: Metric) -> Bool {
    let words = (type(of: metric).className + " " + metric.name).lowercased()
    let rising = [
      "accuracy", "acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "cosine", "sensitivity", "specificity", "positives",
      "negatives",
    ]
    return !words.contains("false") && rising.contains { words.contains($0) }
  }

  public override var facts: [String: JSONValue] { ["best": best.map { .double($0) } ?? .null] }
}

extension Configuration {
  /// Keras falls back to "auto" for a mode it does not know, with a warning.
  mutating func mode() throws -> MonitorCallback.Mode {
    let name = try string("mode", "auto")
    if let mode = MonitorCallback.Mode(rawValue: name) { return mode }
    log(Int32(XFER_LOG_WARNING), "\(className) mode '\(name)' is unknown, fallback to auto mode.")
    return .auto
  }

  mutating func optionalDouble(_ key: String) throws -> Double? { try value(key).map { _ in try double(key, 0) } }

  /// A whole number of 0 or above.
  mutating func count(_ key: String, _ fallback: Int) throws -> Int {
    let number = try int(key, fallback)
    guard number >= 0 else { throw XferError.invalid("\(className): '\(key)' is to be 0 or above, \(number) was given") }
    return number
  }

  /// "epoch" (nil) or a number of batches.
  mutating func saveFrequency() throws -> Int? {
    guard let given = value("save_freq"), given.stringValue != "epoch" else { return nil }
    guard let batches = given.intValue, batches > 0 else { throw wrong("save_freq", "'epoch' or a whole number above 0", given) }
    return batches
  }
}
