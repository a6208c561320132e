import CXfer
import Glibc
import Synchronization
public import XferCore

/// A store in a mapped file that outlives the process.
///
/// The file is a header and records appended one after another: key, checksum, row. A record that a crash cut short, or whose checksum is
/// wrong, ends the file when it is opened: it and what follows is computed anew. One process at a time writes; others read.
public final class DiskFeatureStore: FeatureStore {
  public let rowBytes: Int
  public let path: String
  private static let magic: UInt64 = 0x3154_4145_4652_4658  // "XFRFEAT1"
  private static let headerBytes = 64
  private static let recordHeader = 32
  private let recordBytes: Int
  private let limit: Int
  private let file: Int32
  private let writable: Bool
  private let base: UInt
  private struct State {
    var offsets: [Digest: Int] = [:]
    var end = 0
    var broken = false
  }
  private let state = Mutex(State())

  /// - Parameters:
  ///   - folder: the cache folder, made when it is not there.
  ///   - prefix: the digest of the frozen part; names the file.
  ///   - budget: bytes the file may take.
  public init(folder: String, prefix: Digest, rowBytes: Int, budget: Int) throws {
    try makeFolder(folder)
    path = "\(folder)/\(prefix.text).features"
    self.rowBytes = max(rowBytes, 1)
    recordBytes = Self.recordHeader + (self.rowBytes + 31) / 32 * 32
    var file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    let isReadOnly = file < 0 && (errno == EACCES || errno == EROFS)
    if isReadOnly { file = open(path, O_RDONLY | O_CLOEXEC) }
    guard file >= 0 else { throw systemError(path, "cannot be opened") }
    self.file = file
    writable = !isReadOnly && flock(file, LOCK_EX | LOCK_NB) == 0
    if !writable {
      let why = isReadOnly ? "may not be written" : "is in use elsewhere"
      log(Int32(XFER_LOG_INFO), "\(path) \(why): features there are read, new ones are not kept")
    }
    var status = stat()
    guard fstat(file, &status) == 0 else {
      close(file)
      throw systemError(path, "cannot be read")
    }
    limit = max(budget, Int(status.st_size), Self.headerBytes + recordBytes)
    // Address space for the whole budget: the mapping need not move when the file grows.
    guard let memory = mmap(nil, limit, PROT_READ, MAP_SHARED, file, 0), memory != MAP_FAILED else {
      close(file)
      throw systemError(path, "cannot be mapped")
    }
    base = UInt(bitPattern: memory)
    try scan(prefix, size: Int(status.st_size))
  }

  deinit {
    munmap(UnsafeMutableRawPointer(bitPattern: base), limit)
    close(file)
  }

  public var count: Int { state.withLock { $0.offsets.count } }
  public var capacity: Int { (limit - Self.headerBytes) / recordBytes }
  public func contains(_ key: Digest) -> Bool { state.withLock { $0.offsets[key] != nil } }

  public func read(_ key: Digest, into target: UnsafeMutableRawPointer) -> Bool {
    guard let offset = state.withLock({ $0.offsets[key] }), let memory = UnsafeRawPointer(bitPattern: base) else { return false }
    target.copyMemory(from: memory + offset + Self.recordHeader, byteCount: rowBytes)
    return true
  }

  public func insert(_ key: Digest, _ row: UnsafeRawPointer) {
    var record = [UInt8](repeating: 0, count: recordBytes)
    let checksum = Self.checksum(key, UnsafeRawBufferPointer(start: row, count: rowBytes))
    record.withUnsafeMutableBytes { bytes in
      for (index, word) in [key.high, key.low, checksum].enumerated() {
        bytes.storeBytes(of: word, toByteOffset: index * 8, as: UInt64.self)
      }
      if let start = bytes.baseAddress { (start + Self.recordHeader).copyMemory(from: row, byteCount: rowBytes) }
    }
    state.withLock { state in
      guard writable, !state.broken, state.offsets[key] == nil, state.end + recordBytes <= limit else { return }
      // A full disk costs the speed of a cache, not the training.
      guard pwrite(file, record, recordBytes, off_t(state.end)) == recordBytes else {
        state.broken = true
        ftruncate(file, off_t(state.end))
        log(2, "\(path) cannot grow: \(String(cString: strerror(errno))); features are computed anew from here on")
        return
      }
      state.offsets[key] = state.end
      state.end += recordBytes
    }
  }

  private static func checksum(_ key: Digest, _ row: UnsafeRawBufferPointer) -> UInt64 {
    var digest = key
    digest.combine(row)
    return digest.high ^ digest.low
  }

  /// Reads what is there; writes the header of a new file.
  private func scan(_ prefix: Digest, size: Int) throws {
    guard let memory = UnsafeRawPointer(bitPattern: base) else { return }
    let header = [Self.magic, UInt64(rowBytes), prefix.high, prefix.low]
    let known = size >= Self.headerBytes && header.enumerated().allSatisfy { memory.load(fromByteOffset: $0 * 8, as: UInt64.self) == $1 }
    var (offsets, end) = ([Digest: Int](), Self.headerBytes)
    while known, end + recordBytes <= size {
      func word(_ index: Int) -> UInt64 { memory.load(fromByteOffset: end + index * 8, as: UInt64.self) }
      let key = Digest(high: word(0), low: word(1))
      let row = UnsafeRawBufferPointer(start: memory + end + Self.recordHeader, count: rowBytes)
      guard Self.checksum(key, row) == word(2) else { break }
      offsets[key] = end
      end += recordBytes
    }
    if writable, !known || end != size {
      guard ftruncate(file, off_t(known ? end : 0)) == 0 else { throw systemError(path, "cannot be written") }
      if !known {
        var bytes = [UInt64](repeating: 0, count: Self.headerBytes / 8)
        bytes.replaceSubrange(0..<header.count, with: header)
        guard pwrite(file, bytes, Self.headerBytes, 0) == Self.headerBytes else { throw systemError(path, "cannot be written") }
      }
    }
    state.withLock { ($0.offsets, $0.end) = (offsets, end) }
  }
}
