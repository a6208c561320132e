import Glibc
import Synchronization
import CPlatform
public import CXfer

/// The one pool every kernel of a process runs on.
///
/// A loop is cut into pieces. Each thread has a share of them, the same of every loop of that many pieces, so that what one op wrote is mostly in the
/// cache of the core that reads it in the next; who is done claims pieces of the others' shares one after another, so a core that is taken away for
/// a moment delays one piece, not half the loop. A loop started while another is under way (from within a piece, or from
/// a second thread of the program) runs on its caller.
public final class ThreadPool: @unchecked Sendable {
  public static let shared = ThreadPool()

  private struct Job {
    var fn: xfer_task_fn
    var context: UnsafeMutableRawPointer?
    var count: Int64
    var grain: Int64
    var threads: Int
    var pieces: Int { Int((count + grain - 1) / grain) }
  }

  private static let most = 256
  /// The next piece of each thread's share, each on a cache line of its own.
  private let shares: UnsafeMutablePointer<Atomic<Int>>
  private static let line = 128 / MemoryLayout<Int>.stride
  private let generation = Atomic<UInt64>(0)
  private let pending = Atomic<Int>(0)
  private let wanted: Atomic<Int>
  private let sleepers = Atomic<Int>(0)
  private let busy = Mutex(())
  private var job: Job?
  private var workers = 0
  private let lock: UnsafeMutablePointer<pthread_mutex_t>
  private let wake: UnsafeMutablePointer<pthread_cond_t>
  /// Set on threads that run their loops by themselves.
  private let alone: pthread_key_t
  private let hasKey: Bool

  /// Spins before a waiting worker sleeps: about the gap between two kernels of a small network.
  private static let spins = 4000

  private init() {
    lock = .allocate(capacity: 1)
    wake = .allocate(capacity: 1)
    pthread_mutex_init(lock, nil)
    pthread_cond_init(wake, nil)
    var key = pthread_key_t()
    // Fails only where a process has a thousand keys: then no thread is ever alone, and loops meet as they always do.
    hasKey = pthread_key_create(&key, nil) == 0
    alone = key
    var count = availableCores()
    if let text = getenv("XFER_THREADS"), let given = Int(String(cString: text)), given > 0 { count = given }
    wanted = Atomic(min(count, Self.most))
    shares = .allocate(capacity: Self.most * Self.line)
    for index in 0..<Self.most * Self.line { (shares + index).initialize(to: Atomic(0)) }
  }

  /// Threads a loop may use, the caller included.
  public var threadCount: Int { isAlone ? 1 : wanted.load(ordering: .relaxed) }

  private var isAlone: Bool { hasKey && pthread_getspecific(alone) != nil }

  /// What is done within has one thread: loops run on it, and kernels prepared are for one thread. For work that is shared out as a whole.
  public func serially<T>(_ body: () throws -> T) rethrows -> T {
    guard hasKey, !isAlone else { return try body() }
    pthread_setspecific(alone, UnsafeRawPointer(lock))
    defer { pthread_setspecific(alone, nil) }
    return try body()
  }

  /// Takes effect with the next loop. 0 asks for all cores.
  public func setThreadCount(_ count: Int) throws {
    guard (0...Self.most).contains(count) else {
      throw XferError.invalid("threads: \(count) was given, 0 (all cores) to \(Self.most) is possible")
    }
    wanted.store(count == 0 ? availableCores() : count, ordering: .relaxed)
  }

  public func run(count: Int64, grain: Int64, _ fn: xfer_task_fn, _ context: UnsafeMutableRawPointer?) {
    guard count > 0 else { return }
    let grain = max(1, grain)
    let threads = threadCount
    if threads == 1 || count <= grain {
      fn(context, 0, count, 0)
      return
    }
    let ran: Void? = busy.withLockIfAvailable { _ in
      startWorkers(threads - 1)
      let job = Job(fn: fn, context: context, count: count, grain: grain, threads: threads)
      self.job = job
      for thread in 0..<threads { shares[thread * Self.line].store(Self.begin(of: thread, job), ordering: .relaxed) }
      pending.store(workers, ordering: .relaxed)
      generation.wrappingAdd(1, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
        pthread_mutex_lock(lock)
        pthread_cond_broadcast(wake)
        pthread_mutex_unlock(lock)
      }
      work(job, worker: 0)
      var waited = 0
      while pending.load(ordering: .acquiring) > 0 {
        waited += 1
        if waited > 10_000 { sched_yield() } else { xfer_cpu_relax() }
      }
    }
    if ran == nil { fn(context, 0, count, 0) }
  }

  /// `body` for each number below `count`, on as many threads.
  public func each(_ count: Int, _ body: (Int) -> Void) {
    withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { body in
        run(
          count: Int64(count), grain: 1,
          { context, begin, end, _ in
            guard let body = context?.assumingMemoryBound(to: ((Int) -> Void).self) else { return }
            for index in begin..<end { body.pointee(Int(index)) }
          }, UnsafeMutableRawPointer(mutating: body))
      }
    }
  }

  /// Rounded up: of fewer pieces than threads the caller, who is there first, has one.
  private static func begin(of share: Int, _ job: Job) -> Int { (job.pieces * share + job.threads - 1) / job.threads }

  private func work(_ job: Job, worker: Int) {
    for turn in 0..<job.threads {
      let share = (worker + turn) % job.threads
      let end = Self.begin(of: share + 1, job)
      let next = share * Self.line
      // Only looked at where nothing is left: many threads that wrote there would wait for each other.
      while shares[next].load(ordering: .relaxed) < end {
        let piece = shares[next].wrappingAdd(1, ordering: .relaxed).oldValue
        if piece >= end { break }
        let begin = Int64(piece) * job.grain
        job.fn(job.context, begin, min(begin + job.grain, job.count), Int32(worker))
      }
    }
  }

  private func startWorkers(_ count: Int) {
    while workers < count {
      workers += 1
      let start = Unmanaged.passRetained(WorkerStart(pool: self, index: Int32(workers), seen: generation.load(ordering: .relaxed)))
      var thread = pthread_t()
      let failed = pthread_create(
        &thread, nil,
        { argument in
          guard let argument else { return nil }
          let start = Unmanaged<WorkerStart>.fromOpaque(argument).takeRetainedValue()
          start.pool.serve(start.index, seen: start.seen)
          return nil
        }, start.toOpaque())
      if failed != 0 {
        start.release()
        workers -= 1
        return
      }
      pthread_detach(thread)
    }
  }

  private func serve(_ index: Int32, seen: UInt64) {
    var signals = sigset_t()
    sigfillset(&signals)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    var seen = seen
    while true {
      var spun = 0
      while generation.load(ordering: .acquiring) == seen, spun < Self.spins {
        spun += 1
        xfer_cpu_relax()
      }
      if generation.load(ordering: .sequentiallyConsistent) == seen {
        pthread_mutex_lock(lock)
        sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
        while generation.load(ordering: .sequentiallyConsistent) == seen { pthread_cond_wait(wake, lock) }
        sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        pthread_mutex_unlock(lock)
      }
      seen = generation.load(ordering: .acquiring)
      // A worker beyond the wanted count stays idle: it only reports.
      if let job, Int(index) < job.threads { work(job, worker: Int(index)) }
      pending.wrappingSubtract(1, ordering: .releasing)
    }
  }
}

private final class WorkerStart {
  let pool: ThreadPool
  let index: Int32
  let seen: UInt64
  init(pool: ThreadPool, index: Int32, seen: UInt64) {
    self.pool = pool
    self.index = index
    self.seen = seen
  }
}

/// Cores this process may run on.
private func availableCores() -> Int {
  let allowed = Int(xfer_available_cores())
  return allowed > 0 ? allowed : max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
}
