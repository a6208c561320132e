import CXfer
import Foundation
import Synchronization
import Testing
import XferCore
@testable import Xfer

/// What a model is warned of, and what not.
@Suite(.serialized) struct LintTests {
  private func data(_ count: Int = 12, labels: [Float] = [0, 1]) throws -> ArrayDataset {
    let x = try randomTensor([count, 6], seed: 8)
    let y = try Tensor((0..<count).map { labels[$0 % labels.count] }, shape: [count, 1])
    return try ArrayDataset(x: x, y: y, batchSize: 4, seed: nil)
  }

  private func base(loaded: Bool) throws -> Model {
    let input = try Input(shape: [6])
    let base = try Model(input, BatchNormalization(name: "bn")(Dense(5, name: "d")(input)), name: "base")
    try fill(base)
    guard loaded else { return base }
    let folder = try TemporaryFolder()
    try base.saveWeights(folder.file("w.safetensors"))
    try base.loadWeights(folder.file("w.safetensors"))
    return base
  }

  private func network(_ base: Model, training: Bool? = nil) throws -> Model {
    let start = try Input(shape: [6])
    let x = try training.map { try base(start, training: $0) } ?? base(start)
    return try Model(start, Dense(1, name: "top")(x))
  }

  private func fit(
    _ model: Model, _ optimizer: Optimizer, _ data: ArrayDataset? = nil, loss: Loss = BinaryCrossentropy(fromLogits: true),
    metrics: [Metric] = []
  ) throws -> Set<Lint.Finding> {
    try model.compile(optimizer: optimizer, loss: loss, metrics: metrics)
    _ = try model.fit(data ?? self.data())
    return model.warned
  }

  @Test func thresholdsOfLogits() throws {
    let logits = BinaryCrossentropy(fromLogits: true)
    func found(_ loss: Loss, _ metric: Metric) throws -> Bool {
      try fit(network(base(loaded: false)), SGD(), loss: loss, metrics: [metric]).contains(.threshold)
    }
    #expect(try found(logits, BinaryAccuracy()))
    #expect(try found(logits, Metric.make("accuracy")))
    #expect(try !found(logits, BinaryAccuracy(threshold: 0)))
    #expect(try !found(MeanSquaredError(), BinaryAccuracy()))
  }

  @Test(arguments: [(1e-3, true, true), (1.1e-4, true, true), (1e-4, true, false), (1e-5, true, false), (1e-3, false, false)])
  func ratesOfPretrainedLayers(_ rate: Double, _ loaded: Bool, _ wanted: Bool) throws {
    #expect(try fit(network(base(loaded: loaded), training: false), Adam(learningRate: rate)).contains(.fastFineTuning) == wanted)
  }

  @Test func ratesThatAreFine() throws {
    // Frozen, slowed down by a multiplier, of an optimizer with another scale, or of a model that is trained on as a whole.
    let frozen = try base(loaded: true)
    frozen.trainable = false
    #expect(try !fit(network(frozen), Adam(learningRate: 1e-3)).contains(.fastFineTuning))
    let slow = try Adam(learningRate: 1e-3)
    slow.learningRateMultipliers = [("d/*", 0.01), ("bn/*", 0.01)]
    #expect(try !fit(network(base(loaded: true)), slow).contains(.fastFineTuning))
    #expect(try !fit(network(base(loaded: true)), SGD(learningRate: 1e-2)).contains(.fastFineTuning))
    let folder = try TemporaryFolder()
    let whole = try network(base(loaded: false))
    try whole.saveWeights(folder.file("w.safetensors"))
    try whole.loadWeights(folder.file("w.safetensors"))
    #expect(try !fit(whole, Adam(learningRate: 1e-3)).contains(.fastFineTuning))
  }

  @Test func statisticsOfFewSamples() throws {
    func found(_ model: Model, _ data: ArrayDataset) throws -> Bool {
      try fit(model, Adam(learningRate: 1e-5), data).contains(.batchStatistics)
    }
    #expect(try found(network(base(loaded: true)), data()))
    #expect(try !found(network(base(loaded: true), training: false), data()))
    #expect(try !found(network(base(loaded: false)), data()))
    #expect(try !found(network(base(loaded: true)), data(1000)))
    let frozen = try base(loaded: true)
    frozen.trainable = false
    #expect(try !found(network(frozen), data()))
  }

  @Test func labelsOutOfRange() throws {
    func found(_ labels: [Float], _ loss: Loss) throws -> Bool {
      try fit(network(base(loaded: false)), SGD(), data(labels: labels), loss: loss).contains(.labels)
    }
    let logits = BinaryCrossentropy(fromLogits: true)
    #expect(try found([0, 1, 2], logits))
    #expect(try found([-1, 1], logits))
    #expect(try !found([0, 1], logits))
    #expect(try !found([0.25, 1], logits))
    #expect(try !found([-1, 1], Hinge()))
    #expect(try !found([0, 7], MeanSquaredError()))
  }

  @Test func augmentationThatIsOff() throws {
    func model(inside: Bool, training: Bool?) throws -> Model {
      let input = try Input(shape: [4, 4, 3])
      let flip = try LayerRegistry.make("RandomFlip", config: ["seed": 1, "name": "flip"])
      let x = try inside ? flip(input) : input
      let base = try Model(input, Dense(2)(Flatten()(x)), name: "base")
      base.trainable = false
      let start = try Input(shape: [4, 4, 3])
      let y = try inside ? start : flip(start)
      return try Model(start, Dense(1)(training.map { try base(y, training: $0) } ?? base(y)))
    }
    let data = try ArrayDataset(x: randomTensor([4, 4, 4, 3], seed: 1), y: Tensor([0, 1, 0, 1], shape: [4, 1]))
    for (inside, training, wanted) in [(true, false, true), (true, nil, false), (false, false, false)] as [(Bool, Bool?, Bool)] {
      let model = try model(inside: inside, training: training)
      try model.compile(optimizer: SGD(), loss: MeanSquaredError(), metrics: [])
      _ = try model.fit(data)
      #expect(model.warned.contains(.silentAugmentation) == wanted)
    }
  }

  // MARK: The channel

  /// Lines with a text in them, of those that come while `body` runs; other tests may say something at the same time.
  private func lines(_ text: String, _ body: () throws -> Void) rethrows -> [String] {
    let heard = Heard()
    setLogHandler { _, message in if message.contains(text) { heard.list.withLock { $0.append(message) } } }
    defer { setLogHandler(nil) }
    try body()
    return heard.list.withLock { $0 }
  }

  private final class Heard: Sendable { let list = Mutex<[String]>([]) }

  @Test func onceAModel() throws {
    let input = try Input(shape: [6])
    let base = try Model(input, BatchNormalization(name: "bn_of_this_test")(input))
    for weight in base.weights { weight.markLoaded() }
    let model = try network(base)
    let said = try lines("bn_of_this_test") {
      for _ in 0..<2 {
        try model.compile(optimizer: Adam(learningRate: 1e-5), loss: BinaryCrossentropy(fromLogits: true), metrics: [])
        for _ in 0..<2 { _ = try model.fit(data()) }
      }
    }
    #expect(said.count == 1 && said[0].contains("training=False"))
  }

  @Test func classesThatASplitLeftOut() throws {
    let folder = try TemporaryFolder()
    for name in ["cat", "dog"] {
      try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: true)
      for index in 0..<(name == "cat" ? 8 : 2) { try folder.write([0], "\(name)/\(index).png") }
    }
    var options = ImageFolderOptions()
    options.shuffle = false
    options.seed = 1
    for (split, subset, wanted) in [
      (0.2, ImageFolderOptions.Subset.training, 1), (0.2, .training, 0), (0.2, .validation, 1), (0.9, .validation, 0),
    ] {
      (options.validationSplit, options.subset) = (split, subset)
      let said = try lines(folder.path) { _ = try ImageFolderDataset(folder.path, options) }
      #expect(said.count == wanted && said.allSatisfy { $0.contains(subset.rawValue) }, "\(split) \(subset)")
    }
  }
}
