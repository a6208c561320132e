import Glibc
import Synchronization
public import XferCore

/// What the frozen part of a network makes of each sample, kept so that it is computed once.
///
/// Rows are found by the sample's digest. A store takes rows until its budget is full; what it has no room for is computed anew.
public protocol FeatureStore: AnyObject, Sendable {
  /// Bytes of one row.
  var rowBytes: Int { get }
  /// Rows there is room for.
  var capacity: Int { get }
  /// Rows there are.
  var count: Int { get }
  func contains(_ key: Digest) -> Bool
  /// Copies a row to `target`; false when it is not there.
  func read(_ key: Digest, into target: UnsafeMutableRawPointer) -> Bool
  /// Keeps a copy of a row, unless the store is full.
  func insert(_ key: Digest, _ row: UnsafeRawPointer)
}

/// A store that lives as long as the process.
public final class MemoryFeatureStore: FeatureStore {
  public let rowBytes: Int
  private let budget: Int
  private struct State: @unchecked Sendable {
    var rows: [Digest: UnsafeMutableRawPointer] = [:]
    var blocks: [UnsafeMutableRawPointer] = []
    var next: UnsafeMutableRawPointer?
    var room = 0
  }
  private let state = Mutex(State())

  /// - Parameter budget: bytes the rows may take.
  public init(rowBytes: Int, budget: Int) {
    self.rowBytes = max(rowBytes, 1)
    self.budget = budget
  }

  deinit { state.withLock { state in for block in state.blocks { free(block) } } }

  public var capacity: Int { budget / rowBytes }
  public var count: Int { state.withLock { $0.rows.count } }
  public func contains(_ key: Digest) -> Bool { state.withLock { $0.rows[key] != nil } }

  public func read(_ key: Digest, into target: UnsafeMutableRawPointer) -> Bool {
    let row = state.withLock { state in state.rows[key].map { UInt(bitPattern: $0) } }
    // Rows are written before they are found and never move.
    guard let row, let source = UnsafeRawPointer(bitPattern: row) else { return false }
    target.copyMemory(from: source, byteCount: rowBytes)
    return true
  }

  public func insert(_ key: Digest, _ row: UnsafeRawPointer) {
    let source = UInt(bitPattern: row)
    state.withLock { state in
      guard state.rows[key] == nil, state.rows.count < capacity, let source = UnsafeRawPointer(bitPattern: source) else {
        return
      }
      if state.room < rowBytes {
        // Blocks of about a megabyte: a small data set takes little, a large one few calls.
        let size = max(1, (1 << 20) / rowBytes) * rowBytes
        guard let block = try? alignedMemory(size) else { return }
        state.blocks.append(block)
        (state.next, state.room) = (block, size)
      }
      guard let place = state.next else { return }
      place.copyMemory(from: source, byteCount: rowBytes)
      state.rows[key] = place
      (state.next, state.room) = (place + rowBytes, state.room - rowBytes)
    }
  }
}
