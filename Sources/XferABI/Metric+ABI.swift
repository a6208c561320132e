public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_metric_create(
  _ className: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ metric: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call { try give(metric, .metric) { try Metric.make(string(className, "class_name"), config: XferABI.config(config)) } }
}

@c @implementation public func xfer_metric_config(
  _ metric: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      let metric = try object(metric, .metric, "metric")
      return described(metric.configClassName, metric.config)
    }
  }
}

@c @implementation public func xfer_metric_update(
  _ metric: OpaquePointer?, _ truth: OpaquePointer?, _ prediction: OpaquePointer?, _ sampleWeight: OpaquePointer?
) -> xfer_status {
  call {
    let metric = try object(metric, .metric, "metric")
    let values = try object(prediction, .tensor, "y_pred")
    // Mean and Sum read no targets.
    let targets = truth == nil && (metric is Mean || metric is Sum) ? values : try object(truth, .tensor, "y_true")
    try metric.update(targets, values, sampleWeight: optional(sampleWeight, .tensor, "sample_weight"))
  }
}

@c @implementation public func xfer_metric_result(_ metric: OpaquePointer?, _ value: UnsafeMutablePointer<Double>?) -> xfer_status {
  call { try out(value, "value").pointee = object(metric, .metric, "metric").result }
}

@c @implementation public func xfer_metric_reset(_ metric: OpaquePointer?) -> xfer_status {
  call { try object(metric, .metric, "metric").reset() }
}

@c @implementation public func xfer_metric_release(_ metric: OpaquePointer?) { HandleTable.release(metric, .metric) }

@c @implementation public func xfer_metric_result_tensor(
  _ metric: OpaquePointer?, _ value: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call { try give(value, .tensor) { try object(metric, .metric, "metric").resultTensor() } }
}

@c @implementation public func xfer_metric_state(
  _ metric: OpaquePointer?, _ values: UnsafeMutablePointer<Double>?, _ capacity: Int, _ count: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    let room = try elements(values.map { UnsafePointer($0) }, capacity, "values").count
    let state = try object(metric, .metric, "metric").state
    count?.pointee = state.count
    for (index, number) in state.enumerated() where index < room { values?[index] = number }
  }
}

@c @implementation public func xfer_metric_set_state(
  _ metric: OpaquePointer?, _ values: UnsafePointer<Double>?, _ count: Int
) -> xfer_status {
  call {
    let metric = try object(metric, .metric, "metric")
    let given = Array(try elements(values, count, "values"))
    let known = metric.state.count
    // Metrics that learn their size from the first batch have no state before it.
    guard known == 0 || given.isEmpty || known == given.count || metric.stateGrows else {
      throw invalid("\(given.count) numbers are given, the state of the metric '\(metric.name)' has \(known)")
    }
    metric.restore(given)
  }
}

@c @implementation public func xfer_metric_create_custom(
  _ name: UnsafePointer<CChar>?, _ update: xfer_metric_update_fn?, _ result: xfer_metric_result_fn?, _ reset: xfer_metric_reset_fn?,
  _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?, _ metric: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(metric, .metric) {
      let name = try string(name, "name")
      guard let update, let result, let reset else { throw invalid("update, result and reset are functions, one of them is NULL") }
      let owner = UserPointer(user, destroy)
      return CustomMetric(
        name: name,
        update: { truth, prediction, weights in
          // The callback borrows the tensors: their handles end with its call.
          let handles = [truth, prediction, weights].map { tensor in tensor.flatMap { HandleTable.insert($0, .tensor) } }
          defer { for handle in handles { HandleTable.release(handle, .tensor) } }
          let status = update(owner.pointer, handles[0], handles[1], handles[2])
          guard status == 0 else { throw XferError.data("the update callback of the metric '\(name)' failed with \(status)") }
        },
        result: { result(owner.pointer) }, reset: { reset(owner.pointer) })
    }
  }
}

/// A callback's user pointer, destroyed with its last holder.
private final class UserPointer {
  let pointer: UnsafeMutableRawPointer?
  private let destroy: xfer_destroy_fn?
  init(_ pointer: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?) { (self.pointer, self.destroy) = (pointer, destroy) }
  deinit { destroy?(pointer) }
}
