import XferCore

/// Multiplies the learning rate by a factor when a figure has not improved for some epochs.
public final class ReduceLROnPlateau: MonitorCallback {
  public override class var className: String { "ReduceLROnPlateau" }
  let factor: Double
  let patience: Int
  let verbose: Int
  let cooldown: Int
  let minLR: Double
  public private(set) var wait = 0
  public private(set) var cooldownCounter = 0

  public init(
    monitor: String = "val_loss", factor: Double = 0.1, patience: Int = 10, verbose: Int = 0, mode: Mode = .auto, minDelta: Double = 1e-4,
    cooldown: Int = 0, minLR: Double = 0
  ) throws {
    guard factor < 1 else { throw XferError.invalid("ReduceLROnPlateau does not support a factor >= 1.0. Received factor=\(factor)") }
    (self.factor, self.patience, self.verbose) = (factor, patience, verbose)
    (self.cooldown, self.minLR) = (cooldown, minLR)
    super.init(monitor: monitor, mode: mode, minDelta: minDelta)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      monitor: config.string("monitor", "val_loss"), factor: config.double("factor", 0.1), patience: config.count("patience", 10),
      verbose: config.int("verbose", 0), mode: config.mode(), minDelta: config.double("min_delta", 1e-4),
      cooldown: config.count("cooldown", 0),
      minLR: config.double("min_lr", 0))
  }

  public override func trainBegin(_ state: TrainingState) { (best, wait, cooldownCounter) = (nil, 0, 0) }

  public override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    logs.set("learning_rate", try state.optimizer.learningRate)
    guard let current = value(logs, "Learning rate reduction is conditioned on metric") else { return }
    if cooldownCounter > 0 {
      cooldownCounter -= 1
      wait = 0
    }
    if try improves(current, on: best, state) {
      best = current
      wait = 0
    } else if cooldownCounter == 0 {
      wait += 1
      if wait >= patience, try reduce(epoch, state) {
        cooldownCounter = cooldown
        wait = 0
      }
    }
  }

  private func reduce(_ epoch: Int, _ state: TrainingState) throws -> Bool {
    let rate = try state.optimizer.learningRate
    guard rate > minLR else { return false }
    let lower = max(rate * factor, minLR)
    try state.setLearningRate(lower)
    if verbose > 0 { writeError("\nEpoch \(epoch + 1): ReduceLROnPlateau reducing learning rate to \(lower).\n") }
    return true
  }

  public override var facts: [String: JSONValue] {
    super.facts.merging(["wait": .int(wait), "cooldown_counter": .int(cooldownCounter)]) { $1 }
  }
}
