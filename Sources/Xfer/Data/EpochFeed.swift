import CXfer
import XferCore

/// A data set cut into epochs: a pass over it, or so many steps of it, which go on where the epoch before ended. Validation takes the same first
/// steps every time.
final class EpochFeed {
  private let data: any Dataset
  private let steps: Int?
  private let beginsAnew: Bool
  private var isOpen = false
  /// Batches of this epoch so far.
  private(set) var given = 0
  private var epoch = 0
  /// With which epoch's number the data set began anew, and the batches taken since.
  private var origin = 0
  private var taken = 0
  private var isResumed = false

  init(_ data: any Dataset, steps: Int?, beginsAnew: Bool = false) { (self.data, self.steps, self.beginsAnew) = (data, steps, beginsAnew) }

  /// Lets the data set leave out the inputs of samples that are known.
  func leaveOut(_ isKnown: (@Sendable (Digest) -> Bool)?) { (data as? any IdentifiedDataset)?.isKnown = isKnown }

  /// Batches of an epoch, where that is known.
  var count: Int? { steps ?? data.batchCount }

  func begin(epoch: Int) throws {
    self.epoch = epoch
    if isResumed {
      isResumed = false
      return
    }
    given = 0
    if steps == nil || beginsAnew || !isOpen { try restart() }
    isOpen = true
  }

  func next() throws -> Batch? {
    if let steps, given >= steps { return nil }
    var batch = try data.next()
    if batch == nil, given == 0, steps != nil {
      // The epoch before took the last one.
      try restart()
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
    taken += 1
    return batch
  }

  private func restart() throws {
    try data.restart(epoch: epoch)
    (origin, taken) = (epoch, 0)
  }

  // MARK: Backups

  /// Where the data set is, for ``resume(_:)``; nil between epochs that begin anew.
  ///
  /// - Parameter inEpoch: whether the epoch is to go on, not the next one to begin.
  func place(inEpoch: Bool) -> Place? {
    guard isOpen, inEpoch || steps != nil else { return nil }
    return Place(epoch: origin, taken: taken, given: inEpoch ? given : 0)
  }

  /// Goes to a place: the next epoch to begin goes on from there.
  func resume(_ place: Place) throws {
    (epoch, given, origin, taken) = (place.epoch, place.given, place.epoch, 0)
    try data.restart(epoch: place.epoch)
    while taken < place.taken, try data.next() != nil { taken += 1 }
    (isOpen, isResumed) = (true, true)
  }

  struct Place: Equatable {
    /// The number with which the data set began anew.
    let epoch: Int
    /// Batches since.
    let taken: Int
    /// Batches of the epoch that goes on.
    let given: Int
  }
}
