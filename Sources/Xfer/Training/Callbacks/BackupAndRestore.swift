import CXfer
import Glibc
import XferCore
import XferGraph

/// Saves the state of training after epochs or batches, and has an interrupted `fit` go on from it with the numbers it would have had:
/// weights, the optimizer's state, the order of the samples and the random states of layers.
public final class BackupAndRestore: Callback {
  public override class var className: String { "BackupAndRestore" }
  let folder: String
  /// Batches between two backups; nil for one an epoch.
  let saveFrequency: Int?
  /// Whether the backup before the last one is kept, too.
  let doubleCheckpoint: Bool
  /// Whether backups go once training has ended.
  let deleteCheckpoint: Bool
  private var counter = BatchCounter()
  private var path: String { folder + "/latest.safetensors" }
  private var previous: String { path + ".bkp" }

  public init(_ folder: String, saveFrequency: Int? = nil, doubleCheckpoint: Bool = false, deleteCheckpoint: Bool = true) throws {
    guard !folder.isEmpty else { throw XferError.invalid("BackupAndRestore: 'backup_dir' is to be a folder, '' was given") }
    (self.folder, self.saveFrequency) = (folder, saveFrequency)
    (self.doubleCheckpoint, self.deleteCheckpoint) = (doubleCheckpoint, deleteCheckpoint)
  }

  convenience init(config: inout Configuration) throws {
    try self.init(
      config.string("backup_dir", ""), saveFrequency: config.saveFrequency(), doubleCheckpoint: config.bool("double_checkpoint", false),
      deleteCheckpoint: config.bool("delete_checkpoint", true))
  }

  // MARK: Saving

  public override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    if saveFrequency == nil { try save(state, epoch: epoch + 1, batch: 0) }
  }

  public override func batchEnd(_ batch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    guard let saveFrequency, counter.reaches(saveFrequency, batch) else { return }
    try save(state, epoch: state.epoch, batch: batch + 1)
  }

  private func save(_ state: TrainingState, epoch: Int, batch: Int) throws {
    var snapshot = try TrainingSnapshot(state, inEpoch: batch > 0)
    snapshot.tensors += state.model.weights.enumerated().map { (name: "weights/\($0)", tensor: $1.tensor) }
    snapshot.facts["epoch"] = "\(epoch)"
    try makeFolder(folder)
    if doubleCheckpoint, access(path, F_OK) == 0, rename(path, previous) != 0 { throw systemError(previous, "cannot be written") }
    try SafetensorsFile.write(snapshot.tensors, metadata: snapshot.facts, to: path)
  }

  // MARK: Restoring

  public override func trainBegin(_ state: TrainingState) throws {
    counter = BatchCounter()
    let files = [path, previous].filter { (file: String) in access(file, F_OK) == 0 }
    for (index, file) in files.enumerated() {
      do {
        try restore(SafetensorsFile(file), state)
        return
      } catch let error as XferError where error.status == XFER_E_FORMAT && index + 1 < files.count {
        log(Int32(XFER_LOG_WARNING), "\(error.message); the backup before it is used")
      }
    }
  }

  private func restore(_ file: SafetensorsFile, _ state: TrainingState) throws {
    let (weights, saved) = (state.model.weights, try TrainingSnapshot.tensors("weights", file))
    guard let epoch = file.metadata["epoch"].flatMap({ Int($0) }), epoch >= 0 else {
      throw XferError.format("\(file.path) is no backup of a training")
    }
    guard weights.map(\.shape) == saved.map(\.shape) else {
      throw XferError.shape(
        "\(file.path) is the backup of another model: it has \(saved.count) weights, the model \(weights.count), or other shapes")
    }
    try TrainingSnapshot.restore(file, state)
    for (weight, value) in zip(weights, saved) { try weight.restore(value) }
    state.initialEpoch = epoch
  }

  public override func trainEnd(_ logs: Logs, _ state: TrainingState) {
    guard deleteCheckpoint else { return }
    unlink(path)
    unlink(previous)
    // What else lies there is not ours.
    rmdir(folder)
  }
}
