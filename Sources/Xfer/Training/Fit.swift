import CXfer
import Glibc
public import XferCore

/// What happened in training: one number an epoch for each name.
public struct History: Sendable {
  public internal(set) var values: [String: [Double]] = [:]
  /// Names in the order Keras prints them.
  public internal(set) var names: [String] = []
  public internal(set) var epochs: [Int] = []
  public internal(set) var seconds: [Double] = []

  public init() {}

  public var json: JSONValue { .object(values.mapValues { .array($0.map { .double($0) }) }) }

  mutating func append(_ epoch: Int, _ logs: Logs, seconds: Double) {
    epochs.append(epoch)
    self.seconds.append(seconds)
    for (name, value) in logs.items {
      if values[name] == nil { names.append(name) }
      values[name, default: []].append(value)
    }
  }
}

/// Named numbers in order.
public struct Logs: Sendable {
  public private(set) var items: [(name: String, value: Double)] = []
  public init() {}
  public subscript(name: String) -> Double? { items.first { $0.name == name }?.value }
  mutating func set(_ name: String, _ value: Double) { items.append((name, value)) }
  public var json: JSONValue { .object(Dictionary(items.map { ($0.name, .double($0.value)) }) { $1 }) }
}

/// What callers hear of during `fit`.
public enum TrainingEvent: Int32, Sendable { case trainBegin = 0, epochBegin, batchEnd, epochEnd, trainEnd }

/// The arguments of `fit`.
public struct FitOptions {
  public var epochs = 1
  public var initialEpoch = 0
  public var validation: (any Dataset)?
  /// 0 silent, 1 a progress bar, 2 a line an epoch; on stderr.
  public var verbose = 0
  /// A changed `trainable` compiles again instead of being an error.
  public var recompileStale = false
  /// Return false to stop after this event.
  public var onEvent: ((TrainingEvent, _ epoch: Int, _ batch: Int, Logs) throws -> Bool)?

  public init() {}
}

extension Trainer {
  /// Trains for some epochs. A stop asked for by a callback or ``cancel()`` throws ``XFER_E_CANCELLED``; weights stay as they are.
  public func fit(_ data: any Dataset, options: FitOptions = FitOptions()) throws -> History {
    try checkTrainable(recompile: options.recompileStale)
    guard options.epochs >= 0, options.initialEpoch >= 0 else {
      throw XferError.invalid("epochs and initial_epoch are to be 0 or above, \(options.epochs) and \(options.initialEpoch) were given")
    }
    clearCancel()
    var history = History()
    let event = { (kind: TrainingEvent, epoch: Int, batch: Int, logs: Logs) throws in
      if let onEvent = options.onEvent, try !onEvent(kind, epoch, batch, logs) { throw XferError(XFER_E_CANCELLED, "training was stopped by a callback in epoch \(epoch + 1)") }
      if self.isCancelled { throw XferError(XFER_E_CANCELLED, "training was cancelled in epoch \(epoch + 1)") }
    }
    try event(.trainBegin, options.initialEpoch, 0, Logs())
    for epoch in options.initialEpoch..<max(options.epochs, options.initialEpoch) {
      let start = monotonicSeconds()
      var progress = ProgressBar(verbose: options.verbose, epoch: epoch, epochs: options.epochs, total: data.batchCount)
      progress.begin()
      defer { progress.abandon() }
      try event(.epochBegin, epoch, 0, Logs())
      var logs = try pass(data, epoch: epoch, training: true) { batch, logs in
        progress.update(batch + 1, logs)
        try event(.batchEnd, epoch, batch, logs)
      }
      if let validation = options.validation {
        for (name, value) in try pass(validation, epoch: 0, training: false, each: { _, _ in
          if self.isCancelled { throw XferError(XFER_E_CANCELLED, "training was cancelled in epoch \(epoch + 1)") }
        }).items { logs.set("val_\(name)", value) }
      }
      progress.end(logs)
      history.append(epoch, logs, seconds: monotonicSeconds() - start)
      try event(.epochEnd, epoch, 0, logs)
    }
    try event(.trainEnd, options.epochs, 0, Logs())
    return history
  }

  /// Loss and metrics over a data set, without training.
  public func evaluate(_ data: any Dataset, verbose: Int = 0) throws -> Logs {
    clearCancel()
    var progress = ProgressBar(verbose: verbose, epoch: nil, epochs: 1, total: data.batchCount)
    defer { progress.abandon() }
    let logs = try pass(data, epoch: 0, training: false) { batch, logs in progress.update(batch + 1, logs) }
    progress.end(logs)
    return logs
  }

  /// One training step; the logs are of this batch alone.
  public func trainOnBatch(_ batch: Batch) throws -> Logs {
    try checkTrainable(recompile: false)
    return try single(batch, training: true)
  }

  public func testOnBatch(_ batch: Batch) throws -> Logs { try single(batch, training: false) }

  private func single(_ batch: Batch, training: Bool) throws -> Logs {
    guard batch.count > 0 else { throw XferError.data("the batch is empty: x has shape \(batch.x.shape)") }
    for metric in metrics { metric.reset() }
    let outcome = try run(batch, training: training)
    for metric in metrics { try metric.update(batch.y, outcome.prediction) }
    return logs(outcome.loss)
  }

  /// One pass over the data. The loss is the mean weighted by batch size (Keras' Mean metric over batches).
  private func pass(_ data: any Dataset, epoch: Int, training: Bool, each: (Int, Logs) throws -> Void) throws -> Logs {
    for metric in metrics { metric.reset() }
    try data.restart(epoch: epoch)
    var (sum, count, index) = (0.0, 0.0, 0)
    while let batch = try data.next() {
      guard batch.count > 0 else { throw XferError.data("batch \(index) is empty") }
      let outcome = try run(batch, training: training)
      sum += outcome.loss * Double(batch.count)
      count += Double(batch.count)
      for metric in metrics { try metric.update(batch.y, outcome.prediction) }
      try each(index, logs(sum / count))
      index += 1
    }
    guard count > 0 else { throw XferError.data("the data set gave no batch") }
    return logs(sum / count)
  }

  private func logs(_ loss: Double) -> Logs {
    var logs = Logs()
    logs.set("loss", loss)
    for metric in metrics { logs.set(metric.name, metric.result) }
    return logs
  }
}

extension Model {
  public func fit(_ data: any Dataset, options: FitOptions = FitOptions()) throws -> History { try compiled().fit(data, options: options) }
  public func evaluate(_ data: any Dataset, verbose: Int = 0) throws -> Logs { try compiled().evaluate(data, verbose: verbose) }
  public func trainOnBatch(_ batch: Batch) throws -> Logs { try compiled().trainOnBatch(batch) }
  public func testOnBatch(_ batch: Batch) throws -> Logs { try compiled().testOnBatch(batch) }

  /// Outputs for all rows of `x`, computed batch by batch in inference mode.
  public func predict(_ x: Tensor, batchSize: Int = 32) throws -> Tensor {
    guard batchSize > 0 else { throw XferError.invalid("batch_size is to be above 0, \(batchSize) was given") }
    guard let count = x.shape.first, count > 0 else { throw XferError.data("there are no samples: x has shape \(x.shape)") }
    var made: Tensor?
    for start in stride(from: 0, to: count, by: batchSize) {
      let part = try self(x.rows(start..<min(start + batchSize, count)))
      // What a row looks like is known only now where the model takes inputs of any size.
      let row = part.shape.dropFirst()
      let result = try made ?? Tensor(zeros: [count] + row)
      (result.data + start * row.reduce(1, *) * 4).copyMemory(from: part.data, byteCount: part.byteCount)
      made = result
    }
    return try made ?? { throw XferError.internal("no batch was computed") }()
  }
}

func monotonicSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
