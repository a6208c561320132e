import CXfer
import Xfer
import XferCore

/// What data sets made of C callbacks share: the user's pointer, the start of an epoch, the end.
class CallbackSource {
  fileprivate let user: UnsafeMutableRawPointer?
  private let restartEpoch: xfer_restart_fn?
  private let destroy: xfer_destroy_fn?
  /// What the samples of the next batch are called, where the program says so.
  var nextNames: xfer_next_names_fn?
  var isKnown: (@Sendable (Digest) -> Bool)?

  fileprivate init(restart: xfer_restart_fn?, user: UnsafeMutableRawPointer?, destroy: xfer_destroy_fn?) {
    (restartEpoch, self.user, self.destroy) = (restart, user, destroy)
  }

  deinit { destroy?(user) }

  var batchCount: Int? { nil }

  func restart(epoch: Int) throws {
    guard let status = restartEpoch?(user, Int64(epoch)), status != 0 else { return }
    throw XferError.data("the data set's restart callback failed with \(status) at epoch \(epoch)")
  }

  /// Digests of the names of the next batch's samples; none where they have no names, or nobody wants to know.
  fileprivate func nextKeys() throws -> [Digest] {
    guard let nextNames, isKnown != nil else { return [] }
    var (names, count) = (UnsafePointer<UnsafePointer<CChar>?>?.none, 0)
    let status = nextNames(user, &names, &count)
    guard status == 1 else { throw XferError.data("the data set's names callback failed with \(status)") }
    guard count > 0 else { return [] }
    return try (0..<count).map { index in
      guard let name = names?[index] else {
        throw XferError.data("the data set's names callback gave NULL for sample \(index) of \(count)")
      }
      var digest = Digest()
      digest.combine("name")
      digest.combine(String(cString: name))
      return digest
    }
  }

  fileprivate func check(_ batch: Batch, _ keys: [Digest]) throws -> Batch {
    var batch = batch
    batch.keys = keys
    let rows = batch.inputs.first?.shape.first ?? (batch.targets.lazy.compactMap { $0?.shape.first }.first ?? keys.count)
    guard keys.isEmpty || keys.count == rows else {
      throw XferError.data("the data set's names callback gave \(keys.count) names for a batch of \(rows) samples")
    }
    return batch
  }
}

/// Batches from a C callback.
final class CallbackDataset: CallbackSource, IdentifiedDataset {
  private let nextBatch: xfer_next_batch_fn

  init(next: xfer_next_batch_fn, restart: xfer_restart_fn?, user: UnsafeMutableRawPointer?, destroy: xfer_destroy_fn?) {
    nextBatch = next
    super.init(restart: restart, user: user, destroy: destroy)
  }

  func next() throws -> Batch? {
    let keys = try nextKeys()
    var handles: (x: OpaquePointer?, y: OpaquePointer?, weight: OpaquePointer?)
    let status = nextBatch(user, &handles.x, &handles.y, &handles.weight)
    // Whatever the callback left belongs to Xfer now, also when it failed.
    defer { for handle in [handles.x, handles.y, handles.weight] { HandleTable.release(handle, .tensor) } }
    switch status {
    case 0: return nil
    case 1:
      let batch = Batch(
        x: try object(handles.x, .tensor, "x of the next callback"), y: try object(handles.y, .tensor, "y of the next callback"),
        sampleWeight: try optional(handles.weight, .tensor, "sample_weight of the next callback"))
      return try check(batch, keys)
    default: throw XferError.data("the data set's next callback failed with \(status)")
    }
  }
}

/// Batches with several inputs or targets from a C callback.
final class CallbackBatches: CallbackSource, IdentifiedDataset {
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
    let keys = try nextKeys()
    // Inputs nobody will read need not be made.
    let least = !keys.isEmpty && keys.allSatisfy { isKnown?($0) ?? false } ? 0 : 1
    var counts = (least * room, room, room)
    let status = nextBatch(user, &inputs, &counts.0, &targets, &counts.1, &weights, &counts.2)
    // Whatever the callback left belongs to Xfer now, also when it failed.
    defer { for handle in inputs + targets + weights { HandleTable.release(handle, .tensor) } }
    switch status {
    case 0: return nil
    case 1:
      guard (least...room).contains(counts.0), (0...room).contains(counts.1), (0...room).contains(counts.2) else {
        throw XferError.data("the data set's next callback gave \(counts.0) inputs, \(counts.1) targets and \(counts.2) sample weights")
      }
      let batch = Batch(
        inputs: try inputs.prefix(counts.0).map { try object($0, .tensor, "an input of the next callback") },
        targets: try targets.prefix(counts.1).map { try optional($0, .tensor, "a target of the next callback") },
        sampleWeights: try weights.prefix(counts.2).map { try optional($0, .tensor, "a sample weight of the next callback") })
      return try check(batch, keys)
    default: throw XferError.data("the data set's next callback failed with \(status)")
    }
  }
}
