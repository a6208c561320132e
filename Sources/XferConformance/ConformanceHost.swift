public import CXfer
import Glibc
import Synchronization

/// A small host of its own, for checking plugins without the runtime.
///
/// Loops run on the calling thread, or, with `threads` above 1, on threads made for the loop. The pieces of a loop come in an
/// order shuffled anew each time, under changing worker numbers: a kernel whose result depends on either shows.
public final class ConformanceHost: Sendable {
  private struct State {
    var random = Random(seed: 20)
    var message = ""
    /// The worker number of each thread that is inside a loop.
    var workers: [UInt: Int32] = [:]
    /// What plugins are told.
    var count = 3
    /// Whether memory plugins ask for ends at a page that cannot be touched, and what was given so.
    var guards = false
    var guarded: [UInt: Buffer] = [:]
  }
  private struct Block {
    var host: xfer_host
    let owner: Unmanaged<ConformanceHost>
  }
  private let threads: Int
  private let state = Mutex(State())
  /// What plugins get; lives as long as this object, which plugins need for ever.
  nonisolated(unsafe) public let pointer: UnsafePointer<xfer_host>

  /// Hosts are kept: a plugin may hold on to the pointer.
  private static let kept = Mutex<[ConformanceHost]>([])

  public init(threads: Int = 1) {
    self.threads = max(1, threads)
    let block = UnsafeMutablePointer<Block>.allocate(capacity: 1)
    pointer = UnsafeRawPointer(block).assumingMemoryBound(to: xfer_host.self)
    block.initialize(to: Block(host: Self.table, owner: Unmanaged.passUnretained(self)))
    tellsOf(threads: max(threads, 3))
    Self.kept.withLock { $0.append(self) }
  }

  /// Tells plugins of another number of threads from here on. No more than this many run a loop.
  func tellsOf(threads: Int) { state.withLock { $0.count = max(1, threads) } }

  /// While `body` runs, memory that plugins ask for lies against a guard page too.
  func guardingMemory<R>(_ body: () -> R) -> R {
    state.withLock { $0.guards = true }
    defer { state.withLock { $0.guards = false } }
    return body()
  }

  private func guardedMemory(_ bytes: Int, _ alignment: Int) -> UnsafeMutableRawPointer {
    let buffer = Buffer(count: bytes, guardPage: .end, alignment: max(alignment, 16), name: "memory of the plugin's own")
    state.withLock { $0.guarded[UInt(bitPattern: buffer.data)] = buffer }
    return buffer.data
  }

  var count: Int { state.withLock { $0.count } }

  /// The sentence a plugin left last.
  public var lastError: String { state.withLock { $0.message } }

  private static func of(_ host: UnsafePointer<xfer_host>?) -> ConformanceHost? {
    UnsafeRawPointer(host)?.assumingMemoryBound(to: Block.self).pointee.owner.takeUnretainedValue()
  }

  private static var table: xfer_host {
    xfer_host(
      struct_size: MemoryLayout<xfer_host>.size, abi_major: UInt32(XFER_PLUGIN_ABI_MAJOR), abi_minor: UInt32(XFER_PLUGIN_ABI_MINOR),
      max_isa: Int32(XFER_ISA_AMX_BF16),
      thread_count: { host in Int32(ConformanceHost.of(host)?.count ?? 1) },
      parallel_for: { host, count, grain, fn, context in
        if let owner = ConformanceHost.of(host), let fn { owner.loop(Int(count), Int(max(grain, 1)), fn, context) }
      },
      alloc: { host, bytes, alignment in
        if let owner = ConformanceHost.of(host), owner.state.withLock({ $0.guards }) { return owner.guardedMemory(bytes, alignment) }
        var pointer: UnsafeMutableRawPointer?
        return posix_memalign(&pointer, max(alignment, 16), max(bytes, 1)) == 0 ? pointer : nil
      },
      free: { host, pointer in
        let key = UInt(bitPattern: pointer)
        if ConformanceHost.of(host)?.state.withLock({ $0.guarded.removeValue(forKey: key) }) == nil { Glibc.free(pointer) }
      },
      log: { _, _, _ in },
      set_error: { host, message in
        let text = message.map { String(cString: $0) } ?? ""
        ConformanceHost.of(host)?.state.withLock { $0.message = text }
      })
  }

  /// One loop in pieces: who comes takes the next.
  private final class Job: @unchecked Sendable {
    let pieces: [Range<Int>]
    let task: (Range<Int>, Int32) -> Void
    let next = Atomic<Int>(0)

    init(pieces: [Range<Int>], task: @escaping (Range<Int>, Int32) -> Void) { (self.pieces, self.task) = (pieces, task) }

    func work(as worker: Int32) {
      while true {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < pieces.count else { return }
        task(pieces[index], worker)
      }
    }
  }

  private func loop(
    _ count: Int, _ grain: Int, _ fn: @convention(c) (UnsafeMutableRawPointer?, Int64, Int64, Int32) -> Void,
    _ context: UnsafeMutableRawPointer?
  ) {
    let me = UInt(pthread_self())
    let task = { (range: Range<Int>, worker: Int32) in fn(context, Int64(range.lowerBound), Int64(range.upperBound), worker) }
    var pieces = stride(from: 0, to: count, by: grain).map { $0..<min($0 + grain, count) }
    let (enclosing, shuffle): (Int32?, Random) = state.withLock { state in (state.workers[me], Random(seed: state.random.next())) }
    var random = shuffle
    pieces.shuffle(using: &random)
    if let enclosing {
      for piece in pieces { task(piece, enclosing) }
      return
    }
    let count = self.count
    if threads == 1 || count == 1 || pieces.count == 1 {
      for piece in pieces {
        let worker = Int32(random.int(0...count - 1))
        enter(me, worker)
        task(piece, worker)
        leave(me)
      }
      return
    }
    let job = Job(pieces: pieces, task: task)
    var helpers: [pthread_t] = []
    for worker in 1..<Int32(min(threads, count)) {
      let argument = Unmanaged.passRetained(Helper(job: job, host: self, worker: worker))
      var thread = pthread_t()
      let status = pthread_create(
        &thread, nil,
        { raw in
          guard let raw else { return nil }
          let helper = Unmanaged<Helper>.fromOpaque(raw).takeRetainedValue()
          helper.host.run(helper.job, helper.worker)
          return nil
        }, argument.toOpaque())
      if status == 0 { helpers.append(thread) } else { argument.release() }
    }
    run(job, 0)
    for helper in helpers { pthread_join(helper, nil) }
  }

  private final class Helper {
    let job: Job
    let host: ConformanceHost
    let worker: Int32
    init(job: Job, host: ConformanceHost, worker: Int32) { (self.job, self.host, self.worker) = (job, host, worker) }
  }

  private func run(_ job: Job, _ worker: Int32) {
    let me = UInt(pthread_self())
    enter(me, worker)
    job.work(as: worker)
    leave(me)
  }

  private func enter(_ thread: UInt, _ worker: Int32) { state.withLock { $0.workers[thread] = worker } }
  private func leave(_ thread: UInt) { state.withLock { _ = $0.workers.removeValue(forKey: thread) } }
}

/// Opens a shared library as an image of its own, by way of a copy.
///
/// A plugin keeps the host it was entered with last. Where one process has several hosts (a test's and the runtime's), each
/// needs its own image of the plugin, and `dlopen` gives one image a file.
public func openPrivately(_ path: String) -> UnsafeMutableRawPointer? {
  var name = Array("/tmp/xfer-plugin-XXXXXX".utf8CString)
  let target = mkstemp(&name)
  guard target >= 0 else { return nil }
  defer {
    close(target)
    unlink(name)
  }
  let source = open(path, O_RDONLY | O_CLOEXEC)
  guard source >= 0 else { return nil }
  defer { close(source) }
  var buffer = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let count = read(source, &buffer, buffer.count)
    guard count > 0 else { break }
    guard write(target, buffer, count) == count else { return nil }
  }
  return dlopen(name, RTLD_NOW | RTLD_LOCAL)
}
