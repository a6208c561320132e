import CXfer
import Xfer
import XferCore

/// What data sets made of C callbacks share: the user's pointer, the start of an epoch, the end.
class CallbackSource {
  fileprivate let user: UnsafeMutableRawPointer?
  private let restartEpoch: xfer_restart_fn?
  private let destroy: xfer_destroy_fn?

  fileprivate init(restart: xfer_restart_fn?, user: UnsafeMutableRawPointer?, destroy: xfer_destroy_fn?) {
    (restartEpoch, self.user, self.destroy) = (restart, user, destroy)
  }

  deinit { destroy?(user) }

  var batchCount: Int? { nil }

  func restart(epoch: Int) throws {
    guard let status = restartEpoch?(user, Int64(epoch)), status != 0 else { return }
    throw XferError.data("the data set's restart callback failed with \(status) at epoch \(epoch)")
  }
}

/// Batches from a C callback.
final class CallbackDataset: CallbackSource, Dataset {
  private let nextBatch: xfer_next_batch_fn

  init(next: xfer_next_batch_fn, restart: xfer_restart_fn?, user: UnsafeMutableRawPointer?, destroy: xfer_destroy_fn?) {
    nextBatch = next
    super.init(restart: restart, user: user, destroy: destroy)
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

/// Batches with several inputs or targets from a C callback.
final class CallbackBatches: CallbackSource, Dataset {
  private let nextBatch: xfer_next_all_fn

  init(next: xfer_next_all_fn, restart: xfer_restart_fn?, user: UnsafeMutableRawPointer?, destroy: xfer_destroy_fn?) {
    nextBatch = next
    super.init(restart: restart, user: user, destroy: destroy)
  }

  func next() throws -> Batch? {
    let room = Int(XFER_MAX_ENDS)
    var (inputs, targets, weights) = (
      [OpaquePointer?](repeating: nil, count: room), [OpaquePointer?](repeating: nil, count: room),
      [OpaquePointer?](repeating: nil, count: room)
    )
    var counts = (room, room, room)
    let status = nextBatch(user, &inputs, &counts.0, &targets, &counts.1, &weights, &counts.2)
    // Whatever the callback left belongs to Xfer now, also when it failed.
    defer { for handle in inputs + targets + weights { HandleTable.release(handle, .tensor) } }
    switch status {
    case 0: return nil
    case 1:
      guard (1...room).contains(counts.0), (0...room).contains(counts.1), (0...room).contains(counts.2) else {
        throw XferError.data("the data set's next callback gave \(counts.0) inputs, \(counts.1) targets and \(counts.2) sample weights")
      }
      return Batch(
        inputs: try inputs.prefix(counts.0).map { try object($0, .tensor, "an input of the next callback") },
        targets: try targets.prefix(counts.1).map { try optional($0, .tensor, "a target of the next callback") },
        sampleWeights: try weights.prefix(counts.2).map { try optional($0, .tensor, "a sample weight of the next callback") })
    default: throw XferError.data("the data set's next callback failed with \(status)")
    }
  }
}
