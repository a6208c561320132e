import CXfer
import Xfer
import XferCore

/// Batches from a C callback.
final class CallbackDataset: Dataset {
  private let nextBatch: xfer_next_batch_fn
  private let restartEpoch: xfer_restart_fn?
  private let user: UnsafeMutableRawPointer?
  private let destroy: xfer_destroy_fn?

  init(next: xfer_next_batch_fn, restart: xfer_restart_fn?, user: UnsafeMutableRawPointer?, destroy: xfer_destroy_fn?) {
    (nextBatch, restartEpoch) = (next, restart)
    (self.user, self.destroy) = (user, destroy)
  }

  deinit { destroy?(user) }

  var batchCount: Int? { nil }

  func restart(epoch: Int) throws {
    guard let status = restartEpoch?(user, Int64(epoch)), status != 0 else { return }
    throw XferError.data("the data set's restart callback failed with \(status) at epoch \(epoch)")
  }

  func next() throws -> Batch? {
    var handles: (x: OpaquePointer?, y: OpaquePointer?, weight: OpaquePointer?)
    let status = nextBatch(user, &handles.x, &handles.y, &handles.weight)
    // Whatever the callback left belongs to Xfer now, also when it failed.
    defer { for handle in [handles.x, handles.y, handles.weight] { HandleTable.release(handle, .tensor) } }
    switch status {
    case 0: return nil
    case 1:
      return Batch(
        x: try object(handles.x, .tensor, "x of the next callback"), y: try object(handles.y, .tensor, "y of the next callback"),
        sampleWeight: try optional(handles.weight, .tensor, "sample_weight of the next callback"))
    default: throw XferError.data("the data set's next callback failed with \(status)")
    }
  }
}
