import CXfer
import Glibc
import XferCore

/// Saves the model, or its weights, after every epoch or after so many batches: all of them, or those better than any before.
///
/// The path may have figures in it, in Python's format: "{epoch:02d}-{val_loss:.2f}.keras"; epochs and batches count from 1 there.
public final class ModelCheckpoint: MonitorCallback {
  public override class var className: String { "ModelCheckpoint" }
  let path: String
  let verbose: Int
  let saveBestOnly: Bool
  let saveWeightsOnly: Bool
  /// Batches between two files; nil for one an epoch.
  let saveFrequency: Int?
  private var counter = BatchCounter()

  public init(
    _ path: String, monitor: String = "val_loss", verbose: Int = 0, saveBestOnly: Bool = false, saveWeightsOnly: Bool = false,
    mode: Mode = .auto, saveFrequency: Int? = nil, initialValueThreshold: Double? = nil
  ) throws {
    let endings = saveWeightsOnly ? [".weights.h5", ".safetensors"] : [".keras"]
    guard endings.contains(where: { path.hasSuffix($0) }) else {
      let wanted = endings.joined(separator: " or ")
      throw XferError.invalid(
        "ModelCheckpoint: the file of \(saveWeightsOnly ? "weights" : "a model") is to end in \(wanted), '\(path)' was given")
    }
    (self.path, self.verbose, self.saveBestOnly) = (path, verbose, saveBestOnly)
    (self.saveWeightsOnly, self.saveFrequency) = (saveWeightsOnly, saveFrequency)
    super.init(monitor: monitor, mode: mode, minDelta: 0, best: initialValueThreshold)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      config.string("filepath", ""), monitor: config.string("monitor", "val_loss"), verbose: config.int("verbose", 0),
      saveBestOnly: config.bool("save_best_only", false), saveWeightsOnly: config.bool("save_weights_only", false), mode: config.mode(),
      saveFrequency: config.saveFrequency(), initialValueThreshold: config.optionalDouble("initial_value_threshold"))
  }

  public override func batchEnd(_ batch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    if let saveFrequency, counter.reaches(saveFrequency, batch) { try save(state, logs, batch: batch) }
  }

  public override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    if saveFrequency == nil { try save(state, logs, batch: nil) }
  }

  private func save(_ state: TrainingState, _ logs: Logs, batch: Int?) throws {
    var values: [String: FormatValue] = Dictionary(logs.items.map { ($0.name, .double($0.value)) }) { $1 }
    values["epoch"] = .int(state.epoch + 1)
    if let batch, values["batch"] == nil { values["batch"] = .int(batch + 1) }
    let file = try format(path, values)
    guard try isWanted(logs, file, state) else { return }
    try makeFolders(for: file)
    if saveWeightsOnly { try state.model.saveWeights(file) } else { try state.model.save(file) }
    if verbose > 0 { writeError("\nEpoch \(state.epoch + 1): finished saving model to \(file)\n") }
  }

  private func isWanted(_ logs: Logs, _ file: String, _ state: TrainingState) throws -> Bool {
    let begin = "\nEpoch \(state.epoch + 1): "
    guard saveBestOnly else {
      if verbose > 0 { writeError(begin + "saving model to \(file)\n") }
      return true
    }
    guard let current = logs[monitor] else {
      log(Int32(XFER_LOG_WARNING), "Can save best model only with \(monitor) available.")
      return true
    }
    let before = best.map { fixed($0, 5) } ?? "None"
    guard try improves(current, on: best, state) else {
      if verbose > 0 { writeError(begin + "\(monitor) did not improve from \(before)\n") }
      return false
    }
    if verbose > 0 { writeError(begin + "\(monitor) improved from \(before) to \(fixed(current, 5)), saving model to \(file)\n") }
    best = current
    return true
  }
}

/// Counts batches over epochs, for what is done every so many of them.
struct BatchCounter {
  private var since = 0
  private var last: Int?

  mutating func reaches(_ frequency: Int, _ batch: Int) -> Bool {
    // A number that does not grow belongs to a new epoch.
    since += last.map { batch > $0 ? batch - $0 : batch + 1 } ?? batch + 1
    last = batch
    guard since >= frequency else { return false }
    since = 0
    return true
  }
}
