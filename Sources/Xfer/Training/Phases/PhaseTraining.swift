import CXfer
import Glibc
public import XferCore

/// How training by phases runs.
public struct PhaseOptions {
  /// Validation, cache, callbacks and so on of each phase's `fit`; its epochs are the plan's.
  public var fit = FitOptions()
  /// The file training can go on from when the process ends early, whatever ends it; nil for none. It is replaced after each epoch.
  public var checkpoint: String?
  /// Batches after which it is replaced as well; nil for none.
  public var saveFrequency: Int?
  /// Goes on from the checkpoint if it is there.
  public var resume = false
  /// Whether the checkpoint goes once the last phase has ended.
  public var deleteCheckpoint = true
  /// What else the numbers depend on, such as batch size and seed: a checkpoint made with another one is refused.
  public var identity: JSONValue = [:]
  /// Hears of phases and epochs, with all there was so far.
  public var onEvent: ((PhaseEvent, PhaseHistory) throws -> Void)?

  public init() {}
}

/// What happens in training by phases.
public enum PhaseEvent: Sendable {
  case phaseBegin, epochEnd, phaseEnd
}

extension Trainer {
  /// Trains by a plan: in each phase the base is frozen or unfrozen as the plan says, the model is compiled with the phase's optimizer and this
  /// trainer's losses and metrics, and fitted. Frozen weights and statistics are checked to be bit-equal at each phase's end.
  ///
  /// With a checkpoint, training goes on after a kill at any moment to the bits that it would have had. Callbacks among the options hear of
  /// every phase; what they remember between epochs is not in the checkpoint. ``cancel()`` and ``stopTraining`` of this trainer count:
  /// the one ends everything with `XFER_E_CANCELLED`, the other the running phase. Afterwards the model has the last phase's trainer.
  ///
  /// - Throws: before anything is trained what is wrong with the plan; `XFER_E_STATE` for a checkpoint of something else.
  public func fit(_ data: any Dataset, phases plan: PhasePlan, options: PhaseOptions = PhaseOptions()) throws -> PhaseHistory {
    try PhaseTraining(self, data, plan, options).run()
  }
}

extension Model {
  public func fit(_ data: any Dataset, phases plan: PhasePlan, options: PhaseOptions = PhaseOptions()) throws -> PhaseHistory {
    try compiled().fit(data, phases: plan, options: options)
  }
}

/// One run of a plan, and the last of the callbacks of its fits.
private final class PhaseTraining: Callback {
  private let origin: Trainer
  private let model: Model
  private let data: any Dataset
  private let plan: PhasePlan
  private let options: PhaseOptions
  private let base: PretrainedBase
  private let checkpoint: PhaseCheckpoint?
  private var history = PhaseHistory()
  private var phase = 0
  private var stopping: EarlyStopping?
  /// What the first phase goes on from.
  private var resumed: PhaseCheckpoint.Loaded?
  private var counter = BatchCounter()
  private var begun = 0.0

  init(_ origin: Trainer, _ data: any Dataset, _ plan: PhasePlan, _ options: PhaseOptions) throws {
    model = try origin.model
    (self.origin, self.data, self.plan, self.options) = (origin, data, plan, options)
    try plan.check()
    if let frequency = options.saveFrequency, frequency < 1 {
      throw XferError.invalid("save_freq is to be 'epoch' or above 0, \(frequency) was given")
    }
    guard options.checkpoint?.isEmpty != true else { throw XferError.invalid("checkpoint is to be a file's name, '' was given") }
    guard options.checkpoint != nil || !options.resume else { throw XferError.invalid("resume wants the checkpoint to go on from") }
    base = try PretrainedBase(of: model, base: plan.base, head: plan.head)
    for phase in plan.phases {
      do {
        _ = try phase.unfreeze.first(of: base.layers)
        _ = try phase.makeOptimizer(model, base)
      } catch let error as XferError {
        throw XferError(error.status, "phase '\(phase.name)': \(error.message)")
      }
    }
    // Before the first phase: a checkpoint is one of the weights there are then.
    try base.adapt(plan)
    checkpoint = options.checkpoint.map { [model, base] in PhaseCheckpoint($0, model, base, plan, identity: options.identity) }
  }

  func run() throws -> PhaseHistory {
    origin.clearCancel()
    origin.stopTraining = false
    if options.resume, let found = try checkpoint?.load(phases: plan.phases.count, data: data) {
      (history, phase) = (found.history, found.place.phase)
      resumed = found.isInPhase ? found : nil
    } else {
      // New weights and the order of the samples may be drawn: they are kept from the beginning.
      try checkpoint?.save(.init(phase: 0, epoch: 0), history, data: data)
    }
    // A run that had ended is left as it was.
    if phase == plan.phases.count { _ = try compile(plan.phases[phase - 1]) }
    while phase < plan.phases.count {
      try train(plan.phases[phase])
      phase += 1
      try checkpoint?.save(.init(phase: phase, epoch: 0), history, data: data)
      try options.onEvent?(.phaseEnd, history)
    }
    if options.deleteCheckpoint, let checkpoint { unlink(checkpoint.path) }
    return history
  }

  private func compile(_ phase: Phase) throws -> Trainer {
    try base.prepare(phase)
    return try model.compile(optimizer: phase.makeOptimizer(model, base), outputs: origin.outputs)
  }

  private func train(_ phase: Phase) throws {
    let trainer = try compile(phase)
    let audit = FreezeAudit(model, statistics: movingStatistics)
    if resumed == nil {
      let parameters = trainer.trainableWeights.reduce(0) { $0 + $1.count }
      history.phases.append(.init(name: phase.name, trainedParameters: parameters, frozenWeights: audit.frozen.count))
    }
    try options.onEvent?(.phaseBegin, history)
    stopping = try phase.makeEarlyStopping()
    var fit = options.fit
    (fit.epochs, fit.initialEpoch) = (phase.epochs, 0)
    fit.callbacks = (stopping.map { [$0] } ?? []) + fit.callbacks + [self]
    if phase.epochs > 0 { _ = try trainer.fit(data, options: fit) }
    try audit.verify()
    history.phases[self.phase].isAudited = true
  }

  /// Statistics of layers that run in training mode and are not frozen follow the data.
  private var movingStatistics: [Variable] {
    var found: [Variable] = []
    model.forEachCall(training: true) { layer, _, training in
      if training, layer.trainable, !(layer is Model) { found += layer.nonTrainableWeights }
    }
    return found
  }

  // MARK: Events

  override func trainBegin(_ state: TrainingState) throws {
    counter = BatchCounter()
    if let loaded = resumed { try checkpoint?.resume(loaded, state, stopping: stopping) }
    resumed = nil
  }

  override func epochBegin(_ epoch: Int, _ state: TrainingState) { begun = monotonicSeconds() }

  override func batchEnd(_ batch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    try obey(state)
    guard let frequency = options.saveFrequency, counter.reaches(frequency, batch), !state.stopTraining else { return }
    try checkpoint?.save(
      .init(phase: phase, epoch: state.epoch), history, data: data, state: state, inEpoch: true, stopping: stopping)
  }

  override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    history.phases[phase].history.append(epoch, logs, seconds: monotonicSeconds() - begun)
    try obey(state)
    // The last epoch's state is that of the phase's end, after weights were restored or averaged.
    if !state.stopTraining, epoch + 1 < state.epochs {
      try checkpoint?.save(.init(phase: phase, epoch: epoch + 1), history, data: data, state: state, stopping: stopping)
    }
    try options.onEvent?(.epochEnd, history)
  }

  /// What callers asked of the trainer they know.
  private func obey(_ state: TrainingState) throws {
    if origin.isCancelled {
      throw XferError(XFER_E_CANCELLED, "training was cancelled in epoch \(state.epoch + 1) of phase '\(plan.phases[phase].name)'")
    }
    guard origin.stopTraining else { return }
    (origin.stopTraining, state.stopTraining) = (false, true)
  }
}
