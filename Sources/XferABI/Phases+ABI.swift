public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_phases_json(
  _ plan: UnsafePointer<CChar>?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try PhasePlan(text: string(plan, "plan")).json.text() } }
}

@c @implementation public func xfer_trainer_fit_phases(
  _ trainer: OpaquePointer?, _ plan: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ options: UnsafePointer<xfer_fit_options>?,
  _ history: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(history, .history) {
      let trainer = try held(trainer)
      let plan = try PhasePlan(text: string(plan, "plan"))
      var phases = try phaseOptions(XferABI.config(config))
      let given = try FitData(options)
      let (data, validation) = try given.training()
      phases.fit = try fitOptions(given, validation)
      return try trainer.fit(data, phases: plan, options: phases)
    }
  }
}

private func phaseOptions(_ json: JSONValue) throws -> PhaseOptions {
  var config = try Configuration(json, for: "config")
  var options = PhaseOptions()
  if config.value("checkpoint") != nil { options.checkpoint = try config.string("checkpoint", "") }
  if let frequency = config.value("save_freq"), frequency.stringValue != "epoch" {
    guard let batches = frequency.intValue, batches > 0 else {
      throw config.wrong("save_freq", "'epoch' or a whole number above 0", frequency)
    }
    options.saveFrequency = batches
  }
  options.resume = try config.bool("resume", false)
  options.deleteCheckpoint = try config.bool("delete_checkpoint", true)
  options.identity = config.value("identity") ?? [:]
  try config.finish()
  return options
}
