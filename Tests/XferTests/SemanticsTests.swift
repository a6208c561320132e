import CXfer
import Foundation
import Testing
import XferCore
@testable import Xfer

/// Keras' semantics, point by point.
@Suite(.serialized) struct SemanticsTests {
  private func values(_ layer: Layer) -> [[Float]] { layer.weights.map(\.values) }

  /// A small network with a batch normalization between two dense layers.
  private func network() throws -> (model: Model, base: Model, head: Dense) {
    let input = try Input(shape: [6])
    let inner = try Input(shape: [6])
    let base = try Model(inner, BatchNormalization()(Dense(5, activation: .relu)(inner)))
    let head = Dense(1)
    let model = try Model(input, head(base(input, training: false)))
    try fill(model)
    return (model, base, head)
  }

  private func data(_ count: Int = 20) throws -> (x: Tensor, y: Tensor) {
    let x = try randomTensor([count, 6], seed: 5)
    let y = try Tensor((0..<count).map { x.floats[$0 * 6] > 0 ? 1 : 0 }, shape: [count, 1])
    return (x, y)
  }

  @Test func point1TrainableRecurses() throws {
    let (model, base, _) = try network()
    model.trainable = false
    #expect(!base.trainable && !base.layers.contains { $0.trainable })
    model.trainable = true
    #expect(!model.allLayers.contains { !$0.trainable })
    #expect(throws: XferError.self) { try LayerRegistry.make("Dense", config: ["units": 3, "trainable": 1]) }
    let frozen = try LayerRegistry.make("Dense", config: ["units": 3, "trainable": false])
    #expect(!frozen.trainable)
  }

  @Test func point2WeightCounts() throws {
    let dense = Dense(3)
    try dense.buildIfNeeded([[nil, 4]])
    #expect((dense.weights.count, dense.trainableWeights.count, dense.nonTrainableWeights.count) == (2, 2, 0))
    dense.trainable = false
    #expect((dense.weights.count, dense.trainableWeights.count, dense.nonTrainableWeights.count) == (2, 0, 2))
    let norm = BatchNormalization()
    try norm.buildIfNeeded([[nil, 4]])
    #expect(norm.trainableWeights.map(\.name) == ["gamma", "beta"])
    #expect(norm.nonTrainableWeights.map(\.name) == ["moving_mean", "moving_variance"])
    norm.trainable = false
    #expect(norm.nonTrainableWeights.map(\.name) == ["gamma", "beta", "moving_mean", "moving_variance"])
  }

  @Test func point3FrozenParentHidesChildren() throws {
    let (model, base, _) = try network()
    model.trainable = false
    base.layers[1].trainable = true
    #expect(model.trainableWeights.isEmpty)
    let sequential = try Sequential([InputLayer(shape: [4]), Dense(2)])
    sequential.trainable = false
    let added = Dense(3)
    try sequential.add(added)
    #expect(added.trainable && sequential.trainableWeights.isEmpty && sequential.weights.count == 4)
  }

  @Test func point4WeightsWithoutSeeds() throws {
    let dropout = Dropout(0.5)
    try dropout.buildIfNeeded([[nil, 4]])
    #expect(dropout.weights.isEmpty)
  }

  @Test func point6ExplicitTrainingWins() throws {
    let (model, base, _) = try network()
    let (x, y) = try data()
    let before = base.nonTrainableWeights.map(\.values)
    try model.compile(optimizer: Adam(learningRate: 0.01), loss: BinaryCrossentropy(fromLogits: true), metrics: [])
    _ = try model.fit(ArrayDataset(x: x, y: y, batchSize: 5))
    #expect(base.nonTrainableWeights.map(\.values) == before, "training=False inside keeps the moving statistics, unfrozen as well")
  }

  @Test func point7AllFrozenFitChangesNothing() throws {
    let (model, _, _) = try network()
    let (x, y) = try data()
    model.trainable = false
    let before = values(model)
    try model.compile(optimizer: Adam(), loss: BinaryCrossentropy(fromLogits: true), metrics: [BinaryAccuracy(threshold: 0)])
    let history = try model.fit(ArrayDataset(x: x, y: y))
    #expect(values(model) == before)
    #expect(history.values["loss"]?.count == 1)
  }

  @Test func point8StaleTrainableIsAnError() throws {
    let (model, base, _) = try network()
    let (x, y) = try data()
    base.trainable = false
    try model.compile(optimizer: Adam(), loss: BinaryCrossentropy(fromLogits: true))
    base.trainable = true
    let error = #expect(throws: XferError.self) { try model.fit(ArrayDataset(x: x, y: y)) }
    #expect(error?.status == XFER_E_STALE_TRAINABLE)
    #expect(error?.message.contains(base.name) == true && error?.message.contains("compile()") == true)
    #expect(throws: XferError.self) { try model.trainOnBatch(Batch(x: x, y: y)) }
    _ = try model.predict(x)
    var options = FitOptions()
    options.recompileStale = true
    let before = values(base)
    _ = try model.fit(ArrayDataset(x: x, y: y), options: options)
    #expect(values(base) != before)
  }

  @Test func point9BatchNormalizationStatistics() throws {
    let x = try randomTensor([64, 3], seed: 8, scale: 2, offset: 5)
    let norm = BatchNormalization()
    _ = try norm(x, training: true)
    let column = (0..<64).map { Double(x.floats[$0 * 3]) }
    let mean = column.reduce(0, +) / 64
    let biased = column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 64
    #expect(abs(Double(norm.weights[2].values[0]) - 0.01 * mean) < 1e-6)
    #expect(abs(Double(norm.weights[3].values[0]) - (0.99 + 0.01 * biased)) < 1e-5)
    let moved = values(norm)
    norm.trainable = false
    let frozen = try norm(x, training: true)
    #expect(values(norm) == moved, "a frozen BatchNormalization runs in inference mode")
    let inference = try norm(x, training: false)
    #expect(frozen.floats == inference.floats)
  }

  @Test func point10RecompilingAndOptimizerReuse() throws {
    let (model, base, _) = try network()
    let (x, y) = try data()
    base.trainable = false
    let adam = try Adam()
    try model.compile(optimizer: adam, loss: BinaryCrossentropy(fromLogits: true), metrics: [BinaryAccuracy(threshold: 0)])
    _ = try model.fit(ArrayDataset(x: x, y: y, batchSize: 10))
    #expect(adam.iterations == 2)
    let before = values(model)
    base.trainable = true
    try model.compile(optimizer: adam, loss: BinaryCrossentropy(fromLogits: true))
    #expect(values(model) == before)
    let error = #expect(throws: XferError.self) { try model.fit(ArrayDataset(x: x, y: y)) }
    #expect(error?.message.contains("rebind") == true)
    try adam.rebind(model.trainableWeights, keepSlots: true)
    _ = try model.fit(ArrayDataset(x: x, y: y, batchSize: 10))
    #expect(adam.iterations == 4)
    let fresh = try Adam()
    try model.compile(optimizer: fresh, loss: BinaryCrossentropy(fromLogits: true))
    #expect(fresh.iterations == 0 && model.trainer?.metrics.count == 1, "point 11: metrics of the previous compile stay")
  }

  @Test func point12AdamGolden() throws {
    let weight = Variable(name: "w", path: "w", tensor: try Tensor([2]))
    try Adam().apply([Tensor([1e-6])], to: [weight])
    #expect(abs(weight.values[0] - 1.9997598) < 2e-7)
  }

  @Test func point14BinaryCrossentropy() throws {
    let loss = BinaryCrossentropy(fromLogits: true)
    let z: [Float] = [-2, 0.5, 3, -0.1]
    let t: [Float] = [0, 1, 0, 1]
    let expected: [Double] = zip(z, t).map { logit, truth in
      let (logit, truth) = (Double(logit), Double(truth))
      let rectified = max(logit, 0) - logit * truth
      return rectified + log1p(exp(-abs(logit)))
    }
    let value = try loss(Tensor(t, shape: [4, 1]), Tensor(z, shape: [4, 1]))
    let mean = expected.reduce(0, +) / 4
    #expect(abs(Double(value.floats[0]) - mean) < 1e-6)
    let weighted = try loss(Tensor(t, shape: [4]), Tensor(z, shape: [4, 1]), sampleWeight: Tensor([1, 0, 2, 0]))
    let wanted = (expected[0] + 2 * expected[2]) / 4
    #expect(abs(Double(weighted.floats[0]) - wanted) < 1e-6, "Σ(w·l)/N, and (n,) aligns with (n,1)")
    let clipped = try BinaryCrossentropy()(Tensor([1], shape: [1, 1]), Tensor([0], shape: [1, 1]))
    #expect(abs(clipped.floats[0] + Float(log(1e-7))) < 1e-3)
  }

  /// Keras on TensorFlow finds the logits behind a model's own sigmoid or softmax: what is wrong beyond any clipping has its loss and gradient.
  @Test(arguments: [true, false], [FeatureCaching.off, .memory()])
  func point14SaturatedHeadsKeepTheirGradient(binary: Bool, caching: FeatureCaching) throws {
    let input = try Input(shape: [1])
    let frozen = Dense(1, useBias: false, kernelInitializer: .ones)
    let head = Dense(binary ? 1 : 2, activation: binary ? .sigmoid : .softmax, useBias: false)
    let model = try Model(input, head(frozen(input)))
    frozen.trainable = false
    try head.weights[0].assign(Tensor(binary ? [1] : [1, 0], shape: [1, binary ? 1 : 2]))
    try model.compile(
      optimizer: SGD(learningRate: 0.01), loss: binary ? BinaryCrossentropy() : SparseCategoricalCrossentropy(),
      metrics: [Metric.make(binary ? "BinaryCrossentropy" : "SparseCategoricalCrossentropy", config: ["name": "metric"])])
    var options = FitOptions()
    (options.verbose, options.cache) = (0, caching)
    // Every sample lies 40 on the wrong side.
    let labels = binary ? try Tensor([0, 1] as [Float], shape: [2, 1]) : try Tensor([1, 0] as [Float], shape: [2])
    let history = try model.fit(ArrayDataset(x: Tensor([40, -40], shape: [2, 1]), y: labels), options: options)
    #expect(history.values["loss"] == [40] && history.values["metric"] == [40])
    #expect(zip(head.weights[0].values, binary ? [0.6] : [0.6, 0.4]).allSatisfy { abs($0 - $1) < 1e-6 })
    #expect(frozen.weights[0].values == [1])
  }

  @Test func point15BinaryAccuracyThreshold() throws {
    let accuracy = BinaryAccuracy()
    try accuracy.update(Tensor([1, 1, 0, 0]), Tensor([0.3, 0.6, 0.5, 0.6], shape: [4, 1]))
    #expect(accuracy.result == 0.5, "0.5 is the default threshold, also for logits; equal does not count as above")
  }

  @Test func point17EpochLossIsWeightedByBatchSize() throws {
    let (model, base, head) = try network()
    base.trainable = false
    head.trainable = false
    let (x, y) = try data(10)
    try model.compile(optimizer: Adam(), loss: BinaryCrossentropy(fromLogits: true))
    let whole = try model.evaluate(ArrayDataset(x: x, y: y, batchSize: 10))["loss"] ?? .nan
    let parts = try model.evaluate(ArrayDataset(x: x, y: y, batchSize: 7))["loss"] ?? .nan
    #expect(abs(whole - parts) < 1e-6)
  }

  @Test func point18LastPartialBatchIsKept() throws {
    let (x, y) = try data(10)
    let batches = try ArrayDataset(x: x, y: y, batchSize: 4)
    try batches.restart(epoch: 0)
    var sizes: [Int] = []
    while let batch = try batches.next() { sizes.append(batch.count) }
    #expect(sizes == [4, 4, 2])
  }

  @Test func point19ShufflingIsReproducible() throws {
    let (x, y) = try data(10)
    func firsts(_ seed: UInt64, _ epoch: Int) throws -> [Float] {
      let batches = try ArrayDataset(x: x, y: y, batchSize: 10, seed: seed)
      try batches.restart(epoch: epoch)
      let batch = try #require(try batches.next())
      return stride(from: 0, to: 60, by: 6).map { batch.x.floats[$0] }
    }
    let first = try firsts(1, 0)
    let (again, next, other) = (try firsts(1, 0), try firsts(1, 1), try firsts(2, 3))
    #expect(first == again && first != next && first.sorted() == other.sorted())
  }

  @Test func point22ProgressNumbers() {
    #expect(ProgressBar.format(0.69314) == "0.6931")
    #expect(ProgressBar.format(0.001) == "1.0000e-03")
    #expect(ProgressBar.format(0.00012345) == "1.2345e-04")
    #expect(ProgressBar.elapsed(7.2, 2) == "7s 3s/step")
    #expect(ProgressBar.elapsed(7.2, 2, " - ") == "7s - 3s/step")
  }

  @Test func point26DropoutScales() throws {
    let dropout = Dropout(0.25, seed: 4)
    let ones = try Tensor(Array(repeating: 1, count: 40_000), shape: [4, 10_000])
    let first = try dropout(ones, training: true).floats
    #expect(Set(first) == [0, Float(4) / 3])
    #expect(abs(first.reduce(0, +) / 40_000 - 1) < 0.02)
    let (second, off) = (try dropout(ones, training: true).floats, try dropout(ones, training: false).floats)
    #expect(second != first, "each call draws anew")
    #expect(off == ones.floats)
  }

  @Test func frozenWeightsAreBitEqualAfterFit() throws {
    let (model, base, head) = try network()
    base.trainable = false
    let (frozen, moving) = (values(base), values(head))
    let (x, y) = try data()
    try model.compile(optimizer: SGD(learningRate: 0.1, momentum: 0.9), loss: BinaryCrossentropy(fromLogits: true))
    var options = FitOptions()
    options.epochs = 3
    let history = try model.fit(ArrayDataset(x: x, y: y, batchSize: 8, seed: 1), options: options)
    #expect(values(base) == frozen && values(head) != moving)
    let losses = history.values["loss"] ?? []
    #expect(losses.count == 3 && losses[2] < losses[0])
  }

  @Test func tapeAndTrainOnBatchAgreeBitForBit() throws {
    let (x, y) = try data()
    func run(_ tape: Bool) throws -> [[Float]] {
      let (model, base, _) = try network()
      base.trainable = true
      let (adam, loss) = (try Adam(learningRate: 0.01), BinaryCrossentropy(fromLogits: true))
      if !tape { try model.compile(optimizer: adam, loss: loss) }
      for _ in 0..<4 {
        if tape {
          let tape = GradientTape()
          let value = try loss(y, model(x, training: true, tape: tape), tape: tape)
          try adam.apply(tape.gradient(value, model.trainableWeights), to: model.trainableWeights)
        } else {
          _ = try model.trainOnBatch(Batch(x: x, y: y))
        }
      }
      return values(model)
    }
    let (taped, compiled) = (try run(true), try run(false))
    #expect(taped == compiled)
  }

  @Test func aTapeGivesGradientsAgain() throws {
    let (model, base, _) = try network()
    base.trainable = true
    let (x, y) = try data()
    let tape = GradientTape()
    let prediction = try model(x, training: true, tape: tape)
    let first = try BinaryCrossentropy(fromLogits: true)(y, prediction, tape: tape)
    let second = try BinaryCrossentropy(fromLogits: true, labelSmoothing: 0.5)(y, prediction, tape: tape)
    func gradients(_ target: Tensor) throws -> [[Float]] { try tape.gradient(target, model.trainableWeights).compactMap { $0?.floats } }
    let (once, other, again) = (try gradients(first), try gradients(second), try gradients(first))
    #expect(once == again && once != other && once.count == model.trainableWeights.count)
  }
}
