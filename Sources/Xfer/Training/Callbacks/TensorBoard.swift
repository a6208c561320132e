import XferCore

/// Writes event files that TensorBoard shows, in the folders train and validation of `logDir`: figures after each epoch, and where asked for after
/// batches; histograms of the weights; the architecture.
public final class TensorBoard: Callback {
  public override class var className: String { "TensorBoard" }
  let logDir: String
  /// Epochs between two histograms of the weights, 0 for none.
  let histogramFrequency: Int
  let writeGraph: Bool
  let writeStepsPerSecond: Bool
  /// Batches between two figures of batches; nil for figures of epochs alone.
  let updateFrequency: Int?
  private var files: [String: EventFile] = [:]
  private var made = 0
  private var trainBatch = 0
  private var epochStart = (seconds: 0.0, iterations: UInt64(0))
  private var batchStart = 0.0

  public init(
    logDir: String = "logs", histogramFrequency: Int = 0, writeGraph: Bool = true, writeStepsPerSecond: Bool = false,
    updateFrequency: Int? = nil
  ) {
    (self.logDir, self.histogramFrequency, self.writeGraph) = (logDir, histogramFrequency, writeGraph)
    (self.writeStepsPerSecond, self.updateFrequency) = (writeStepsPerSecond, updateFrequency)
  }

  convenience init(config: inout Configuration) throws {
    for key in ["profile_batch", "embeddings_freq"] {
      if try config.int(key, 0) != 0 { throw XferError.unsupported("TensorBoard: '\(key)' other than 0 is not supported") }
    }
    if try config.bool("write_images", false) { throw XferError.unsupported("TensorBoard: 'write_images' is not supported") }
    try config.refuse("embeddings_metadata")
    var frequency: Int?
    if let given = config.value("update_freq"), given.stringValue != "epoch" {
      frequency = given.stringValue == "batch" ? 1 : given.intValue
      guard let frequency, frequency > 0 else { throw config.wrong("update_freq", "'epoch', 'batch' or a whole number above 0", given) }
    }
    self.init(
      logDir: try config.string("log_dir", "logs"), histogramFrequency: try config.count("histogram_freq", 0),
      writeGraph: try config.bool("write_graph", true), writeStepsPerSecond: try config.bool("write_steps_per_second", false),
      updateFrequency: frequency)
  }

  private func write(_ value: SummaryValue, _ folder: String, step: Int) throws {
    let file = try files[folder] ?? EventFile(folder: "\(logDir)/\(folder)", number: made)
    if files[folder] == nil { made += 1 }
    files[folder] = file
    try file.write(value, step: step)
  }

  public override func trainBegin(_ state: TrainingState) throws {
    trainBatch = 0
    if writeGraph { try write(.kerasModel(state.model.toJSON()), "train", step: 0) }
  }

  public override func epochBegin(_ epoch: Int, _ state: TrainingState) throws {
    epochStart = (monotonicSeconds(), try state.optimizer.iterations)
  }

  public override func batchBegin(_ batch: Int, _ state: TrainingState) {
    trainBatch += 1
    batchStart = monotonicSeconds()
  }

  public override func batchEnd(_ batch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    guard let updateFrequency, trainBatch.isMultiple(of: updateFrequency) else { return }
    if writeStepsPerSecond {
      try write(.scalar("batch_steps_per_second", 1 / max(monotonicSeconds() - batchStart, 1e-9)), "train", step: trainBatch)
    }
    for (name, value) in logs.items { try write(.scalar("batch_\(name)", value), "train", step: trainBatch) }
  }

  public override func testEnd(_ logs: Logs, _ state: TrainingState) throws {
    let step = Int(clamping: try state.optimizer.iterations)
    for (name, value) in logs.items { try write(.scalar("evaluation_\(name)_vs_iterations", value), "validation", step: step) }
  }

  public override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    for (name, value) in logs.items {
      let isValidation = name.hasPrefix("val_")
      try write(
        .scalar("epoch_\(isValidation ? String(name.dropFirst(4)) : name)", value), isValidation ? "validation" : "train", step: epoch)
    }
    if logs["learning_rate"] == nil { try write(.scalar("epoch_learning_rate", state.optimizer.learningRate), "train", step: epoch) }
    if writeStepsPerSecond {
      let steps = Double(try state.optimizer.iterations - epochStart.iterations)
      try write(.scalar("epoch_steps_per_second", steps / max(monotonicSeconds() - epochStart.seconds, 1e-9)), "train", step: epoch)
    }
    guard histogramFrequency > 0, epoch.isMultiple(of: histogramFrequency) else { return }
    for weight in state.model.weights {
      try write(.histogram(weight.path.replacing(":", with: "_") + "/histogram", weight.values), "train", step: epoch)
    }
  }

  public override func trainEnd(_ logs: Logs, _ state: TrainingState) { files = [:] }
}
