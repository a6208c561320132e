import XferCore

extension TrainingState {
  /// Sets the rate of the coming steps.
  public func setLearningRate(_ rate: Double) throws {
    guard rate.isFinite, rate >= 0 else { throw XferError.invalid("learning_rate is to be 0 or above, \(rate) was given") }
    try optimizer.learningRate = rate
  }
}

/// Sets the learning rate before each epoch, from the epoch's number and the rate so far.
public final class LearningRateScheduler: Callback {
  public override class var className: String { "LearningRateScheduler" }
  private let schedule: (_ epoch: Int, _ rate: Double) throws -> Double
  private let verbose: Int

  public init(verbose: Int = 0, _ schedule: @escaping (_ epoch: Int, _ rate: Double) throws -> Double) {
    (self.schedule, self.verbose) = (schedule, verbose)
  }

  public override func epochBegin(_ epoch: Int, _ state: TrainingState) throws {
    let rate = try schedule(epoch, state.optimizer.learningRate)
    try state.setLearningRate(rate)
    if verbose > 0 { writeError("\nEpoch \(epoch + 1): LearningRateScheduler setting learning rate to \(rate).\n") }
  }

  public override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    logs.set("learning_rate", try state.optimizer.learningRate)
  }
}
