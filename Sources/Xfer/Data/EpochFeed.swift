import CXfer
import XferCore

/// A data set cut into epochs: a pass over it, or so many steps of it, which go on where the epoch before ended.
final class EpochFeed {
  private let data: any Dataset
  private let steps: Int?
  private var isOpen = false
  private var given = 0
  private var epoch = 0

  init(_ data: any Dataset, steps: Int?) { (self.data, self.steps) = (data, steps) }

  /// Lets the data set leave out the inputs of samples that are known.
  func leaveOut(_ isKnown: (@Sendable (Digest) -> Bool)?) { (data as? any IdentifiedDataset)?.isKnown = isKnown }

  /// Batches of an epoch, where that is known.
  var count: Int? { steps ?? data.batchCount }

  func begin(epoch: Int) throws {
    (self.epoch, given) = (epoch, 0)
    if steps == nil || !isOpen { try data.restart(epoch: epoch) }
    isOpen = true
  }

  func next() throws -> Batch? {
    if let steps, given >= steps { return nil }
    var batch = try data.next()
    if batch == nil, given == 0, steps != nil {
      // The epoch before took the last one.
      try data.restart(epoch: epoch)
      batch = try data.next()
    }
    if batch == nil {
      isOpen = false
      if let steps, given > 0 {
        log(Int32(XFER_LOG_WARNING), "the data ran out after \(given) of \(steps) steps of epoch \(epoch + 1); the epoch ends here")
      }
      return nil
    }
    given += 1
    return batch
  }
}
