import CXfer
import Foundation
import Testing
import XferCore
import XferGraph
@testable import Xfer

/// The frozen part is run once a sample, and nothing else changes by it.
@Suite struct FeatureCacheTests {
  /// A base with branches, normalization and a residual, a head, and deterministic weights.
  private func model(frozen: Bool = true, unfreeze: String? = nil, dropout: Double = 0) throws -> (Model, Model) {
    let image = try Input(shape: [8, 8, 3])
    var x = try Conv2D(filters: 8, kernelSize: (3, 3), strides: (1, 1), padding: .same, useBias: false, name: "first")(image)
    x = try BatchNormalization(name: "normal")(x)
    x = try Activation(.relu)(x)
    let y = try Conv2D(filters: 8, kernelSize: (1, 1), strides: (1, 1), padding: .same, name: "second")(x)
    x = try Add()([x, y])
    x = try MaxPooling2D()(x)
    let base = try Model(image, Conv2D(filters: 12, kernelSize: (3, 3), strides: (1, 1), padding: .valid, name: "third")(x), name: "base")
    base.trainable = !frozen
    if let unfreeze {
      base.setOwnTrainable(true)
      try base.getLayer(unfreeze).trainable = true
    }
    let input = try Input(shape: [8, 8, 3])
    var z = try GlobalAveragePooling2D()(base(input, training: false))
    if dropout > 0 { z = try Dropout(dropout, seed: 5)(z) }
    let whole = try Model(input, Dense(1, name: "head")(z))
    for (index, weight) in whole.weights.enumerated() {
      try weight.assign(randomTensor(weight.shape, seed: UInt64(index + 1)))
      if weight.name == "moving_variance" { try weight.assign(Tensor(Array(repeating: 0.7, count: weight.count))) }
    }
    return (whole, base)
  }

  private func data(_ count: Int = 22) throws -> (x: Tensor, y: Tensor) {
    (try randomTensor([count, 8, 8, 3], seed: 40), try Tensor((0..<count).map { Float($0 % 2) }, shape: [count, 1]))
  }

  private struct Result: Equatable {
    let history: [String: [Double]]
    let weights: [[Float]]
  }

  private func train(
    _ caching: FeatureCaching, unfreeze: String? = nil, dropout: Double = 0, epochs: Int = 4, shuffled: Bool = true, weighted: Bool = false
  ) throws -> Result {
    let (model, _) = try model(unfreeze: unfreeze, dropout: dropout)
    let (x, y) = try data()
    try model.compile(
      optimizer: Adam(learningRate: 0.01), loss: BinaryCrossentropy(fromLogits: true), metrics: [BinaryAccuracy(threshold: 0)])
    var options = FitOptions()
    (options.epochs, options.cache) = (epochs, caching)
    options.validation = try ArrayDataset(x: x.rows(0..<9), y: y.rows(0..<9), batchSize: 4)
    let weights = weighted ? try randomTensor([22], seed: 9) : nil
    let history = try model.fit(ArrayDataset(x: x, y: y, sampleWeight: weights, batchSize: 5, seed: shuffled ? 3 : nil), options: options)
    return Result(history: history.values, weights: model.weights.map(\.values))
  }

  /// An image through a frozen base, and numbers beside it that go to the trained head as they are.
  @Test(arguments: [nil, 4]) func inputsThatAreTrainedOnDirectlyAreKeptBeside(_ hidden: Int?) throws {
    func run(_ caching: FeatureCaching) throws -> ([String: [Double]], [[Float]], Int) {
      let (_, base) = try model()
      let (image, numbers) = (try Input(shape: [8, 8, 3]), try Input(shape: [3]))
      let beside = try hidden.map { try Dense($0, activation: .tanh)(numbers) } ?? numbers
      let features = try GlobalAveragePooling2D()(base(image, training: false))
      let whole = try Model(inputs: [image, numbers], outputs: [Dense(1)(Concatenate()([features, beside]))])
      for (index, weight) in whole.trainableWeights.enumerated() { try weight.assign(randomTensor(weight.shape, seed: UInt64(index + 70))) }
      try whole.compile(optimizer: Adam(learningRate: 0.01), loss: BinaryCrossentropy(fromLogits: true))
      let (x, y) = try data()
      var options = FitOptions()
      (options.epochs, options.cache) = (3, caching)
      let samples = try ArrayDataset(inputs: [x, randomTensor([22, 3], seed: 8)], targets: [y], batchSize: 5, seed: 2)
      let history = try whole.fit(samples, options: options)
      let stores = whole.featureStores.values
      #expect(stores.allSatisfy { $0.rowBytes == (12 + 3) * 4 })
      return (history.values, whole.weights.map(\.values), stores.reduce(0) { $0 + $1.count })
    }
    let (plain, kept) = (try run(.off), try run(.memory()))
    #expect(plain.0 == kept.0 && plain.1 == kept.1)
    #expect(plain.2 == 0 && kept.2 == 22)
  }

  @Test func filesOfAnotherBudgetGoOn() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("xfer-features-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (model, _) = try model()
    let (x, y) = try data()
    try model.compile(optimizer: Adam(learningRate: 0.01), loss: BinaryCrossentropy(fromLogits: true))
    for (count, budget) in [(10, 1 << 20), (22, 2 << 20)] {
      var options = FitOptions()
      options.cache = .disk(folder: folder, budget: budget)
      _ = try model.fit(ArrayDataset(x: x.rows(0..<count), y: y.rows(0..<count), batchSize: 5), options: options)
      #expect(model.featureStores.values.map(\.count) == [count])
    }
  }

  @Test(arguments: [nil, "third", "second"], [0, 0.5]) func sameBitsWithAndWithoutTheCache(_ unfreeze: String?, _ dropout: Double) throws {
    let without = try train(.off, unfreeze: unfreeze, dropout: dropout)
    #expect(try train(.memory(), unfreeze: unfreeze, dropout: dropout) == without)
    #expect(
      try train(.memory(), unfreeze: unfreeze, dropout: dropout, shuffled: false)
        == train(.off, unfreeze: unfreeze, dropout: dropout, shuffled: false))
    // No room but for a few rows: the others are computed each time.
    #expect(try train(.memory(budget: 200), unfreeze: unfreeze, dropout: dropout) == without)
    #expect(
      try train(.memory(), unfreeze: unfreeze, dropout: dropout, weighted: true)
        == train(.off, unfreeze: unfreeze, dropout: dropout, weighted: true))
  }

  /// A product over images has a row a pixel, and large batches are run in parts.
  @Test(arguments: [FeatureCaching.memory(), .memory(budget: 5 << 20)]) func featuresOfSeveralRowsASample(_ caching: FeatureCaching) throws
  {
    func run(_ caching: FeatureCaching) throws -> [[Float]] {
      let input = try Input(shape: [64, 64, 3])
      let x = try Conv2D(filters: 32, kernelSize: 3, padding: .same, activation: .relu)(input)
      let base = try Model(input, Dense(2)(Conv2D(filters: 32, kernelSize: (3, 3), strides: (2, 2), padding: .same)(x)))
      base.trainable = false
      let model = try Model(input, Dense(1)(Flatten()(base(input))))
      for (index, weight) in model.weights.enumerated() { try weight.assign(randomTensor(weight.shape, seed: UInt64(index + 30))) }
      try model.compile(optimizer: SGD(learningRate: 1e-6), loss: MeanSquaredError())
      var options = FitOptions()
      (options.epochs, options.cache) = (2, caching)
      let y = try Tensor((0..<96).map { Float($0 % 5) }, shape: [96, 1])
      _ = try model.fit(ArrayDataset(x: randomTensor([96, 64, 64, 3], seed: 3), y: y, batchSize: 64, seed: 7), options: options)
      let rowBytes = 4 * 2 * 32 * 32
      #expect(model.featureStores.values.allSatisfy { $0.rowBytes == rowBytes })
      return model.weights.map(\.values)
    }
    let kept = try run(caching)
    #expect(kept.last?.allSatisfy { $0.isFinite } == true)
    #expect(try run(.off) == kept)
  }

  private func part(_ model: Model, fixing: Bool = false) throws -> FrozenPart? {
    let moving = Set(model.trainableWeights.map { ObjectIdentifier($0) })
    return try FrozenPart(model, plastic: moving, training: true, fixing: fixing)
  }

  @Test func cutsBehindThePooling() throws {
    let (model, base) = try model()
    let prefix = try #require(try part(model)).prefix
    #expect(prefix.counts == [12], "the pooled features are the smallest place")
    #expect(prefix.variables.count == base.weights.count)
    // Nothing frozen, nothing kept.
    #expect(try part(self.model(frozen: false).0) == nil)
  }

  @Test func randomLayersBeforeTheBaseKeepNothing() throws {
    let (model, base) = try model()
    let input = try Input(shape: [8, 8, 3])
    let noisy = try Model(input, Dense(1)(GlobalAveragePooling2D()(base(Dropout(0.5)(input), training: false))))
    #expect(try part(noisy) == nil)
    _ = model
  }

  /// Features of two inputs through one base are told apart, though they are computed alike.
  @Test func twoInputsThroughOneBase() throws {
    let image = try Input(shape: [6, 6, 2])
    let base = try Model(image, GlobalAveragePooling2D()(Conv2D(filters: 5, kernelSize: 3, activation: .relu)(image)))
    base.trainable = false
    func run(_ caching: FeatureCaching) throws -> [[Float]] {
      let (a, b) = (try Input(shape: [6, 6, 2]), try Input(shape: [6, 6, 2]))
      let model = try Model(inputs: [a, b], outputs: [Dense(1)(Concatenate()([base(a), base(b)]))])
      try fill(model)
      try model.compile(optimizer: SGD(learningRate: 0.1), loss: MeanSquaredError())
      var options = FitOptions()
      (options.epochs, options.cache) = (3, caching)
      let inputs = [try randomTensor([11, 6, 6, 2], seed: 1), try randomTensor([11, 6, 6, 2], seed: 2)]
      _ = try model.fit(ArrayDataset(inputs: inputs, targets: [randomTensor([11, 1], seed: 3)], batchSize: 4), options: options)
      #expect(model.featureStores.count == (caching == .off ? 0 : 1))
      return model.weights.map(\.values)
    }
    #expect(try run(.memory()) == run(.off))
  }

  @Test func halfTheRoomInBFloat16() throws {
    func half(_ caching: FeatureCaching) -> FeatureCaching {
      var caching = caching
      caching.dtype = .bfloat16
      return caching
    }
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("xfer-features-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let kept = try train(half(.memory()))
    // Rounded whether it was kept, just computed, or read from a file.
    #expect(try train(half(.memory(budget: 200))) == kept)
    #expect(try train(half(.disk(folder: folder))) == kept)
    #expect(try train(half(.disk(folder: folder))) == kept)
    let whole = try train(.memory())
    #expect(kept != whole)
    let (rounded, exact) = (kept.history["loss"] ?? [], whole.history["loss"] ?? [])
    #expect(relativeError(rounded.map(Float.init), exact.map(Float.init)) < 1e-2)

    let (model, _) = try model()
    let (x, y) = try data()
    try model.compile(optimizer: SGD(), loss: BinaryCrossentropy(fromLogits: true))
    var options = FitOptions()
    options.cache = half(.memory())
    _ = try model.fit(ArrayDataset(x: x, y: y), options: options)
    #expect(model.featureStores.values.map(\.rowBytes) == [24])
  }

  /// To nearest, of two the even one; what is not finite stays so.
  @Test func roundingToBFloat16() {
    func rounded(_ value: Float) -> Float { Float(bitPattern: UInt32(value.bfloat16Bits) << 16) }
    #expect(rounded(1) == 1 && rounded(-0.15625) == -0.15625)
    #expect(rounded(1 + 0x1p-8) == 1 && rounded(1 + 3 * 0x1p-8) == 1 + 4 * 0x1p-8, "ties go to even")
    #expect(rounded(1 + 0x1p-8 + 0x1p-20) == 1 + 0x1p-7)
    #expect(rounded(.infinity) == .infinity && rounded(-.infinity) == -.infinity && rounded(.greatestFiniteMagnitude) == .infinity)
    #expect(rounded(.nan).isNaN && rounded(Float(bitPattern: 0x7F80_0001)).isNaN && rounded(Float(bitPattern: 0xFFFF_FFFF)).isNaN)
  }

  @Test func formsThatMakeNoSense() throws {
    let (model, _) = try model()
    let (x, y) = try data()
    try model.compile(optimizer: SGD(), loss: BinaryCrossentropy(fromLogits: true))
    for (change, word) in [
      ({ $0.dtype = .float16 }, "float16"), ({ $0.variants = 0 }, "cache_variants"), ({ ($0.place, $0.variants) = (.off, 2) }, "off"),
      ({ ($0.place, $0.dtype) = (.off, .bfloat16) }, "off"),
    ] as [((inout FeatureCaching) -> Void, String)] {
      var options = FitOptions()
      change(&options.cache)
      let error = #expect(throws: XferError.self) { try model.fit(ArrayDataset(x: x, y: y), options: options) }
      #expect(error?.status == XFER_E_INVALID_ARGUMENT && error?.message.contains(word) == true)
    }
  }

  @Test func changedWeightsMakeNewFeatures() throws {
    let (x, y) = try data()
    func run(_ caching: FeatureCaching) throws -> [Double] {
      let (model, base) = try model()
      try model.compile(optimizer: SGD(learningRate: 0.1), loss: BinaryCrossentropy(fromLogits: true))
      var options = FitOptions()
      options.cache = caching
      var losses = try model.fit(ArrayDataset(x: x, y: y), options: options).values["loss"] ?? []
      try base.weights[0].assign(randomTensor(base.weights[0].shape, seed: 77))
      losses += try model.fit(ArrayDataset(x: x, y: y), options: options).values["loss"] ?? []
      return losses
    }
    #expect(try run(.memory()) == run(.off))
  }

  @Test func onDiskAcrossRunsAndAccidents() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("xfer-features-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let without = try train(.off)
    #expect(try train(.disk(folder: folder)) == without)
    let name = try #require(try FileManager.default.contentsOfDirectory(atPath: folder).first)
    let path = "\(folder)/\(name)"
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    #expect(whole.count == 64 + 22 * (32 + 64), "one record a sample, those of validation among them")
    #expect(try train(.disk(folder: folder)) == without)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == whole, "nothing was computed again")
    // Cut short in the middle of a record, damaged, and no such file at all.
    try whole.prefix(64 + 7 * 96 + 11).write(to: URL(fileURLWithPath: path))
    #expect(try train(.disk(folder: folder)) == without)
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count == whole.count)
    var damaged = whole
    damaged[64 + 3 * 96 + 40] ^= 1
    try damaged.write(to: URL(fileURLWithPath: path))
    #expect(try train(.disk(folder: folder)) == without)
    try Data("no features".utf8).write(to: URL(fileURLWithPath: path))
    #expect(try train(.disk(folder: folder)) == without)
  }

  @Test func eachSampleRunsThroughTheBaseOnce() throws {
    // A function of the program's own in the base counts its samples; it is no part of the prefix, but what lies before it is.
    let (x, y) = try data()
    let (model, _) = try model()
    try model.compile(optimizer: Adam(), loss: BinaryCrossentropy(fromLogits: true))
    var options = FitOptions()
    options.epochs = 3
    let set = try ArrayDataset(x: x, y: y, batchSize: 5, seed: 1)
    _ = try model.fit(set, options: options)
    let store = try #require(model.featureStores.values.first)
    #expect(store.count == 22 && store.rowBytes == 48)
    // The next fit finds them.
    try model.compile(optimizer: Adam(), loss: BinaryCrossentropy(fromLogits: true))
    _ = try model.fit(set, options: options)
    #expect(model.featureStores.count == 1 && model.featureStores.values.first === store && store.count == 22)
  }
}
