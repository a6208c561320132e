import CXfer
import Glibc
import XferCore

/// Makes the batches of one epoch ahead of their use, on a thread of its own.
///
/// One thread, not the pool: a loop of the pool would take it from the network that trains meanwhile.
final class BatchLoader: @unchecked Sendable {
  /// Batches made and not yet taken: enough to bridge a slow image, few enough to be held in memory.
  private static let depth = 3

  private let count: Int
  private let make: @Sendable (Int) throws -> Batch?
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private var ready: [Result<Batch, any Error>] = []
  private var isDone = false
  private var isCancelled = false
  private var thread = pthread_t()
  private var hasThread = false

  /// - Parameter make: gives batch 0, 1, … count − 1; nil for one that is to be left out. Its first error ends the epoch.
  init(count: Int, make: @escaping @Sendable (Int) throws -> Batch?) throws {
    (self.count, self.make) = (count, make)
    lock = .allocate(capacity: 1)
    changed = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(changed, nil)
    let start = Unmanaged.passUnretained(self).toOpaque()
    let failure = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        // The owner joins this thread before it lets the loader go.
        Unmanaged<BatchLoader>.fromOpaque(argument).takeUnretainedValue().work()
        return nil
      }, start)
    guard failure == 0 else {
      throw XferError(XFER_E_OUT_OF_MEMORY, "no thread to decode images: \(String(cString: strerror(failure)))")
    }
    hasThread = true
  }

  deinit {
    cancel()
    pthread_mutex_destroy(lock)
    pthread_cond_destroy(changed)
    lock.deallocate()
    changed.deallocate()
  }

  /// Ends the thread; batches not yet taken are gone.
  func cancel() {
    locked { isCancelled = true }
    if hasThread { pthread_join(thread, nil) }
    hasThread = false
  }

  /// The next batch, nil behind the last one.
  func next() throws -> Batch? {
    let result: Result<Batch, any Error>? = locked {
      while ready.isEmpty, !isDone, !isCancelled { pthread_cond_wait(changed, lock) }
      return ready.isEmpty ? nil : ready.removeFirst()
    }
    return try result?.get()
  }

  private func locked<T>(_ body: () -> T) -> T {
    pthread_mutex_lock(lock)
    defer {
      pthread_cond_broadcast(changed)
      pthread_mutex_unlock(lock)
    }
    return body()
  }

  private func work() {
    // Signals are for the program's own threads.
    var signals = sigset_t()
    sigfillset(&signals)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    for index in 0..<count {
      let goesOn = locked {
        while ready.count >= Self.depth, !isCancelled { pthread_cond_wait(changed, lock) }
        return !isCancelled
      }
      guard goesOn else { break }
      let result = Result { try make(index) }
      let isFailure = locked {
        switch result {
        case .success(let batch):
          if let batch { ready.append(.success(batch)) }
          return false
        case .failure(let error):
          ready.append(.failure(error))
          return true
        }
      }
      if isFailure { break }
    }
    locked { isDone = true }
  }
}
