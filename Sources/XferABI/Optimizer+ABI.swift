public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_optimizer_create(
  _ className: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ optimizer: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(optimizer, .optimizer) { try Optimizer.make(string(className, "class_name"), config: XferABI.config(config)) }
  }
}

@c @implementation public func xfer_optimizer_config(
  _ optimizer: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      let optimizer = try object(optimizer, .optimizer, "optimizer")
      return described(type(of: optimizer).className, optimizer.config)
    }
  }
}

/// {"class_name":..., "config":{...}} as Keras serializes objects.
func described(_ className: String, _ config: JSONValue) -> String {
  let description: JSONValue = ["class_name": .string(className), "config": config]
  return description.text()
}

@c @implementation public func xfer_optimizer_get_learning_rate(
  _ optimizer: OpaquePointer?, _ rate: UnsafeMutablePointer<Double>?
) -> xfer_status {
  call { try out(rate, "rate").pointee = object(optimizer, .optimizer, "optimizer").learningRate }
}

@c @implementation public func xfer_optimizer_set_learning_rate(_ optimizer: OpaquePointer?, _ rate: Double) -> xfer_status {
  call {
    let optimizer = try object(optimizer, .optimizer, "optimizer")
    guard rate.isFinite, rate >= 0 else { throw invalid("rate is to be 0 or above, \(rate) was given") }
    guard optimizer.schedule == nil else {
      throw XferError.state("\(optimizer.name) follows a learning rate schedule: its rate cannot be set")
    }
    optimizer.learningRate = rate
  }
}

@c @implementation public func xfer_optimizer_iterations(
  _ optimizer: OpaquePointer?, _ iterations: UnsafeMutablePointer<UInt64>?
) -> xfer_status {
  call { try out(iterations, "iterations").pointee = object(optimizer, .optimizer, "optimizer").iterations }
}

@c @implementation public func xfer_optimizer_apply(
  _ optimizer: OpaquePointer?, _ gradients: UnsafePointer<OpaquePointer?>?, _ weights: UnsafePointer<OpaquePointer?>?, _ count: Int
) -> xfer_status {
  call {
    let optimizer = try object(optimizer, .optimizer, "optimizer")
    let gradients = try elements(gradients, count, "gradients").enumerated().map { try optional($1, .tensor, "gradients[\($0)]") }
    try optimizer.apply(gradients, to: objects(weights, count, .weight, "weights"))
  }
}

@c @implementation public func xfer_optimizer_build(
  _ optimizer: OpaquePointer?, _ weights: UnsafePointer<OpaquePointer?>?, _ count: Int
) -> xfer_status {
  call { try object(optimizer, .optimizer, "optimizer").build(objects(weights, count, .weight, "weights")) }
}

@c @implementation public func xfer_optimizer_rebind(
  _ optimizer: OpaquePointer?, _ weights: UnsafePointer<OpaquePointer?>?, _ count: Int, _ keepSlots: Int32
) -> xfer_status {
  call {
    try object(optimizer, .optimizer, "optimizer").rebind(
      objects(weights, count, .weight, "weights"), keepSlots: truth(keepSlots, "keep_slots"))
  }
}

@c @implementation public func xfer_optimizer_exclude_from_weight_decay(
  _ optimizer: OpaquePointer?, _ weights: UnsafePointer<OpaquePointer?>?, _ count: Int, _ names: UnsafePointer<CChar>?
) -> xfer_status {
  call {
    let texts = try optional(names, "names").map { try JSONValue(parsing: $0, what: "names") } ?? []
    guard let list = texts.arrayValue, case let strings = list.compactMap(\.stringValue), strings.count == list.count else {
      throw invalid("names is to be a JSON list of strings, \(texts.text()) was given")
    }
    try object(optimizer, .optimizer, "optimizer").excludeFromWeightDecay(objects(weights, count, .weight, "weights"), names: strings)
  }
}

/// Owns what a C caller gave for a schedule.
private final class ScheduleFunction: @unchecked Sendable {
  let function: xfer_schedule_fn
  let user: UnsafeMutableRawPointer?
  let destroy: xfer_destroy_fn?

  init(_ function: @escaping xfer_schedule_fn, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?) {
    (self.function, self.user, self.destroy) = (function, user, destroy)
  }

  deinit { destroy?(user) }
}

@c @implementation public func xfer_optimizer_set_schedule(
  _ optimizer: OpaquePointer?, _ function: xfer_schedule_fn?, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?
) -> xfer_status {
  call {
    let optimizer = try object(optimizer, .optimizer, "optimizer")
    guard let function else { throw invalid("schedule is NULL, a function is wanted") }
    let held = ScheduleFunction(function, user, destroy)
    optimizer.schedule = .function { held.function(held.user, UInt64($0)) }
  }
}

@c @implementation public func xfer_schedule_value(
  _ className: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ step: Double, _ rate: UnsafeMutablePointer<Double>?
) -> xfer_status {
  call {
    let place = try out(rate, "rate")
    place.pointee = try LearningRateSchedule(className: string(className, "class_name"), config: XferABI.config(config))(step)
  }
}

@c @implementation public func xfer_optimizer_state_count(_ optimizer: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?) -> xfer_status {
  call { try out(count, "count").pointee = object(optimizer, .optimizer, "optimizer").stateVariables.count }
}

private func state(_ optimizer: OpaquePointer?, _ index: Int) throws -> (name: String, tensor: Tensor) {
  let state = try object(optimizer, .optimizer, "optimizer").stateVariables
  guard state.indices.contains(index) else { throw invalid("index is to be below \(state.count), \(UInt(bitPattern: index)) was given") }
  return state[index]
}

@c @implementation public func xfer_optimizer_state_name(
  _ optimizer: OpaquePointer?, _ index: Int, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try state(optimizer, index).name } }
}

@c @implementation public func xfer_optimizer_state_read(
  _ optimizer: OpaquePointer?, _ index: Int, _ values: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call { try give(values, .tensor) { try state(optimizer, index).tensor.copy() } }
}

@c @implementation public func xfer_optimizer_state_assign(_ optimizer: OpaquePointer?, _ index: Int, _ values: OpaquePointer?)
  -> xfer_status
{
  call { try object(optimizer, .optimizer, "optimizer").setState(index, object(values, .tensor, "values")) }
}

@c @implementation public func xfer_optimizer_finalize(_ optimizer: OpaquePointer?) -> xfer_status {
  call { try object(optimizer, .optimizer, "optimizer").finalizeVariableValues() }
}

@c @implementation public func xfer_initializer_call(
  _ className: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ rank: Int32, _ dims: UnsafePointer<Int64>?,
  _ values: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(values, .tensor) {
      try Initializer(className: string(className, "class_name"), config: XferABI.config(config)).make(shape(rank, dims))
    }
  }
}

@c @implementation public func xfer_rule_call(
  _ className: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ values: OpaquePointer?,
  _ result: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(result, .tensor) {
      try WeightRules.make(string(className, "class_name"), config: XferABI.config(config)).callAsFunction(
        object(values, .tensor, "values"))
    }
  }
}

@c @implementation public func xfer_optimizer_release(_ optimizer: OpaquePointer?) { HandleTable.release(optimizer, .optimizer) }
