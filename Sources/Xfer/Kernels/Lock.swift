import Synchronization

/// A mutex around things that are not Sendable.
final class Lock: Sendable {
  private let mutex = Mutex(())
  func locked<T>(_ body: () throws -> T) rethrows -> T {
    try mutex.withLock { _ in
      nonisolated(unsafe) let result = try body()
      return result
    }
  }
}
