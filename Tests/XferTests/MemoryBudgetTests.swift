import CXfer
import Testing
import XferCore
import XferGraph
@testable import Xfer

/// A budget for training: values are computed twice in place of being kept, to the same bits.
@Suite struct MemoryBudgetTests {
  /// Branches, normalization by the batch, random numbers and a layer used twice.
  private func network() throws -> Model {
    let input = try Input(shape: [24, 24, 3])
    var x = try Conv2D(filters: 32, kernelSize: 3, padding: .same)(input)
    let shared = try Conv2D(filters: 32, kernelSize: 3, padding: .same)
    for block in 0..<10 {
      let before = x
      x = try BatchNormalization()(x)
      x = try Activation(.relu)(x)
      x = try block % 2 == 0 ? shared(x) : SeparableConv2D(filters: 32, kernelSize: (3, 3), padding: .same)(x)
      x = try Dropout(0.2, seed: 5 + block)(x)
      x = try Activation(.tanh)(x)
      x = try Add()([x, before])
    }
    x = try MaxPooling2D()(x)
    let model = try Model(input, Dense(1)(GlobalAveragePooling2D()(x)))
    try fill(model, scale: 0.1)
    return model
  }

  private func compiled(_ optimizer: Optimizer) throws -> Model {
    let model = try network()
    try model.compile(optimizer: optimizer, loss: BinaryCrossentropy(fromLogits: true))
    return model
  }

  private func data() throws -> any Dataset {
    let y = try Tensor((0..<40).map { Float($0 % 3 == 0 ? 1 : 0) }, shape: [40, 1])
    return try ArrayDataset(x: randomTensor([40, 24, 24, 3], seed: 9), y: y, batchSize: 16)
  }

  @Test(arguments: ["SGD", "Adam"]) func trainingWithinABudgetGivesTheSameBits(optimizer: String) throws {
    let free = try compiled(.make(optimizer, config: ["learning_rate": 0.01]))
    let tight = try compiled(.make(optimizer, config: ["learning_rate": 0.01]))
    let whole = try free.plan(batchSize: 16, training: true).peakBytes
    var options = FitOptions()
    options.epochs = 2
    let wanted = try free.fit(data(), options: options)
    options.memoryBudget = try tight.compiled().fixedBytes * 3 + whole * 7 / 10
    let got = try tight.fit(data(), options: options)
    #expect(got.json == wanted.json)
    for (a, b) in zip(free.weights, tight.weights) { #expect(a.tensor.floats == b.tensor.floats, "\(a.path)") }
  }

  @Test func aPlanKeepsWithinItsBudget() throws {
    let model = try compiled(SGD(learningRate: 0.01))
    let trainer = try model.compiled()
    let whole = try trainer.plan(batchSize: 32).peakBytes
    var sizes = [whole]
    for share in [0.8, 0.65] {
      trainer.memoryBudget = try trainer.fixedBytes + Int(Double(whole) * share)
      let bytes = try trainer.plan(batchSize: 32).peakBytes
      #expect(bytes <= Int(Double(whole) * share))
      sizes.append(bytes)
    }
    #expect(sizes[2] < sizes[1] && sizes[1] < sizes[0])
  }

  @Test func aBudgetThatNothingFitsIsRefusedBeforeAWeightMoves() throws {
    let model = try compiled(SGD(learningRate: 0.01))
    let before = model.weights.map(\.tensor.floats)
    var options = FitOptions()
    for (budget, words) in [
      (1_000, "weights and optimizer take"), (try model.compiled().fixedBytes + 100_000, "intermediate values and packed weights at least"),
    ] {
      options.memoryBudget = budget
      let error = #expect(throws: XferError.self) { try model.fit(data(), options: options) }
      #expect(error?.status == XFER_E_OUT_OF_MEMORY)
      #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }
    #expect(model.weights.map(\.tensor.floats) == before)
    options.memoryBudget = 0
    #expect(throws: XferError.self) { try model.fit(data(), options: options) }
  }
}
