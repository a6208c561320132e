import CXfer
import Foundation
import Testing
import XferCore
@testable import Xfer

private struct Interruption: Error {}

private func status(_ body: () throws -> Void) -> Int32? {
  do {
    try body()
    return nil
  } catch { return (error as? XferError)?.status }
}

@Suite(.serialized) struct BackupTests {
  private func wave(_ shape: [Int], _ phase: Float) throws -> Tensor {
    try Tensor((0..<shape.reduce(1, *)).map { Float(sin(0.7 * Double($0) + Double(phase))) }, shape: shape)
  }

  /// With dropout, noise and a moving rate. Another seed each time: the backup is to bring back that of the first run.
  private func model(seed: Int = 3, optimizer: Optimizer? = nil) throws -> Model {
    let model = try Sequential([
      InputLayer(shape: [3]), Dense(6, activation: .relu, name: "h"), Dropout(0.4, seed: seed), Dense(1, name: "p"),
    ])
    for (index, weight) in model.weights.enumerated() { try weight.assign(wave(weight.shape, Float(index))) }
    try model.compile(optimizer: optimizer ?? Adam(learningRate: 0.03), loss: BinaryCrossentropy(fromLogits: true), metrics: [])
    return model
  }

  private func data(seed: UInt64? = 5) throws -> ArrayDataset {
    let y = try wave([10, 1], 0.3)
    return try ArrayDataset(x: wave([10, 3], 0.1), y: Tensor(y.floats.map { $0 > 0 ? 1 : 0 }, shape: y.shape), batchSize: 4, seed: seed)
  }

  /// Fits for 5 epochs; stops by an error before the batch `stop` counts from the beginning.
  private func run(_ model: Model, _ data: ArrayDataset, _ callbacks: [Callback], stop: Int? = nil, steps: Int? = nil) throws -> History? {
    var options = FitOptions()
    (options.epochs, options.stepsPerEpoch, options.callbacks) = (5, steps, callbacks)
    let decay = LearningRateScheduler { _, rate in rate * 0.83 }
    options.callbacks.append(decay)
    if let stop {
      var count = 0
      options.callbacks.append(
        FunctionCallback { event, _, _, _ in
          guard event == .batchBegin else { return }
          if count == stop { throw Interruption() }
          count += 1
        })
      #expect(throws: Interruption.self) { try model.fit(data, options: options) }
      return nil
    }
    return try model.fit(data, options: options)
  }

  /// The epochs have 3 batches, or with 2 steps by turns 2 and what is left of the data, 1.
  @Test(arguments: [(4, nil, 1), (7, nil, 2), (10, nil, 3), (2, 2, 1), (7, 2, 4)] as [(Int, Int?, Int)])
  func anInterruptedFitGoesOnBitEqual(_ stop: Int, _ steps: Int?, _ done: Int) throws {
    let folder = try TemporaryFolder()
    let place = folder.file("deep/backup")
    let whole = try model()
    let wanted = try #require(try run(whole, data(), [], steps: steps))
    _ = try run(model(), data(), [BackupAndRestore(place)], stop: stop, steps: steps)
    #expect(FileManager.default.fileExists(atPath: place))
    // Everything anew, with other seeds.
    let again = try model(seed: 99)
    let history = try #require(try run(again, data(seed: 77), [BackupAndRestore(place)], steps: steps))
    #expect(history.epochs == Array(done..<5))
    #expect(history.values["loss"] == wanted.values["loss"].map { Array($0.dropFirst(done)) })
    #expect(again.weights.map(\.values) == whole.weights.map(\.values))
    #expect(!FileManager.default.fileExists(atPath: place))
  }

  @Test func backupsEverySoManyBatches() throws {
    let folder = try TemporaryFolder()
    let whole = try model()
    let wanted = try #require(try run(whole, data(), []))
    let first = try BackupAndRestore(folder.file("b"), saveFrequency: 5, deleteCheckpoint: false)
    _ = try run(model(), data(), [first], stop: 7)
    let again = try model(seed: 99)
    // The rate of the interrupted epoch is in the backup and would shrink once more.
    var options = FitOptions()
    (options.epochs, options.callbacks) = (5, [try BackupAndRestore(folder.file("b"), saveFrequency: 5, deleteCheckpoint: false)])
    let rates = LearningRateScheduler { epoch, rate in epoch == 1 ? rate : rate * 0.83 }
    options.callbacks.append(rates)
    let history = try again.fit(data(seed: 77), options: options)
    #expect(history.epochs == [1, 2, 3, 4])
    // The figures of the epoch that goes on hold its first batches, too.
    #expect(history.values["loss"] == wanted.values["loss"].map { Array($0.dropFirst()) })
    #expect(again.weights.map(\.values) == whole.weights.map(\.values))
    #expect(FileManager.default.fileExists(atPath: folder.file("b/latest.safetensors")))
  }

  @Test func aDamagedBackupGivesWayToTheOneBefore() throws {
    let folder = try TemporaryFolder()
    let whole = try model()
    _ = try run(whole, data(), [])
    _ = try run(model(), data(), [BackupAndRestore(folder.file("b"), doubleCheckpoint: true)], stop: 7)
    try folder.write([1, 2, 3], "b/latest.safetensors")
    let again = try model(seed: 99)
    let history = try #require(try run(again, data(), [BackupAndRestore(folder.file("b"), doubleCheckpoint: true)]))
    #expect(history.epochs == [1, 2, 3, 4] && again.weights.map(\.values) == whole.weights.map(\.values))
  }

  @Test func theBackupOfAnotherModelIsRefused() throws {
    let folder = try TemporaryFolder()
    _ = try run(model(), data(), [BackupAndRestore(folder.file("b"))], stop: 4)
    let other = try Sequential([InputLayer(shape: [3]), Dense(1, name: "p")])
    try other.compile(optimizer: Adam(), loss: BinaryCrossentropy(fromLogits: true), metrics: [])
    #expect(status { _ = try run(other, data(), [BackupAndRestore(folder.file("b"))]) } == XFER_E_SHAPE)
    #expect(status { _ = try BackupAndRestore("") } == XFER_E_INVALID_ARGUMENT)
    #expect(status { _ = try Callback.make("BackupAndRestore", config: ["backup_dir": "b", "save_freq": 0]) } == XFER_E_INVALID_ARGUMENT)
  }

  // MARK: Optimizer state in files

  @Test(arguments: ["Adam", "SGD", "Nadam", "RMSprop", "AdamW"]) func aLoadedModelTrainsOnBitEqual(_ name: String) throws {
    let folder = try TemporaryFolder()
    let plain = try Sequential([InputLayer(shape: [3]), Dense(4, activation: .relu, name: "h"), Dense(1, name: "p")])
    for (index, weight) in plain.weights.enumerated() { try weight.assign(wave(weight.shape, Float(index))) }
    var config: JSONValue = ["learning_rate": 0.013]
    if name == "SGD" { config = ["learning_rate": 0.013, "momentum": 0.9] }
    let trainer = try plain.compile(
      optimizer: Optimizer.make(name, config: config), loss: BinaryCrossentropy(fromLogits: true), metrics: [])
    var options = FitOptions()
    options.epochs = 2
    _ = try plain.fit(data(), options: options)
    try plain.save(folder.file("m.keras"))
    let loaded = try Model.load(folder.file("m.keras"))
    #expect(try loaded.compiled().optimizer.iterations == 6 && trainer.optimizer.iterations == 6)
    let (a, b) = (try plain.fit(data(), options: options), try loaded.fit(data(), options: options))
    #expect(a.values["loss"] == b.values["loss"])
    #expect(plain.weights.map(\.values) == loaded.weights.map(\.values))
  }

  // MARK: Rates and schedules

  @Test func aRateThatAScheduleGivesCannotBeSet() throws {
    let schedule: JSONValue = [
      "class_name": "ExponentialDecay", "config": ["initial_learning_rate": 0.1, "decay_steps": 1, "decay_rate": 0.5],
    ]
    for callback in [LearningRateScheduler { _, _ in 0.1 }, try ReduceLROnPlateau(monitor: "loss", patience: 1, minDelta: 100)]
      as [Callback]
    {
      let model = try model(optimizer: Optimizer.make("SGD", config: ["learning_rate": schedule]))
      var options = FitOptions()
      (options.epochs, options.callbacks) = (4, [callback])
      #expect(status { _ = try model.fit(data(), options: options) } == XFER_E_STATE)
    }
    let model = try model(optimizer: SGD(learningRate: 1))
    var options = FitOptions()
    (options.epochs, options.callbacks) = (3, [try Callback.make("LearningRateScheduler", config: ["schedule": schedule])])
    let history = try model.fit(data(), options: options)
    #expect(history.values["learning_rate"] == [0.1, 0.05, 0.025])
    for wrong in [[:], ["schedule": 0.1], ["schedule": schedule, "foo": 1]] as [JSONValue] {
      #expect(status { _ = try Callback.make("LearningRateScheduler", config: wrong) } == XFER_E_INVALID_ARGUMENT)
    }
  }
}
