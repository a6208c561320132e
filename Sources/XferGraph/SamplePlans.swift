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

    /// What makes, times or runs the plan of one part, with as many threads as that part has.
    public func part<T>(_ body: () throws -> T) rethrows -> T { try threads > 1 ? ThreadPool.shared.serially(body) : body() }
  }

  /// How a batch of `rows` samples, which is what this plan is for, is best run where each sample is computed for itself; nil: as a whole. The
  /// intermediate values of a part take about as much as the caches hold. Where a backend gives a sample the same bits in every batch, as simd does,
  /// the division does not show in a result.
  public func division(of rows: Int) -> Division? {
    let threads = ThreadPool.shared.threadCount
    let cache = 16 << 20
    guard rows > 1, peakBytes > max(threads, 2) * cache else { return nil }
    let sample = max(peakBytes / rows, 1)
    let share = (rows + threads - 1) / threads
    // Unless some threads had much less to do than others.
    if threads > 1, isConcurrent, 10 * rows >= 9 * threads * share {
      // Each part reads all weights anew: the more there are of them, the more samples are to share that.
      let largest = min(share, max(min(max(constantBytes / 4, cache / 4), cache) / sample, 1))
      func most(_ size: Int) -> Int { ((rows + size - 1) / size + threads - 1) / threads * size }
      let size = stride(from: largest, to: 1, by: -1).first { 10 * most($0) <= 11 * share } ?? 1
      return Division(rows: size, threads: threads)
    }
    // Fewer samples leave the rows of small images too few to share among threads.
    let parts = min((rows + 3) / 4, (peakBytes + max(threads, 2) * cache - 1) / (max(threads, 2) * cache))
    return parts > 1 ? Division(rows: (rows + parts - 1) / parts, threads: 1) : nil
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
    // Of fewer samples than the division is for, all threads still get some.
    let size = max(min(division.rows, (rows + division.threads - 1) / division.threads), 1)
    let wanted = max(min(division.threads, (rows + size - 1) / size), 1)
    while seats.count < wanted { seats.append(Seat(arenas[seats.count])) }
    func prepare(_ seat: Seat, _ size: Int) throws -> Part {
      let part = try seat.parts[size] ?? division.part { try make(size, seat.arena) }
      seat.parts[size] = part
      // With all threads, and before two of them want the same packed weights.
      try part.plan.prepare()
      return part
    }
    let any = try prepare(seats[0], size)
    for seat in seats[1..<wanted] { _ = try prepare(seat, size) }
    if rows % size > 0 { _ = try prepare(seats[0], rows % size) }

    let outputs = try any.outputs.map { value in
      // A value may be laid out with several rows a sample.
      let shape = any.plan.graph.shape(value)
      guard let first = shape.first, first % size == 0 else {
        throw XferError.internal("an output of shape \(shape) is not of \(size) samples")
      }
      return try Tensor(zeros: [rows * (first / size)] + shape.dropFirst(), dtype: any.plan.graph.dtype(value))
    }
    let run = SampleRun(inputs: inputs, outputs: outputs, size: size)
    ThreadPool.shared.each(wanted) { seat in division.part { run.work(seats[seat], isFirst: seat == 0) } }
    if let error = run.failure { throw error }
    return outputs
  }
}

/// One run, as all its threads see it.
private final class SampleRun {
  private let inputs: [Tensor]
  private let outputs: [Tensor]
  private let count: Int
  private let size: Int
  private let next = Atomic<Int>(0)
  private let state = Mutex<XferError?>(nil)

  init(inputs: [Tensor], outputs: [Tensor], size: Int) {
    (self.inputs, self.outputs, self.size) = (inputs, outputs, size)
    count = inputs[0].shape[0]
  }

  /// The first error of any thread, which ends the work of all.
  var failure: XferError? { state.withLock { $0 } }

  /// Runs parts until there are no more; the first seat begins with what is left beside whole parts.
  func work(_ seat: SamplePlans.Seat, isFirst: Bool) {
    do {
      let whole = count / size * size
      if isFirst, whole < count { try compute(whole..<count, seat) }
      while failure == nil {
        let begin = next.wrappingAdd(size, ordering: .relaxed).oldValue
        guard begin < whole else { return }
        try compute(begin..<begin + size, seat)
      }
    } catch {
      let error = error as? XferError ?? XferError.internal("\(error)")
      state.withLock { $0 = $0 ?? error }
    }
  }

  private func compute(_ range: Range<Int>, _ seat: SamplePlans.Seat) throws {
    guard let part = seat.parts[range.count] else { throw XferError.internal("there is no plan for \(range.count) samples") }
    try part.plan.run(zip(part.inputs, inputs).map { ($0, $1.rows(range)) })
    for (value, output) in zip(part.outputs, outputs) {
      let made = try part.plan.read(value)
      (output.data + range.lowerBound * (output.byteCount / count)).copyMemory(from: made.data, byteCount: made.byteCount)
    }
  }
}
