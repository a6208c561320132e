public import XferCore

/// What callers hear of during `fit`, `evaluate` and `predict`.
public enum TrainingEvent: Int32, Sendable {
  case trainBegin = 0, epochBegin, batchEnd, epochEnd, trainEnd
  case batchBegin, testBegin, testEnd, testBatchBegin, testBatchEnd
  case predictBegin, predictEnd, predictBatchBegin, predictBatchEnd
}

/// A running `fit`, `evaluate` or `predict`, as callbacks see it.
public final class TrainingState {
  public let model: Model
  /// Nil where a model that was never compiled predicts.
  public let trainer: Trainer?
  public let epochs: Int
  /// Batches of an epoch, where that is known.
  public let steps: Int?
  public let verbose: Int
  /// The first epoch; a callback may set it in `trainBegin`.
  public var initialEpoch: Int
  /// The epoch that is running.
  public internal(set) var epoch: Int
  /// What is trained on.
  let data: (any Dataset)?
  /// Where in it training is.
  let feed: EpochFeed?
  /// The figures of the epoch that is under way.
  var figures: EpochFigures?
  /// Those of an epoch that goes on, from a backup; the next epoch takes them.
  var resumedFigures: [Double]?

  init(
    model: Model, trainer: Trainer?, epochs: Int = 1, steps: Int?, verbose: Int = 0, initialEpoch: Int = 0, data: (any Dataset)? = nil,
    feed: EpochFeed? = nil
  ) {
    (self.model, self.trainer, self.epochs, self.steps, self.verbose) = (model, trainer, epochs, steps, verbose)
    (self.initialEpoch, epoch, self.data, self.feed) = (initialEpoch, initialEpoch, data, feed)
  }

  /// Ends training after the current batch, as Keras' `model.stop_training`.
  public var stopTraining: Bool {
    get { trainer?.stopTraining ?? false }
    set { trainer?.stopTraining = newValue }
  }

  /// The optimizer being used; `XFER_E_NOT_COMPILED` without one.
  public var optimizer: Optimizer { get throws { try (trainer ?? model.compiled()).optimizer } }
}

/// A say in training: override what you need. The number of a batch or epoch begins at 0.
///
/// ```swift
/// final class StopEarly: Callback {
///   override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) {
///     if logs["loss"] ?? 1 < 0.1 { state.stopTraining = true }
///   }
/// }
/// ```
///
/// Callbacks run in the order in which they are given; what one puts into the logs, the later ones and the history see.
open class Callback {
  open class var className: String { "Callback" }

  public init() {}

  open func trainBegin(_ state: TrainingState) throws {}
  /// After the last epoch, however training ended, errors excepted; with the logs of the last epoch.
  open func trainEnd(_ logs: Logs, _ state: TrainingState) throws {}
  open func epochBegin(_ epoch: Int, _ state: TrainingState) throws {}
  /// After an epoch and its validation.
  open func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) throws {}
  open func batchBegin(_ batch: Int, _ state: TrainingState) throws {}
  /// After a batch of training: the epoch's figures so far.
  open func batchEnd(_ batch: Int, _ logs: inout Logs, _ state: TrainingState) throws {}
  /// Before `evaluate`, and before the validation of an epoch.
  open func testBegin(_ state: TrainingState) throws {}
  open func testEnd(_ logs: Logs, _ state: TrainingState) throws {}
  open func testBatchBegin(_ batch: Int, _ state: TrainingState) throws {}
  open func testBatchEnd(_ batch: Int, _ logs: Logs, _ state: TrainingState) throws {}
  open func predictBegin(_ state: TrainingState) throws {}
  open func predictEnd(_ state: TrainingState) throws {}
  open func predictBatchBegin(_ batch: Int, _ state: TrainingState) throws {}
  open func predictBatchEnd(_ batch: Int, _ state: TrainingState) throws {}

  /// Any event; calls the method for it.
  open func receive(_ event: TrainingEvent, _ index: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    switch event {
    case .trainBegin: try trainBegin(state)
    case .trainEnd: try trainEnd(logs, state)
    case .epochBegin: try epochBegin(index, state)
    case .epochEnd: try epochEnd(index, &logs, state)
    case .batchBegin: try batchBegin(index, state)
    case .batchEnd: try batchEnd(index, &logs, state)
    case .testBegin: try testBegin(state)
    case .testEnd: try testEnd(logs, state)
    case .testBatchBegin: try testBatchBegin(index, state)
    case .testBatchEnd: try testBatchEnd(index, logs, state)
    case .predictBegin: try predictBegin(state)
    case .predictEnd: try predictEnd(state)
    case .predictBatchBegin: try predictBatchBegin(index, state)
    case .predictBatchEnd: try predictBatchEnd(index, state)
    }
  }

  /// What the callback knows by now: {"wait", "best", ...}.
  open var facts: [String: JSONValue] { [:] }
}

/// A callback that is one function for all events.
public final class FunctionCallback: Callback {
  public override class var className: String { "LambdaCallback" }
  private let function: (TrainingEvent, Int, inout Logs, TrainingState) throws -> Void

  public init(_ function: @escaping (TrainingEvent, Int, inout Logs, TrainingState) throws -> Void) { self.function = function }

  public override func receive(_ event: TrainingEvent, _ index: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    try function(event, index, &logs, state)
  }
}

/// A callback from closures, for those events that matter.
public final class LambdaCallback: Callback {
  public override class var className: String { "LambdaCallback" }
  public var onTrainBegin: ((TrainingState) throws -> Void)?
  public var onTrainEnd: ((Logs, TrainingState) throws -> Void)?
  public var onEpochBegin: ((Int, TrainingState) throws -> Void)?
  public var onEpochEnd: ((Int, Logs, TrainingState) throws -> Void)?
  public var onTrainBatchBegin: ((Int, TrainingState) throws -> Void)?
  public var onTrainBatchEnd: ((Int, Logs, TrainingState) throws -> Void)?

  public override func trainBegin(_ state: TrainingState) throws { try onTrainBegin?(state) }
  public override func trainEnd(_ logs: Logs, _ state: TrainingState) throws { try onTrainEnd?(logs, state) }
  public override func epochBegin(_ epoch: Int, _ state: TrainingState) throws { try onEpochBegin?(epoch, state) }
  public override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) throws { try onEpochEnd?(epoch, logs, state) }
  public override func batchBegin(_ batch: Int, _ state: TrainingState) throws { try onTrainBatchBegin?(batch, state) }
  public override func batchEnd(_ batch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    try onTrainBatchEnd?(batch, logs, state)
  }
}

/// Callbacks in order, with the state they work on.
struct CallbackList {
  let callbacks: [Callback]
  let state: TrainingState
  /// Looks for a cancellation from another thread.
  let check: () throws -> Void

  func send(_ event: TrainingEvent, _ index: Int = 0, _ logs: inout Logs) throws {
    for callback in callbacks { try callback.receive(event, index, &logs, state) }
    try check()
  }

  func send(_ event: TrainingEvent, _ index: Int = 0) throws {
    var none = Logs()
    try send(event, index, &none)
  }
}
