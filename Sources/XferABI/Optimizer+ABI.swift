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

@c @implementation public func xfer_optimizer_release(_ optimizer: OpaquePointer?) { HandleTable.release(optimizer, .optimizer) }
