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
      return described(type(of: metric).className, metric.config)
    }
  }
}

@c @implementation public func xfer_metric_update(
  _ metric: OpaquePointer?, _ truth: OpaquePointer?, _ prediction: OpaquePointer?, _ sampleWeight: OpaquePointer?
) -> xfer_status {
  call {
    try object(metric, .metric, "metric").update(
      object(truth, .tensor, "y_true"), object(prediction, .tensor, "y_pred"),
      sampleWeight: optional(sampleWeight, .tensor, "sample_weight"))
  }
}

@c @implementation public func xfer_metric_result(_ metric: OpaquePointer?, _ value: UnsafeMutablePointer<Double>?) -> xfer_status {
  call { try out(value, "value").pointee = object(metric, .metric, "metric").result }
}

@c @implementation public func xfer_metric_reset(_ metric: OpaquePointer?) -> xfer_status {
  call { try object(metric, .metric, "metric").reset() }
}

@c @implementation public func xfer_metric_release(_ metric: OpaquePointer?) { HandleTable.release(metric, .metric) }
