import Synchronization
public import XferCore

extension Plan {
  /// How a batch is run in parts.
  public struct Division: Equatable {
    /// Samples of a part; the last one may have fewer.
    public let rows: Int
    /// Parts under way at once, each on one thread; 1: one after another, each on all threads.
    public let threads: Int

    public init(rows: Int, threads: Int) { (self.rows, self.threads) = (rows, threads) }
  }

  /// How a batch of `rows` samples, which is what this plan is for, is best run where each sample is computed for itself; nil: as a whole. The
  /// intermediate values of a part take no more than what the caches of the cores hold anyway. Kernels give a sample the same bits in every batch.
  public func division(of rows: Int) -> Division? {
    let threads = ThreadPool.shared.threadCount
    let cache = 16 << 20
    guard rows > 1, peakBytes > max(threads, 2) * cache else { return nil }
    func part(of rows: Int, bytes: Int, cache: Int, least: Int) -> Int {
      let parts = min((rows + least - 1) / least, (bytes + cache - 1) / cache)
      return (rows + parts - 1) / parts
    }
    let share = (rows + threads - 1) / threads
    // Unless some threads had much less to do than others.
    if threads > 1, isReentrant, 10 * rows >= 9 * threads * share {
      // Each part reads all weights anew: the more there are of them, the more samples are to share that.
      let cache = min(max(constantBytes / 4, cache / 4), cache)
      return Division(rows: part(of: share, bytes: peakBytes / rows * share, cache: cache, least: 1), threads: threads)
    }
    // Fewer samples leave the rows of small images too few to share among threads.
    let size = part(of: rows, bytes: peakBytes, cache: max(threads, 2) * cache, least: 4)
    return size < rows ? Division(rows: size, threads: 1) : nil
  }
}

/// Plans that run a batch in parts. Each thread has plans and memory of its own and takes the next part when it is done with one: threads meet once a
/// batch and not once an op, and find what they wrote in their own caches.
public final class SamplePlans {
  /// A plan for some samples.
  public struct Part {
    public let plan: Plan
    let inputs: [ValueID]
    let outputs: [ValueID]

    public init(plan: Plan, inputs: [ValueID], outputs: [ValueID]) { (self.plan, self.inputs, self.outputs) = (plan, inputs, outputs) }

    /// Runs all samples at once.
    public func run(_ inputs: [Tensor]) throws -> [Tensor] {
      try plan.run(Array(zip(self.inputs, inputs)))
      return try outputs.map { try plan.read($0).copy() }
    }
  }

  /// What one thread works with: a plan for each number of samples.
  fileprivate final class Seat {
    let arena: Arena
    var parts: [Int: Part] = [:]
    init(_ arena: Arena) { self.arena = arena }
  }

  private let arenas: Arenas
  private var seats: [Seat] = []
  private var division: Plan.Division?

  public init(arenas: Arenas) { self.arenas = arenas }

  /// Runs all rows of `inputs`.
  ///
  /// - Parameter make: makes the plan for so many samples, with its values in the given memory.
  public func run(_ inputs: [Tensor], _ division: Plan.Division, make: (_ rows: Int, Arena) throws -> Part) throws -> [Tensor] {
    if division != self.division { (seats, self.division) = ([], division) }
    let rows = inputs[0].shape[0]
    let sizes = Set([min(division.rows, rows), rows % division.rows]).subtracting([0])
    let wanted = min(division.threads, (rows + division.rows - 1) / division.rows)
    for index in 0..<wanted {
      if index == seats.count { seats.append(Seat(arenas[index])) }
      let seat = seats[index]
      for size in sizes.sorted(by: >) {
        func made() throws -> Part { try make(size, seat.arena) }
        let part = try seat.parts[size] ?? (division.threads > 1 ? ThreadPool.shared.serially(made) : made())
        seat.parts[size] = part
        // With all threads, and before two of them want the same packed weights.
        try part.plan.prepare()
      }
    }
    guard wanted > 0, let any = seats[0].parts.values.first else { return [] }
    let outputs = try any.outputs.map {
      try Tensor(zeros: [rows] + any.plan.graph.shape($0).dropFirst(), dtype: any.plan.graph.dtype($0))
    }
    let run = SampleRun(inputs: inputs, outputs: outputs, rows: division.rows)
    if division.threads == 1 {
      run.work(seats[0])
    } else {
      // Only those that were given plans for these sizes.
      ThreadPool.shared.each(wanted) { seat in ThreadPool.shared.serially { run.work(seats[seat]) } }
    }
    if let error = run.failure { throw error }
    return outputs
  }
}

/// One run, as all its threads see it.
private final class SampleRun {
  private let inputs: [Tensor]
  private let outputs: [Tensor]
  private let rows: Int
  private let next = Atomic<Int>(0)
  private let state = Mutex<XferError?>(nil)

  init(inputs: [Tensor], outputs: [Tensor], rows: Int) { (self.inputs, self.outputs, self.rows) = (inputs, outputs, rows) }

  /// The first error of any thread, which ends the work of all.
  var failure: XferError? { state.withLock { $0 } }

  /// Runs parts until there are no more.
  func work(_ seat: SamplePlans.Seat) {
    let count = inputs[0].shape[0]
    while failure == nil {
      let begin = next.wrappingAdd(rows, ordering: .relaxed).oldValue
      guard begin < count else { return }
      do { try compute(begin..<min(begin + rows, count), seat) } catch {
        let error = error as? XferError ?? XferError.internal("\(error)")
        state.withLock { $0 = $0 ?? error }
      }
    }
  }

  private func compute(_ range: Range<Int>, _ seat: SamplePlans.Seat) throws {
    guard let part = seat.parts[range.count] else { throw XferError.internal("no plan for \(range.count) samples") }
    try part.plan.run(zip(part.inputs, inputs).map { ($0, $1.rows(range)) })
    for (value, output) in zip(part.outputs, outputs) {
      let made = try part.plan.read(value)
      output.rows(range).data.copyMemory(from: made.data, byteCount: made.byteCount)
    }
  }
}
