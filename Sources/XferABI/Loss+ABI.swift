public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_loss_create(
  _ className: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ loss: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call { try give(loss, .loss) { try Loss.make(string(className, "class_name"), config: XferABI.config(config)) } }
}

@c @implementation public func xfer_loss_config(
  _ loss: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      let loss = try object(loss, .loss, "loss")
      return described(type(of: loss).className, loss.config)
    }
  }
}

@c @implementation public func xfer_loss_call(
  _ loss: OpaquePointer?, _ truth: OpaquePointer?, _ prediction: OpaquePointer?, _ sampleWeight: OpaquePointer?, _ tape: OpaquePointer?,
  _ value: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(value, .tensor) {
      try object(loss, .loss, "loss")(
        object(truth, .tensor, "y_true"), object(prediction, .tensor, "y_pred"),
        sampleWeight: optional(sampleWeight, .tensor, "sample_weight"), tape: optional(tape, .tape, "tape"))
    }
  }
}

@c @implementation public func xfer_loss_release(_ loss: OpaquePointer?) { HandleTable.release(loss, .loss) }
