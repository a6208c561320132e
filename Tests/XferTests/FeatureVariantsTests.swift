import Foundation
import Testing
import XferCore
import XferGraph
@testable import Xfer

/// Fixed augmentations by sample, so that what lies behind them can be kept.
@Suite struct FeatureVariantsTests {
  private func flip() throws -> Layer { RandomFlip(.horizontal, seed: 7) }
  private func contrast() throws -> Layer {
    try LayerRegistry.make("RandomContrast", config: ["factor": 0.3, "value_range": [-10, 10], "seed": 8])
  }
  private func rotation() throws -> Layer { try LayerRegistry.make("RandomRotation", config: ["factor": 0.2, "seed": 9]) }

  /// Augmentation, a frozen base of a convolution, normalization and pooling, a head.
  private func model(_ augmentation: [Layer], noisyHead: Bool = false) throws -> (model: Model, base: Model) {
    let image = try Input(shape: [8, 8, 3])
    let made = try BatchNormalization()(Conv2D(filters: 6, kernelSize: 3)(image))
    let base = try Model(image, GlobalAveragePooling2D()(Activation(.relu)(made)), name: "base")
    base.trainable = false
    let input = try Input(shape: [8, 8, 3])
    var x = input
    for layer in augmentation { x = try layer(x) }
    x = try base(x)
    if noisyHead { x = try GaussianNoise(0.5, seed: 4)(x) }
    let model = try Model(input, Dense(1)(x))
    try fill(model)
    return (model, base)
  }

  private func part(_ model: Model, fixing: Bool = true) throws -> FrozenPart? {
    let moving = Set(model.trainableWeights.map { ObjectIdentifier($0) })
    return try FrozenPart(model, plastic: moving, training: true, fixing: fixing)
  }

  private func cache(_ model: Model, _ variants: Int, budget: Int? = nil) throws -> FeatureCache {
    var caching = FeatureCaching.memory(budget: budget)
    caching.variants = variants
    let part = try #require(try part(model))
    var known: [FeatureCache.StoreKey: any FeatureStore] = [:]
    return try FeatureCache(model, part, caching, known: &known)
  }

  private func fixed(_ variants: Int, _ caching: FeatureCaching = .memory()) -> FeatureCaching {
    var caching = caching
    caching.variants = variants
    return caching
  }

  @Test func aSampleIsChangedAlikeInEveryBatch() throws {
    let (model, _) = try model([flip(), contrast(), rotation()])
    let x = try randomTensor([12, 8, 8, 3], seed: 1)
    let cache = try cache(model, 3)
    func features(_ cache: FeatureCache, _ rows: [Int], _ epoch: Int) throws -> [[Float]] {
      cache.begin(epoch: epoch)
      let values = try cache.features(Batch(inputs: [gatherRows(x, rows)]))[0].floats
      return rows.indices.map { Array(values[$0 * 6..<($0 + 1) * 6]) }
    }
    let whole = try (0..<3).map { try features(cache, Array(0..<12), $0) }
    for (first, second) in [(0, 1), (1, 2), (0, 2)] {
      #expect(zip(whole[first], whole[second]).allSatisfy { $0 != $1 }, "each variant is another augmentation")
    }
    #expect(try features(cache, Array(0..<12), 4) == whole[1], "epoch 4 has variant 1 of 3")
    // Another cache, other batches, another order, and nothing kept.
    let other = try self.cache(model, 3, budget: 0)
    for epoch in [2, 0, 1] {
      for rows in [[5], [11, 3, 0], [7, 5, 2, 9, 4]] {
        #expect(try features(other, rows, epoch) == rows.map { whole[epoch][$0] })
      }
    }
    #expect(other.store.count == 0 && cache.store.count == 36)
  }

  @Test func flippedOrNotByChance() throws {
    let (model, base) = try model([flip()])
    let x = try randomTensor([40, 8, 8, 3], seed: 2)
    var mirrored = x.floats
    for row in 0..<40 * 8 {
      for column in 0..<8 {
        for channel in 0..<3 { mirrored[(row * 8 + column) * 3 + channel] = x.float32[(row * 8 + 7 - column) * 3 + channel] }
      }
    }
    let (plain, turned) = (try base(x).floats, try base(Tensor(mirrored, shape: x.shape)).floats)
    let cache = try cache(model, 2)
    var counts = [0, 0]
    for epoch in 0..<2 {
      cache.begin(epoch: epoch)
      let found = try cache.features(Batch(inputs: [x]))[0].floats
      for row in 0..<40 {
        let place = row * 6..<(row + 1) * 6
        let isTurned = relativeError(Array(found[place]), Array(turned[place])) < 1e-5
        #expect(isTurned || relativeError(Array(found[place]), Array(plain[place])) < 1e-5)
        counts[isTurned ? 1 : 0] += 1
      }
    }
    // 80 throws of a coin: fewer than 20 of a kind are beyond four deviations.
    #expect(counts.allSatisfy { $0 >= 20 })
  }

  @Test func otherSeedsOtherAugmentations() throws {
    func rows(_ seed: Int) throws -> [Float] {
      let (model, _) = try model([LayerRegistry.make("RandomRotation", config: ["factor": 0.2, "seed": .int(seed)])])
      return try cache(model, 1).features(Batch(inputs: [randomTensor([5, 8, 8, 3], seed: 1)]))[0].floats
    }
    let first = try rows(1)
    #expect(try rows(1) == first && rows(2) != first)
  }

  private struct Result: Equatable {
    let history: [String: [Double]]
    let weights: [[Float]]
    let stores: [Int]
  }

  private func train(_ caching: FeatureCaching, stepsPerEpoch: Int? = nil, noisyHead: Bool = false) throws -> Result {
    let (model, _) = try model([flip(), rotation()], noisyHead: noisyHead)
    let (x, y) = (try randomTensor([22, 8, 8, 3], seed: 3), try Tensor((0..<22).map { Float($0 % 2) }, shape: [22, 1]))
    let validation = try ArrayDataset(x: randomTensor([7, 8, 8, 3], seed: 4), y: y.rows(0..<7), batchSize: 4)
    try model.compile(optimizer: Adam(learningRate: 0.01), loss: BinaryCrossentropy(fromLogits: true))
    var options = FitOptions()
    (options.epochs, options.cache, options.validation, options.stepsPerEpoch) = (7, caching, validation, stepsPerEpoch)
    let history = try model.fit(ArrayDataset(x: x, y: y, batchSize: 5, seed: 6), options: options)
    // Validation is not augmented: it is what evaluate finds.
    #expect(try model.evaluate(validation)["loss"] == history.values["val_loss"]?.last)
    return Result(history: history.values, weights: model.weights.map(\.values), stores: model.featureStores.values.map(\.count).sorted())
  }

  @Test(arguments: [nil, 3], [false, true]) func keptOrNotTheNumbersAreTheSame(_ stepsPerEpoch: Int?, _ noisyHead: Bool) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("xfer-features-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let kept = try train(fixed(2), stepsPerEpoch: stepsPerEpoch, noisyHead: noisyHead)
    // One row of each of validation and two a sample, unless epochs end in mid-data: then some samples have not been in epochs of both kinds.
    #expect(kept.stores.count == 2 && kept.stores[0] == 7)
    #expect(stepsPerEpoch == nil ? kept.stores[1] == 44 : (23...44).contains(kept.stores[1]))
    // Nothing, and hardly anything, is kept; then all is, in a file.
    for budget in [0, 200] {
      let result = try train(fixed(2, .memory(budget: budget)), stepsPerEpoch: stepsPerEpoch, noisyHead: noisyHead)
      #expect(result.history == kept.history && result.weights == kept.weights && result.stores != kept.stores)
    }
    for _ in 0..<2 {
      #expect(try train(fixed(2, .disk(folder: folder)), stepsPerEpoch: stepsPerEpoch, noisyHead: noisyHead) == kept)
    }
  }

  @Test func withoutVariantsOnlyValidationIsKept() throws {
    let result = try train(.memory())
    #expect(result.stores == [7])
    let off = try train(.off)
    #expect(result.history == off.history && result.weights == off.weights)
  }

  @Test func whatIsFixedAndWhatIsNot() throws {
    let augmented = try model([flip(), contrast()]).model
    #expect(try part(augmented)?.isAugmented == true)
    #expect(try part(augmented, fixing: false) == nil)
    // Noise behind the base is new in every epoch: it is no augmentation of a sample.
    let noisy = try #require(try part(try model([flip()], noisyHead: true).model))
    #expect(noisy.isAugmented && noisy.prefix.counts == [6])
    #expect(try part(model([], noisyHead: true).model)?.isAugmented == false)
    // One window for all images of a batch.
    let input = try Input(shape: [10, 10, 3])
    let (_, base) = try model([])
    let cropped = try Model(input, Dense(1)(base(RandomCrop(height: 8, width: 8, seed: 3)(input))))
    #expect(try part(cropped) == nil)
  }
}
