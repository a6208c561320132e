import CXfer
import Glibc
public import XferCore

/// After which epochs `fit` validates.
public enum ValidationFrequency: Sendable {
  /// After every so many epochs.
  case every(Int)
  /// After these, counted from 1.
  case epochs(Set<Int>)

  func includes(_ epoch: Int) -> Bool {
    switch self {
    case .every(let count): (epoch + 1).isMultiple(of: count)
    case .epochs(let list): list.contains(epoch + 1)
    }
  }
}

/// The arguments of `fit`.
public struct FitOptions {
  /// The number of the epoch after the last one; with `initialEpoch` 0 the number of epochs.
  public var epochs = 1
  public var initialEpoch = 0
  public var validation: (any Dataset)?
  public var validationFrequency = ValidationFrequency.every(1)
  /// Batches of an epoch, nil for all there are; the next epoch goes on where the one before ended.
  public var stepsPerEpoch: Int?
  public var validationSteps: Int?
  /// What samples of a class count; classes that are missing weigh 1. For models with one output.
  public var classWeight: [Int: Double]?
  /// 0 silent, 1 a progress bar, 2 a line an epoch; on stderr.
  public var verbose = 0
  /// A changed `trainable` compiles again instead of being an error.
  public var recompileStale = false
  /// Where the outputs of the frozen part are kept; they are the same in every epoch.
  public var cache = FeatureCaching.memory()
  /// Bytes that a training step may take with the weights, the optimizer's state and the intermediate values; nil for what is fastest. What does not
  /// fit is computed twice in place of being kept; the numbers are the same. The cache of the frozen part has a budget of its own.
  public var memoryBudget: Int?
  /// In the order in which they are called.
  public var callbacks: [Callback] = []
  /// Hears of the first five events, after the callbacks. Return false to stop after this event.
  public var onEvent: ((TrainingEvent, _ epoch: Int, _ batch: Int, Logs) throws -> Bool)?

  public init() {}

  func check() throws {
    guard epochs >= 0, initialEpoch >= 0 else {
      throw XferError.invalid("epochs and initial_epoch are to be 0 or above, \(epochs) and \(initialEpoch) were given")
    }
    for (name, value) in [("steps_per_epoch", stepsPerEpoch), ("validation_steps", validationSteps)] {
      if let value, value < 1 { throw XferError.invalid("\(name) is to be above 0, \(value) was given") }
    }
    if let memoryBudget, memoryBudget < 1 { throw XferError.invalid("memory_budget is to be above 0, \(memoryBudget) was given") }
    if case .every(let count) = validationFrequency, count < 1 {
      throw XferError.invalid("validation_freq is to be above 0 or a list of epochs, \(count) was given")
    }
  }
}

extension Trainer {
  /// Trains for some epochs. A stop asked for by `onEvent` or ``cancel()`` throws ``XFER_E_CANCELLED``, weights stay as they are;
  /// ``stopTraining``, which callbacks set, ends the epoch and training as usual.
  public func fit(_ data: any Dataset, options: FitOptions = FitOptions()) throws -> History {
    let model = try model
    try checkTrainable(recompile: options.recompileStale)
    try options.check()
    clearCancel()
    stopTraining = false
    depth += 1
    defer { depth -= 1 }
    try keepFeatures(options.cache, evaluates: options.validation != nil)
    memoryBudget = options.memoryBudget
    defer {
      forgetFeatures()
      memoryBudget = nil
    }
    try lint()
    let weighted: any Dataset = options.classWeight.map { ClassWeighted(data, $0) } ?? data
    let feed = EpochFeed(weighted, steps: options.stepsPerEpoch)
    let validation = options.validation.map { EpochFeed($0, steps: options.validationSteps, beginsAnew: true) }
    let state = TrainingState(
      model: model, trainer: self, epochs: options.epochs, steps: feed.count, verbose: options.verbose, initialEpoch: options.initialEpoch,
      data: data, feed: feed)
    let recorder = HistoryRecorder()
    let progress = ProgressLogger()
    defer { progress.abandon() }
    let listener = options.onEvent.map { onEvent in
      FunctionCallback { event, index, logs, state in
        guard event.rawValue <= TrainingEvent.trainEnd.rawValue else { return }
        let epoch = event == .trainEnd ? options.epochs : state.epoch
        if try !onEvent(event, epoch, event == .batchEnd ? index : 0, logs) {
          throw XferError(XFER_E_CANCELLED, "training was stopped by a callback in epoch \(epoch + 1)")
        }
      }
    }
    let callbacks = CallbackList(callbacks: options.callbacks + [recorder] + (listener.map { [$0] } ?? []) + [progress], state: state) {
      if self.isCancelled { throw XferError(XFER_E_CANCELLED, "training was cancelled in epoch \(state.epoch + 1)") }
    }
    try callbacks.send(.trainBegin)
    var last = Logs()
    for epoch in state.initialEpoch..<max(options.epochs, state.initialEpoch) {
      state.epoch = epoch
      try callbacks.send(.epochBegin, epoch)
      var logs = try pass(feed, epoch: epoch, training: true, callbacks)
      if let validation, options.validationFrequency.includes(epoch) {
        for (name, value) in try test(validation, callbacks).items { logs.set("val_\(name)", value) }
      }
      try callbacks.send(.epochEnd, epoch, &logs)
      last = logs
      if stopTraining { break }
    }
    if options.epochs > state.initialEpoch { try optimizer.finalizeVariableValues() }
    try callbacks.send(.trainEnd, 0, &last)
    return recorder.history
  }

  /// Losses and metrics over a data set, without training.
  public func evaluate(_ data: any Dataset, steps: Int? = nil, verbose: Int = 0, callbacks: [Callback] = []) throws -> Logs {
    if let steps, steps < 1 { throw XferError.invalid("steps is to be above 0, \(steps) was given") }
    if depth == 0 { clearCancel() }
    depth += 1
    defer { depth -= 1 }
    let feed = EpochFeed(data, steps: steps)
    let state = TrainingState(model: try model, trainer: self, steps: feed.count, verbose: verbose)
    let progress = ProgressLogger()
    defer { progress.abandon() }
    return try test(
      feed,
      CallbackList(callbacks: callbacks + [progress], state: state) {
        if self.isCancelled { throw XferError(XFER_E_CANCELLED, "the evaluation was cancelled") }
      })
  }

  /// One training step; the logs are of this batch alone.
  public func trainOnBatch(_ batch: Batch) throws -> Logs {
    try checkTrainable(recompile: false)
    return try single(batch, training: true)
  }

  public func testOnBatch(_ batch: Batch) throws -> Logs { try single(batch, training: false) }

  private func single(_ batch: Batch, training: Bool) throws -> Logs {
    guard batch.count > 0 else { throw XferError.data("the batch is empty: x has shape \(batch.inputs.first?.shape ?? [])") }
    let figures = EpochFigures(self)
    try figures.add(batch, run(batch, training: training))
    return figures.logs
  }

  private func test(_ feed: EpochFeed, _ callbacks: CallbackList) throws -> Logs {
    try callbacks.send(.testBegin)
    var logs = try pass(feed, epoch: 0, training: false, callbacks)
    try callbacks.send(.testEnd, 0, &logs)
    return logs
  }

  /// One pass over the data.
  private func pass(_ feed: EpochFeed, epoch: Int, training: Bool, _ callbacks: CallbackList) throws -> Logs {
    let figures = EpochFigures(self)
    if training {
      if let resumed = callbacks.state.resumedFigures.take() { figures.restore(resumed) }
      callbacks.state.figures = figures
    }
    if let cache = try features(training: training) {
      cache.begin(epoch: epoch)
      feed.leaveOut(cache.knows())
    }
    defer { feed.leaveOut(nil) }
    try feed.begin(epoch: epoch)
    // Above 0 where a backup has an interrupted epoch go on.
    var index = feed.given
    var logs = Logs()
    while let batch = try feed.next() {
      guard batch.count > 0 else { throw XferError.data("batch \(index) is empty") }
      if training, callbacks.state.epoch == callbacks.state.initialEpoch { try lint(batch, batches: feed.count) }
      try callbacks.send(training ? .batchBegin : .testBatchBegin, index)
      try figures.add(batch, run(batch, training: training))
      logs = figures.logs
      try callbacks.send(training ? .batchEnd : .testBatchEnd, index, &logs)
      index += 1
      if training, stopTraining { break }
    }
    guard index > 0 else { throw XferError.data("the data set gave no batch") }
    // Without what callbacks put into the logs of the last batch.
    return figures.logs
  }
}

/// Keras' History: the last of the callbacks, so that it sees what the others put into the logs.
private final class HistoryRecorder: Callback {
  var history = History()
  private var start = 0.0

  override func epochBegin(_ epoch: Int, _ state: TrainingState) { start = monotonicSeconds() }
  override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) {
    history.append(epoch, logs, seconds: monotonicSeconds() - start)
  }
}

extension Model {
  public func fit(_ data: any Dataset, options: FitOptions = FitOptions()) throws -> History { try compiled().fit(data, options: options) }
  public func evaluate(_ data: any Dataset, steps: Int? = nil, verbose: Int = 0, callbacks: [Callback] = []) throws -> Logs {
    try compiled().evaluate(data, steps: steps, verbose: verbose, callbacks: callbacks)
  }
  public func trainOnBatch(_ batch: Batch) throws -> Logs { try compiled().trainOnBatch(batch) }
  public func testOnBatch(_ batch: Batch) throws -> Logs { try compiled().testOnBatch(batch) }
}
