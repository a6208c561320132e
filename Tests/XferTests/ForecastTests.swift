import CXfer
import Testing
import XferCore
@testable import Xfer

/// What training will cost, before it is run.
@Suite struct ForecastTests {
  private func model() throws -> (whole: Model, base: Model) {
    let image = try Input(shape: [16, 16, 3])
    var x = try Conv2D(filters: 16, kernelSize: 3, padding: .same, activation: .relu)(image)
    for _ in 0..<3 { x = try BatchNormalization()(Conv2D(filters: 16, kernelSize: 3, padding: .same)(x)) }
    let base = try Model(image, x)
    let input = try Input(shape: [16, 16, 3])
    let whole = try Model(input, Dense(1)(GlobalAveragePooling2D()(base(input, training: false))))
    base.trainable = false
    try whole.compile(optimizer: Adam(learningRate: 1e-3), loss: BinaryCrossentropy(fromLogits: true))
    return (whole, base)
  }

  @Test func deeperUnfreezingCostsMoreAndKeepsLess() throws {
    let (model, _) = try model()
    let costs = try model.forecast(images: 100, batchSize: 8, depths: [.none, .lastPercent(50), .all])
    #expect(costs.map(\.unfreeze.text) == ["none", "last:50%", "all"])
    for (shallow, deep) in zip(costs, costs.dropFirst()) {
      #expect(shallow.trainedParameters < deep.trainedParameters)
      #expect(shallow.uncached.flops < deep.uncached.flops)
      #expect(shallow.uncachedBytes < deep.uncachedBytes)
    }
    #expect(costs.allSatisfy { $0.uncached.seconds > 0 })
    let kept = try #require(costs[0].cached)
    #expect(kept.later.flops < kept.first.flops / 10)
    // The whole forward pass is in the first epoch, and nothing else of size.
    #expect(abs(kept.first.flops / costs[0].uncached.flops - 1) < 0.05)
    #expect(try #require(costs[1].cached).later.flops > kept.later.flops)
    #expect(costs[2].cached == nil && costs[2].cachedBytes == nil)
  }

  @Test func theModelStaysAsItWas() throws {
    let (model, base) = try model()
    base.layers[2].trainable = true
    try model.compile(optimizer: Adam(learningRate: 1e-3), loss: BinaryCrossentropy(fromLogits: true))
    try (base.layers[1] as? Conv2D)?.enableLoRA(rank: 2)
    try model.compile(optimizer: Adam(learningRate: 1e-3), loss: BinaryCrossentropy(fromLogits: true))
    let flags = model.trainableFlags
    let weights = model.weights.map(\.tensor.floats)
    _ = try model.forecast(images: 20, batchSize: 4)
    #expect(model.trainableFlags == flags)
    #expect(model.weights.map(\.tensor.floats) == weights)
    // Compiled still, with no flag that changed since.
    let y = try Tensor([Float](repeating: 1, count: 4), shape: [4, 1])
    _ = try model.fit(ArrayDataset(x: randomTensor([4, 16, 16, 3], seed: 1), y: y, batchSize: 4))
  }

  @Test func whatThereIsNoRoomForIsComputedAgain() throws {
    let (model, _) = try model()
    let cost = try #require(try model.forecast(images: .max, batchSize: 8, depths: [.none]).first)
    let kept = try #require(cost.cached)
    #expect(abs(kept.later.flops / kept.first.flops - 1) < 0.01 && (cost.cachedBytes ?? .max) < 1 << 44)
  }

  @Test func keptFeaturesStay() throws {
    let (model, _) = try model()
    let samples = try ArrayDataset(x: randomTensor([4, 16, 16, 3], seed: 1), y: randomTensor([4, 1], seed: 2), batchSize: 4)
    _ = try model.fit(samples)
    let store = try #require(model.featureStores.values.first)
    _ = try model.forecast(images: 20, batchSize: 4, depths: [.none, .all])
    #expect(model.featureStores.values.first === store && store.count == 4)
    // A phase in which there is nothing to keep does not carry them along.
    var options = FitOptions()
    options.cache = .off
    _ = try model.fit(samples, options: options)
    #expect(model.featureStores.isEmpty)
  }

  @Test func badArgumentsAreRefused() throws {
    let (model, base) = try model()
    #expect(throws: XferError.self) { try model.forecast(images: 0, batchSize: 8) }
    #expect(throws: XferError.self) { try model.forecast(images: 8, batchSize: 0) }
    #expect(throws: XferError.self) { try model.forecast(images: 8, batchSize: .max) }
    #expect(throws: XferError.self) { try model.forecast(images: 8, batchSize: 8, depths: [.from("nowhere")]) }
    let error = #expect(throws: XferError.self) { try base.forecast(images: 8, batchSize: 8) }
    #expect(error?.status == XFER_E_NOT_COMPILED)
  }
}
