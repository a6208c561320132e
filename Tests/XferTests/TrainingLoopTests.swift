import CXfer
import Foundation
import Testing
import XferCore
@testable import Xfer

/// The numbers of Tests/goldens/training_loop.py.
private func golden(_ key: String) throws -> JSONValue {
  let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(
    path: "goldens/training_loop.json")
  return try #require(JSONValue(parsing: Data(contentsOf: path), what: path.path)[key])
}

private func wave(_ shape: [Int], _ phase: Float, scale: Float = 1, offset: Float = 0) throws -> Tensor {
  try Tensor((0..<shape.reduce(1, *)).map { offset + scale * Float(sin(0.7 * Double($0) + Double(phase))) }, shape: shape)
}

private func fillWithWaves(_ model: Model) throws {
  for (index, weight) in model.weights.enumerated() { try weight.assign(wave(weight.shape, Float(index) + 1, scale: 0.5)) }
}

private func signs(_ tensor: Tensor) throws -> Tensor { try Tensor(tensor.floats.map { $0 > 0 ? 1 : 0 }, shape: tensor.shape) }

@Suite(.serialized) struct TrainingLoopTests {
  /// Two inputs, two outputs.
  private func several() throws -> Model {
    let (a, b) = (try Input(shape: [3], name: "a"), try Input(shape: [2], name: "b"))
    let z = try Concatenate(name: "z")([Dense(4, activation: .relu, name: "h")(a), b])
    let model = try Model(inputs: [a, b], outputs: [Dense(1, name: "p")(z), Dense(3, name: "q")(z)])
    try fillWithWaves(model)
    return model
  }

  private func single(_ rate: Double = 0.1, metrics: [Metric]? = nil) throws -> Model {
    let model = try Sequential([InputLayer(shape: [3]), Dense(1, name: "p")])
    try fillWithWaves(model)
    try model.compile(optimizer: SGD(learningRate: rate), loss: BinaryCrossentropy(fromLogits: true), metrics: metrics)
    return model
  }

  private func data(_ count: Int = 10) throws -> (x: Tensor, y: Tensor) { (try wave([count, 3], 0.1), try signs(wave([count, 1], 0.3))) }

  private func expect(_ history: History, _ golden: JSONValue?) throws {
    let wanted = try #require(golden?.objectValue)
    #expect(Set(history.values.keys) == Set(wanted.keys))
    for (name, values) in wanted {
      let numbers = values.arrayValue?.compactMap(\.doubleValue) ?? []
      let found = history.values[name] ?? []
      #expect(
        found.count == numbers.count && zip(found, numbers).allSatisfy { abs($0 - $1) < 2e-5 }, "\(name): \(found), Keras has \(numbers)")
    }
  }

  private func expectSums(_ model: Model, _ golden: JSONValue?) {
    let wanted = golden?.arrayValue?.compactMap(\.doubleValue) ?? []
    let sums = model.weights.map { $0.values.reduce(0.0) { $0 + Double($1) } }
    #expect(sums.count == wanted.count && zip(sums, wanted).allSatisfy { abs($0 - $1) < 2e-5 }, "\(sums), Keras has \(wanted)")
  }

  // MARK: Lifetimes

  @Test func aCompiledModelIsFreed() throws {
    weak var freed: Model?
    weak var layer: Layer?
    do {
      let model = try single()
      let (x, y) = try data()
      _ = try model.fit(ArrayDataset(x: x, y: y, batchSize: 4))
      _ = try model.predict(x)
      (freed, layer) = (model, model.layers.last)
    }
    #expect(freed == nil && layer == nil)
  }

  @Test func aTrainerOutlivingItsModelGivesErrors() throws {
    let (x, y) = try data()
    let trainer = try {
      let model = try single()
      return try #require(model.trainer)
    }()
    let error = #expect(throws: XferError.self) { try trainer.fit(ArrayDataset(x: x, y: y)) }
    #expect(error?.status == XFER_E_STATE && error?.message.contains("model is gone") == true)
    #expect(throws: XferError.self) { try trainer.trainOnBatch(Batch(x: x, y: y)) }
    #expect(throws: XferError.self) { try trainer.testOnBatch(Batch(x: x, y: y)) }
  }

  // MARK: Several inputs and outputs

  @Test func severalOutputsAsInKeras() throws {
    let model = try several()
    let names = try model.compile(
      optimizer: SGD(learningRate: 0.1),
      outputs: [
        CompiledOutput("p", loss: BinaryCrossentropy(fromLogits: true), lossWeight: 1, metrics: [BinaryAccuracy(threshold: 0)]),
        CompiledOutput(
          "q", loss: SparseCategoricalCrossentropy(fromLogits: true), lossWeight: 0.5, metrics: [SparseCategoricalAccuracy(name: "acc")],
          weightedMetrics: [SparseCategoricalAccuracy(name: "acc")]),
      ]
    ).logNames
    #expect(names == ["loss", "p_loss", "q_loss", "p_binary_accuracy", "q_acc", "q_weighted_acc"])
    let inputs = [try wave([10, 3], 0.1), try wave([10, 2], 0.2)]
    let targets = [try signs(wave([10, 1], 0.3)), try Tensor(labels: (0..<10).map { Int32($0 % 3) })]
    let weights = [try wave([10], 0.4, scale: 0.5, offset: 1), try wave([10], 0.5, scale: 0.5, offset: 1)]
    let train = try ArrayDataset(inputs: inputs, targets: targets, sampleWeights: weights, batchSize: 4)
    var options = FitOptions()
    options.epochs = 3
    options.validation = try ArrayDataset(inputs: inputs, targets: targets, batchSize: 32)
    let history = try model.fit(train, options: options)
    let golden = try golden("several")
    try expect(history, golden["history"])
    expectSums(model, golden["weights"])
    let figures = try model.evaluate(train)
    let wanted = golden["evaluate"]?.arrayValue?.compactMap(\.doubleValue) ?? []
    #expect(figures.names == names && zip(figures.items, wanted).allSatisfy { abs($0.value - $1) < 2e-5 } && wanted.count == 6)
    let predictions = try model.predictAll(ArrayDataset(inputs: inputs, batchSize: 3))
    #expect(predictions.map(\.shape) == [[10, 1], [10, 3]])
    let whole = try model.all(inputs)
    #expect(predictions[1].floats == whole[1].floats)
  }

  @Test func anOutputMayGoUntrained() throws {
    let model = try several()
    let before = model.layers.first { $0.name == "q" }?.weights.map(\.values)
    let trainer = try model.compile(
      optimizer: SGD(learningRate: 0.1),
      outputs: [CompiledOutput("p", loss: BinaryCrossentropy(fromLogits: true)), CompiledOutput("q", loss: nil)])
    #expect(trainer.logNames == ["loss"])
    let inputs = [try wave([4, 3], 0.1), try wave([4, 2], 0.2)]
    let logs = try model.trainOnBatch(Batch(inputs: inputs, targets: [signs(wave([4, 1], 0.3))]))
    #expect(logs.names == ["loss"])
    #expect(model.layers.first { $0.name == "q" }?.weights.map(\.values) == before)
    #expect(throws: XferError.self) { try model.trainOnBatch(Batch(inputs: inputs)) }
    #expect(throws: XferError.self) { try model.trainOnBatch(Batch(inputs: inputs, targets: [nil, nil])) }
    #expect(throws: XferError.self) {
      try model.compile(optimizer: SGD(), outputs: [CompiledOutput("p", loss: nil), CompiledOutput("q", loss: nil)])
    }
  }

  // MARK: Points

  @Test func point11MetricsOfThePreviousCompileStay() throws {
    let model = try several()
    let (sgd, loss) = (try SGD(learningRate: 0.1), SparseCategoricalCrossentropy(fromLogits: true))
    try model.compile(
      optimizer: sgd,
      outputs: [CompiledOutput("p", loss: BinaryCrossentropy()), CompiledOutput("q", loss: loss, metrics: [SparseCategoricalAccuracy()])])
    let kept = try model.compile(
      optimizer: SGD(), outputs: [CompiledOutput("p", loss: BinaryCrossentropy()), CompiledOutput("q", loss: loss)], keepMetrics: true)
    #expect(kept.logNames.last == "q_sparse_categorical_accuracy")
    let dropped = try model.compile(
      optimizer: SGD(), outputs: [CompiledOutput("p", loss: BinaryCrossentropy()), CompiledOutput("q", loss: loss)])
    #expect(dropped.logNames == ["loss", "p_loss", "q_loss"])
  }

  @Test func point16WeightsOfClassesAndMetrics() throws {
    let model = try Sequential([InputLayer(shape: [3]), Dense(1, name: "p")])
    try fillWithWaves(model)
    try model.compile(
      optimizer: SGD(learningRate: 0.1),
      outputs: [
        CompiledOutput(
          "p", loss: BinaryCrossentropy(fromLogits: true), metrics: [BinaryAccuracy(threshold: 0)],
          weightedMetrics: [BinaryAccuracy(threshold: 0)])
      ])
    let (x, y) = try data()
    var options = FitOptions()
    options.epochs = 3
    options.classWeight = [0: 2.5]
    let history = try model.fit(ArrayDataset(x: x, y: y, batchSize: 4), options: options)
    let golden = try golden("classes")
    try expect(history, golden["history"])
    expectSums(model, golden["weights"])
  }

  @Test func point18StepsAndValidationFrequency() throws {
    let (x, y) = try data()
    var calls: [String] = []
    func run(_ change: (inout FitOptions) -> Void) throws -> History {
      calls = []
      var options = FitOptions()
      options.callbacks = [FunctionCallback { event, index, _, state in calls.append("\(event)\(state.epoch).\(index)") }]
      change(&options)
      return try single().fit(ArrayDataset(x: x, y: y, batchSize: 3), options: options)
    }
    let none = try run { $0.epochs = 0 }
    #expect(none.epochs.isEmpty && calls == ["trainBegin0.0", "trainEnd0.0"])
    let steps = try run { ($0.epochs, $0.stepsPerEpoch) = (2, 2) }
    #expect(
      steps.epochs == [0, 1] && calls.filter { $0.hasPrefix("batchEnd") } == ["batchEnd0.0", "batchEnd0.1", "batchEnd1.0", "batchEnd1.1"])
    let late = try run { ($0.epochs, $0.initialEpoch) = (5, 3) }
    #expect(late.epochs == [3, 4])
    let validated = try run {
      ($0.epochs, $0.validationFrequency) = (4, .every(2))
      $0.validation = try? ArrayDataset(x: x, y: y)
    }
    #expect(validated.values["val_loss"]?.count == 2 && calls.filter { $0.hasPrefix("testBegin") } == ["testBegin1.0", "testBegin3.0"])
    let listed = try run {
      ($0.epochs, $0.validationFrequency, $0.validationSteps) = (4, .epochs([1, 4]), 1)
      $0.validation = try? ArrayDataset(x: x, y: y, batchSize: 2)
    }
    #expect(
      listed.values["val_loss"]?.count == 2 && calls.filter { $0.hasPrefix("testBatchEnd") } == ["testBatchEnd0.0", "testBatchEnd3.0"])
  }

  /// Four batches in epochs of three steps: the second epoch goes on with the fourth, and runs out.
  @Test func stepsGoOnWhereTheEpochBeforeEnded() throws {
    let (x, y) = try data(8)
    let feed = EpochFeed(try ArrayDataset(x: x, y: y, batchSize: 2), steps: 3)
    func firsts(_ epoch: Int) throws -> [Float] {
      try feed.begin(epoch: epoch)
      var result: [Float] = []
      while let batch = try feed.next() { result.append(batch.x.floats[0]) }
      return result
    }
    let rows = stride(from: 0, to: 24, by: 6).map { x.floats[$0] }
    let epochs = [try firsts(0), try firsts(1), try firsts(2)]
    #expect(epochs == [Array(rows[0...2]), [rows[3]], Array(rows[0...2])])
    let validation = EpochFeed(try ArrayDataset(x: x, y: y, batchSize: 2), steps: 3, beginsAnew: true)
    for epoch in 0..<3 {
      try validation.begin(epoch: epoch)
      for row in rows[0...2] { #expect(try validation.next()?.x.floats[0] == row) }
    }
    // A trained model that stays as it is gives the same figure for the same samples.
    let model = try single()
    var options = FitOptions()
    (options.epochs, options.validationSteps, options.verbose) = (3, 1, 0)
    options.validation = try ArrayDataset(x: x, y: y, batchSize: 2)
    try model.compiled().optimizer.learningRate = 0
    let losses = try model.fit(ArrayDataset(x: x, y: y, batchSize: 3), options: options).values["val_loss"] ?? []
    #expect(losses.count == 3 && Set(losses).count == 1)
  }

  @Test func callbacksInOrder() throws {
    let (x, y) = try data(4)
    var calls: [String] = []
    var options = FitOptions()
    options.validation = try ArrayDataset(x: x, y: y)
    let first = FunctionCallback { event, index, logs, _ in
      calls.append("\(event) \(index) \(logs.names.joined(separator: ","))")
      if event == .epochEnd { logs.set("mine", 7) }
    }
    var seen: Double?
    let second = LambdaCallback()
    second.onEpochEnd = { _, logs, _ in seen = logs["mine"] }
    options.callbacks = [first, second]
    let history = try single().fit(ArrayDataset(x: x, y: y, batchSize: 2), options: options)
    #expect(
      calls == [
        "trainBegin 0 ", "epochBegin 0 ", "batchBegin 0 ", "batchEnd 0 loss", "batchBegin 1 ", "batchEnd 1 loss", "testBegin 0 ",
        "testBatchBegin 0 ",
        "testBatchEnd 0 loss", "testEnd 0 loss", "epochEnd 0 loss,val_loss", "trainEnd 0 loss,val_loss,mine",
      ])
    #expect(seen == 7 && history.values["mine"] == [7])
  }

  @Test func stopTrainingEndsTheEpoch() throws {
    let (x, y) = try data()
    var batches = 0
    var options = FitOptions()
    options.epochs = 5
    options.validation = try ArrayDataset(x: x, y: y)
    var ended = false
    options.callbacks = [
      FunctionCallback { event, _, _, state in
        if event == .batchEnd {
          batches += 1
          if batches == 5 { state.stopTraining = true }
        }
        if event == .trainEnd { ended = true }
      }
    ]
    let model = try single()
    let history = try model.fit(ArrayDataset(x: x, y: y, batchSize: 3), options: options)
    #expect(history.epochs == [0, 1] && batches == 5 && ended && history.values["val_loss"]?.count == 2)
    #expect(model.trainer?.stopTraining == true)
    options.callbacks = []
    let again = try model.fit(ArrayDataset(x: x, y: y, batchSize: 3), options: options)
    #expect(again.epochs.count == 5)
  }

  // MARK: Callbacks

  /// A fit whose validation loss is scripted, one number an epoch.
  private func scripted(_ golden: JSONValue, _ className: String, _ hear: @escaping (Callback, TrainingState) -> Void = { _, _ in }) throws
    -> (History, Callback)
  {
    let script = golden["script"]?.arrayValue?.compactMap(\.doubleValue) ?? []
    let callback = try Callback.make(className, config: golden["config"] ?? [:])
    var options = FitOptions()
    options.epochs = script.count
    options.callbacks = [
      FunctionCallback { event, epoch, logs, _ in if event == .epochEnd { logs.set("val_loss", script[epoch]) } }, callback,
      FunctionCallback { event, _, _, state in if event == .epochEnd { hear(callback, state) } },
    ]
    let (x, y) = try data(2)
    return (try single().fit(ArrayDataset(x: x, y: y), options: options), callback)
  }

  @Test func point20EarlyStoppingDecidesAsKeras() throws {
    let cases = try golden("stopping").arrayValue ?? []
    #expect(cases.count == 28)
    for golden in cases {
      let (history, callback) = try scripted(golden, "EarlyStopping")
      let stopping = try #require(callback as? EarlyStopping)
      let name = golden.text()
      #expect(history.epochs.count == golden["epochs"]?.intValue, "\(name)")
      #expect(stopping.wait == golden["wait"]?.intValue && stopping.bestEpoch == golden["best_epoch"]?.intValue, "\(name)")
      #expect(stopping.best == golden["best"]?.doubleValue && stopping.stoppedEpoch == golden["stopped_epoch"]?.intValue, "\(name)")
    }
  }

  @Test func point20BestWeightsAreRestored() throws {
    let (x, y) = try data()
    for patience in [1, 100] {
      let model = try single()
      var states: [[[Float]]] = []
      let script = [3.0, 1, 2, 4]
      var options = FitOptions()
      options.epochs = 4
      options.callbacks = [
        FunctionCallback { event, epoch, logs, state in
          guard event == .epochEnd else { return }
          logs.set("val_loss", script[epoch])
          states.append(state.model.weights.map(\.values))
        },
        EarlyStopping(patience: patience, restoreBestWeights: true),
      ]
      let optimizer = try #require(model.trainer?.optimizer)
      let history = try model.fit(ArrayDataset(x: x, y: y, batchSize: 5), options: options)
      // Restored whether or not training was cut short; the optimizer goes on where it was.
      #expect(history.epochs.count == (patience == 1 ? 3 : 4))
      #expect(model.weights.map(\.values) == states[1] && states[1] != states[2])
      #expect(optimizer.iterations == UInt64(2 * history.epochs.count))
    }
  }

  @Test func point20TheDirectionMustBeKnown() throws {
    let (x, y) = try data()
    func run(_ monitor: String, _ mode: MonitorCallback.Mode = .auto) throws -> History {
      var options = FitOptions()
      options.epochs = 3
      options.callbacks = [
        FunctionCallback { event, epoch, logs, _ in if event == .epochEnd { logs.set("strange", Double(epoch)) } },
        EarlyStopping(monitor: monitor, patience: 1, mode: mode),
      ]
      return try single(metrics: [BinaryAccuracy(threshold: 0)]).fit(ArrayDataset(x: x, y: y), options: options)
    }
    let error = #expect(throws: XferError.self) { try run("strange") }
    #expect(error?.message.contains("'strange'") == true)
    let (falling, rising) = (try run("strange", .min), try run("strange", .max))
    #expect(falling.epochs.count == 2 && rising.epochs.count == 3)
    _ = try run("loss")
    // Figures that are missing are warned of, and nothing is decided.
    let missing = try run("val_binary_accuracy")
    #expect(missing.epochs.count == 3)
  }

  @Test func point21ReduceLROnPlateauDecidesAsKeras() throws {
    let cases = try golden("reducing").arrayValue ?? []
    #expect(cases.count == 28)
    for golden in cases {
      var rates: [Double] = []
      let (history, _) = try scripted(golden, "ReduceLROnPlateau") { _, state in rates.append((try? state.optimizer.learningRate) ?? .nan) }
      let wanted = golden["rates"]?.arrayValue?.compactMap(\.doubleValue) ?? []
      #expect(rates.count == wanted.count && zip(rates, wanted).allSatisfy { abs($0 - $1) <= 1e-6 * $1 }, "\(golden.text()): \(rates)")
      // The history has the rate of each epoch, before what was decided at its end.
      #expect(history.values["learning_rate"] == [0.1] + rates.dropLast())
    }
  }

  @Test func pythonsFormatOfPaths() throws {
    let values: [String: FormatValue] = ["epoch": .int(3), "loss": .double(0.12345), "val_loss": .double(-1.5)]
    let cases = [
      "a{epoch:02d}-{loss:.2f}.keras": "a03-0.12.keras", "{epoch}": "3", "{loss}": "0.12345", "{epoch:4d}|": "   3|",
      "{val_loss:08.3f}": "-001.500",
      "{{{epoch}}}": "{3}", "{loss:.1e}": "1.2e-01", "{epoch:.1f}": "3.0",
    ]
    for (text, wanted) in cases { #expect(try format(text, values) == wanted) }
    for text in ["{los}", "{epoch", "epoch}", "{loss:d}", "{loss:x}", "{epoch:.2d}", "{loss:999999f}"] {
      #expect(throws: XferError.self) { try format(text, values) }
    }
  }

  @Test func csvLogger() throws {
    let path = FileManager.default.temporaryDirectory.appending(path: "xfer-log-\(UUID().uuidString).csv").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    let (x, y) = try data()
    for append in [false, true] {
      var options = FitOptions()
      options.epochs = 1
      options.callbacks = [CSVLogger(path, append: append)]
      _ = try single().fit(ArrayDataset(x: x, y: y), options: options)
    }
    let lines = try String(contentsOfFile: path, encoding: .utf8).components(separatedBy: "\r\n")
    #expect(
      lines.count == 4 && lines[0] == "epoch,loss,val_loss" && lines[1] == lines[2] && lines[1].hasPrefix("0,0.")
        && lines[1].hasSuffix(",NA"))
  }

  @Test func tensorBoardWritesGoodRecords() throws {
    #expect(crc32c(Array("123456789".utf8)) == 0xE306_9283)
    let folder = FileManager.default.temporaryDirectory.appending(path: "xfer-board-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: folder) }
    let (x, y) = try data()
    var options = FitOptions()
    options.epochs = 2
    options.validation = try ArrayDataset(x: x, y: y)
    options.callbacks = [TensorBoard(logDir: folder.path)]
    _ = try single().fit(ArrayDataset(x: x, y: y), options: options)
    for (part, tag) in [("train", "epoch_learning_rate"), ("validation", "epoch_loss")] {
      let files = try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: part).path)
      #expect(files.count == 1 && files[0].hasPrefix("events.out.tfevents.") && files[0].hasSuffix(".v2"))
      let bytes = [UInt8](try Data(contentsOf: folder.appending(path: part).appending(path: files[0])))
      var (place, records, tags) = (0, 0, 0)
      func number(_ range: Range<Int>) -> UInt64 { range.reversed().reduce(0) { $0 << 8 | UInt64(bytes[$1]) } }
      while place < bytes.count {
        let length = Int(number(place..<place + 8))
        #expect(number(place + 8..<place + 12) == UInt64(maskedCRC32C(Array(bytes[place..<place + 8]))))
        let record = Array(bytes[place + 12..<place + 12 + length])
        #expect(number(place + 12 + length..<place + 16 + length) == UInt64(maskedCRC32C(record)))
        if records == 0 { #expect(String(decoding: record, as: UTF8.self).contains("brain.Event:2")) }
        tags += String(decoding: record, as: UTF8.self).contains(tag) ? 1 : 0
        place += 16 + length
        records += 1
      }
      #expect(place == bytes.count && tags == 2)
    }
  }

  @Test func callbacksByNameAndConfig() throws {
    #expect(throws: XferError.self) { try Callback.make("EarlyStoping") }
    #expect(throws: XferError.self) { try Callback.make("EarlyStopping", config: ["patients": 3]) }
    #expect(throws: XferError.self) { try Callback.make("ReduceLROnPlateau", config: ["factor": 1.5]) }
    #expect(throws: XferError.self) { try Callback.make("TensorBoard", config: ["write_images": true]) }
    #expect(throws: XferError.self) { try Callback.make("ModelCheckpoint", config: ["filepath": "x.keras", "save_freq": 0]) }
    let stopping = try Callback.make("EarlyStopping", config: ["monitor": "loss", "patience": 2, "mode": "max", "baseline": nil])
    #expect((stopping as? EarlyStopping)?.patience == 2 && (stopping as? EarlyStopping)?.mode == .max)
  }
}
