import Glibc
import Synchronization
import Testing
import XferGraph
@testable import Xfer
@testable import XferCore

/// Values that are made again in the backward pass; that the bits are the same, the comparisons with Keras show.
@Suite struct RecomputeTests {
  private func network(_ seed: UInt64) throws -> Model {
    RandomSeed.set(seed)
    let input = try Input(shape: [24, 24, 3])
    var x = try Conv2D(filters: 32, kernelSize: 3, padding: .same)(input)
    x = try BatchNormalization()(x)
    x = try Activation(.relu)(x)
    for _ in 0..<3 {
      let before = x
      x = try SeparableConv2D(filters: 32, kernelSize: (3, 3), padding: .same)(x)
      x = try BatchNormalization()(x)
      x = try Activation(.relu)(x)
      x = try Add()([x, before])
    }
    x = try GlobalAveragePooling2D()(x)
    return try Model(input, Dense(1)(x))
  }

  @Test func cheapValuesAreNotKeptForTheBackwardPass() throws {
    let model = try network(1)
    try model.compile(optimizer: Adam(learningRate: 1e-3), loss: BinaryCrossentropy(fromLogits: true))
    let nodes = try model.plan(batchSize: 32, training: true).report()
    let again = nodes.filter { $0.phase == .backward && ["scaleShift", "depthwiseConv2D"].contains($0.op) }
    #expect(again.contains { $0.op == "depthwiseConv2D" })
    #expect(again.contains { $0.op == "scaleShift" })
  }
}

/// Inference of many rows in parts: less memory, the same bits.
@Suite struct PartsTests {
  /// Two layers whose values for one batch are far above what is run at a time.
  private func model() throws -> Model {
    let input = try Input(shape: [128, 128, 8])
    let x = try Conv2D(filters: 64, kernelSize: 3, padding: .same, activation: .relu)(input)
    return try Model(input, GlobalAveragePooling2D()(Conv2D(filters: 64, kernelSize: 1)(x)))
  }

  private func images(_ rows: Int) throws -> Tensor {
    try Tensor((0..<rows * 128 * 128 * 8).map { Float(($0 &* 2_654_435_761) % 1000) / 500 - 1 }, shape: [rows, 128, 128, 8])
  }

  /// Shares of threads that are equal, nearly equal, and too unequal.
  @Test(arguments: [36, 37, 9, 5])
  func rowsInPartsGiveTheSameBits(_ rows: Int) throws {
    let model = try model()
    let x = try images(rows)
    let division = try #require(try model.plan(batchSize: rows).division(of: rows))
    #expect(division.rows < rows && division.threads <= ThreadPool.shared.threadCount)
    #expect(division.threads > 1 || ThreadPool.shared.threadCount == 1 || rows < 37)
    let whole = try model(x).floats
    #expect(whole.count == rows * 64)
    for row in Set([0, division.rows - 1, division.rows, rows / 2, rows - 1]) {
      let alone = try model(x.rows(row..<row + 1)).floats
      #expect(Array(whole[row * 64..<(row + 1) * 64]) == alone)
    }
    #expect(try model(x).floats == whole)
  }

  /// As kept features ask for them: whatever is missing of a batch.
  @Test func anyNumberOfRowsRunsInPartsOfOneSize() throws {
    let input = try Input(shape: [12, 12, 3])
    let x = try Conv2D(filters: 16, kernelSize: 3, padding: .same, activation: .relu)(input)
    let model = try Model(input, GlobalAveragePooling2D()(SeparableConv2D(filters: 8, kernelSize: (3, 3))(x)))
    let images = try randomTensor([9, 12, 12, 3], seed: 4)
    let plans = SamplePlans(arenas: Arenas())
    let division = Plan.Division(rows: 2, threads: 3)
    for rows in [9, 1, 8, 3, 2, 7, 5, 1, 6, 9] {
      let x = images.rows(0..<rows)
      let made = try plans.run([x], division) { rows, arena in
        let graph = Graph()
        let input = graph.input(TensorDescription([rows, 12, 12, 3]))
        let outputs = try model.emitAll([input], LoweringContext(graph: graph, training: false))
        var options = Plan.Options()
        (options.arena, options.kept) = (arena, outputs)
        return SamplePlans.Part(plan: try Plan(graph, options: options), inputs: [input], outputs: outputs)
      }
      #expect(made.count == 1 && made[0].shape == [rows, 8])
      #expect(try made[0].floats == model(x).floats, "\(rows) rows")
    }
  }

  @Test func changedWeightsReachThePlansOfAllThreads() throws {
    let model = try model()
    let x = try images(16)
    let before = try model(x).floats
    let bias = try #require(model.weights.last)
    bias.tensor.float32[0] += 1
    bias.touch()
    let after = try model(x).floats
    for row in 0..<16 {
      #expect(abs(after[row * 64] - before[row * 64] - 1) < 1e-5)
      #expect(after[row * 64 + 1] == before[row * 64 + 1])
    }
  }

  @Test func aFunctionOfTheProgramIsNotCalledFromSeveralThreads() throws {
    try KernelTests.register("t.swish.parts")
    let input = try Input(shape: [128, 128, 8])
    let x = try Conv2D(filters: 64, kernelSize: 3, padding: .same)(input)
    let y = try CustomKernel("t.swish.parts", attributes: ["beta": 1])(x)
    let plan = try Model(input, y).plan(batchSize: 16)
    #expect((plan.division(of: 16)?.threads ?? 1) == 1)
  }

  @Test func workThatIsSharedOutAsAWholeHasOneThread() {
    let pool = ThreadPool.shared
    let threads = pool.threadCount
    let seen = Mutex<[Int: (count: Int, thread: pthread_t, inner: Set<pthread_t>)]>([:])
    pool.each(7) { index in
      pool.serially {
        let inner = Mutex<Set<pthread_t>>([])
        pool.each(5) { _ in inner.withLock { _ = $0.insert(pthread_self()) } }
        let made = (pool.threadCount, pthread_self(), inner.withLock { $0 })
        seen.withLock { $0[index] = made }
      }
    }
    let all = seen.withLock { $0 }
    #expect(all.keys.sorted() == Array(0..<7))
    #expect(all.values.allSatisfy { $0.count == 1 && $0.inner == [$0.thread] })
    #expect(pool.threadCount == threads)
  }
}
