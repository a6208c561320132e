import CXfer
import Glibc
import Synchronization
import Xfer

/// Ctrl-C as an error at the next batch, so that what was learned can be kept. A second one ends the process.
enum Interrupt {
  private static let requested = Atomic<Bool>(false)

  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// Blocks SIGINT and SIGTERM for all threads and waits for them on one of its own: a handler proper could do next to nothing.
  /// To be called before other threads start.
  static func install() {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    sigaddset(&signals, SIGTERM)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    var thread = pthread_t()
    let started = pthread_create(
      &thread, nil,
      { _ in
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGINT)
        sigaddset(&signals, SIGTERM)
        while true {
          var number: Int32 = 0
          guard sigwait(&signals, &number) == 0 else { continue }
          if Interrupt.requested.exchange(true, ordering: .relaxed) { _exit(ExitStatus.interrupted) }
          writeError("\nxfer: stopping after this batch; once more to stop at once\n")
        }
      }, nil)
    if started == 0 {
      pthread_detach(thread)
    } else {
      pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }
  }

  static func check() throws {
    if isRequested { throw XferError(XFER_E_CANCELLED, "interrupted") }
  }
}

/// Another data set's batches, until Ctrl-C: fit, evaluate and predict all end between two of them.
final class InterruptibleDataset: IdentifiedDataset {
  let source: ImageFolderDataset

  init(_ source: ImageFolderDataset) { self.source = source }

  var batchCount: Int? { source.batchCount }
  var isKnown: (@Sendable (Digest) -> Bool)? {
    get { source.isKnown }
    set { source.isKnown = newValue }
  }
  func restart(epoch: Int) throws {
    try Interrupt.check()
    try source.restart(epoch: epoch)
  }
  func next() throws -> Batch? {
    try Interrupt.check()
    return try source.next()
  }
}
