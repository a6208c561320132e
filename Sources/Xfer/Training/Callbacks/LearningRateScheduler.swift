import XferCore

extension TrainingState {
  /// Sets the rate of the coming steps; `XFER_E_STATE` where a schedule gives it.
  public func setLearningRate(_ rate: Double) throws {
    guard rate.isFinite, rate >= 0 else { throw XferError.invalid("learning_rate is to be 0 or above, \(rate) was given") }
    let optimizer = try optimizer
    guard optimizer.schedule == nil else {
      throw XferError.state("\(optimizer.name) follows a learning rate schedule: its rate cannot be set")
    }
    optimizer.learningRate = rate
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

  /// The schedule {"class_name","config"} is asked with the epoch's number.
  convenience init(config: inout Configuration) throws {
    guard let given = config.value("schedule"), given["class_name"] != nil else {
      throw XferError.invalid("LearningRateScheduler: 'schedule' is to be a learning rate schedule {\"class_name\", \"config\"}")
    }
    let schedule = try LearningRateSchedule(given)
    self.init(verbose: try config.int("verbose", 0)) { epoch, _ in try schedule(Double(epoch)) }
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
