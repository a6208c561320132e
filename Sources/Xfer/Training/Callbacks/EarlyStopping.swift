import XferCore

/// Ends training when a figure has not improved for some epochs.
public final class EarlyStopping: MonitorCallback {
  public override class var className: String { "EarlyStopping" }
  let patience: Int
  let verbose: Int
  let baseline: Double?
  let restoreBestWeights: Bool
  let startFromEpoch: Int
  public private(set) var wait = 0
  public private(set) var stoppedEpoch = 0
  public private(set) var bestEpoch = 0
  private var bestWeights: [Tensor]?

  public init(
    monitor: String = "val_loss", minDelta: Double = 0, patience: Int = 0, verbose: Int = 0, mode: Mode = .auto, baseline: Double? = nil,
    restoreBestWeights: Bool = false, startFromEpoch: Int = 0
  ) {
    (self.patience, self.verbose, self.baseline) = (patience, verbose, baseline)
    (self.restoreBestWeights, self.startFromEpoch) = (restoreBestWeights, startFromEpoch)
    super.init(monitor: monitor, mode: mode, minDelta: minDelta)
  }

  convenience init(config: inout Configuration) throws {
    self.init(
      monitor: try config.string("monitor", "val_loss"), minDelta: try config.double("min_delta", 0),
      patience: try config.count("patience", 0),
      verbose: try config.int("verbose", 0), mode: try config.mode(), baseline: try config.optionalDouble("baseline"),
      restoreBestWeights: try config.bool("restore_best_weights", false), startFromEpoch: try config.int("start_from_epoch", 0))
  }

  public override func trainBegin(_ state: TrainingState) {
    (wait, stoppedEpoch, bestEpoch) = (0, 0, 0)
    (best, bestWeights) = (nil, nil)
  }

  public override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    guard let current = value(logs, "Early stopping conditioned on metric"), epoch >= startFromEpoch else { return }
    if restoreBestWeights, bestWeights == nil {
      // Until there is a best epoch, this one is.
      bestWeights = try state.model.weights.map { try $0.tensor.copy() }
      bestEpoch = epoch
    }
    wait += 1
    if try improves(current, on: best, state) {
      (best, bestEpoch) = (current, epoch)
      if restoreBestWeights { bestWeights = try state.model.weights.map { try $0.tensor.copy() } }
      // Waiting begins anew only where both the best so far and the baseline are beaten.
      if try baseline.map({ try improves(current, on: $0, state) }) ?? true { wait = 0 }
      return
    }
    if wait >= patience, epoch > 0 {
      stoppedEpoch = epoch
      state.stopTraining = true
    }
  }

  public override func trainEnd(_ logs: Logs, _ state: TrainingState) throws {
    if stoppedEpoch > 0, verbose > 0 { writeError("Epoch \(stoppedEpoch + 1): early stopping\n") }
    guard restoreBestWeights, let bestWeights else { return }
    if verbose > 0 { writeError("Restoring model weights from the end of the best epoch: \(bestEpoch + 1).\n") }
    for (weight, value) in zip(state.model.weights, bestWeights) { try weight.restore(value) }
  }

  // MARK: Backups

  /// Where waiting is, for ``resume(_:bestWeights:)``: wait, stopped epoch, best epoch and, if there is one, the best value.
  var numbers: [Double] { [Double(wait), Double(stoppedEpoch), Double(bestEpoch)] + (best.map { [$0] } ?? []) }
  /// The weights of the best epoch, in the model's order.
  var savedWeights: [Tensor]? { bestWeights }

  /// Goes on from there. After `trainBegin`.
  func resume(_ numbers: [Double], bestWeights weights: [Tensor]?) throws {
    let counts = numbers.prefix(3).compactMap { Int(exactly: $0) }
    guard (3...4).contains(numbers.count), counts.count == 3 else { throw XferError.format("EarlyStopping: its backup is damaged") }
    (wait, stoppedEpoch, bestEpoch) = (counts[0], counts[1], counts[2])
    (best, bestWeights) = (numbers.count == 4 ? numbers[3] : nil, weights)
  }

  public override var facts: [String: JSONValue] {
    super.facts.merging(["wait": .int(wait), "stopped_epoch": .int(stoppedEpoch), "best_epoch": .int(bestEpoch)]) { $1 }
  }
}
