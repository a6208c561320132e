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

  @Test func rowsInPartsGiveTheSameBits() throws {
    let model = try model()
    var values = [Float](repeating: 0, count: 37 * 128 * 128 * 8)
    for index in values.indices { values[index] = Float((index &* 2_654_435_761) % 1000) / 500 - 1 }
    let x = try Tensor(values, shape: [37, 128, 128, 8])
    let plan = try model.plan(batchSize: 37)
    let part = plan.rowsAtATime(of: 37)
    #expect(part >= 4 && part < 37)
    let whole = try model(x).floats
    for row in [0, part - 1, part, 36] {
      let alone = try model(x.rows(row..<row + 1)).floats
      #expect(Array(whole[row * 64..<(row + 1) * 64]) == alone)
    }
  }
}
