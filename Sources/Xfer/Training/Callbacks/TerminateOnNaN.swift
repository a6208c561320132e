import CXfer
import XferCore

/// Ends training when the loss is no finite number; by an error where that is asked for.
public final class TerminateOnNaN: Callback {
  public override class var className: String { "TerminateOnNaN" }
  let raiseError: Bool

  public init(raiseError: Bool = false) { self.raiseError = raiseError }

  convenience init(config: inout Configuration) throws { self.init(raiseError: try config.bool("raise_error", false)) }

  public override func batchEnd(_ batch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    guard let loss = logs["loss"], !loss.isFinite else { return }
    if raiseError {
      throw XferError(
        XFER_E_NON_FINITE, "NaN or Inf loss encountered at batch \(batch). Loss value: \(loss). Terminating training immediately.")
    }
    writeError("Batch \(batch): Invalid loss, terminating training\n")
    state.stopTraining = true
  }
}
