public import CXfer
import XferCore
import XferGraph

@c @implementation public func xfer_weight_path(
  _ weight: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try object(weight, .weight, "weight").path } }
}

@c @implementation public func xfer_weight_shape(
  _ weight: OpaquePointer?, _ rank: UnsafeMutablePointer<Int32>?, _ dims: UnsafeMutablePointer<Int64>?
) -> xfer_status {
  call { try give(object(weight, .weight, "weight").shape, rank, dims) }
}

@c @implementation public func xfer_weight_trainable(_ weight: OpaquePointer?, _ trainable: UnsafeMutablePointer<Int32>?) -> xfer_status {
  call { try out(trainable, "trainable").pointee = object(weight, .weight, "weight").trainable ? 1 : 0 }
}

@c @implementation public func xfer_weight_read(_ weight: OpaquePointer?, _ values: UnsafeMutablePointer<OpaquePointer?>?) -> xfer_status {
  call { try give(values, .tensor) { try object(weight, .weight, "weight").tensor.copy() } }
}

@c @implementation public func xfer_weight_assign(_ weight: OpaquePointer?, _ values: OpaquePointer?) -> xfer_status {
  call { try object(weight, .weight, "weight").assign(object(values, .tensor, "values")) }
}

@c @implementation public func xfer_weight_id(_ weight: OpaquePointer?, _ id: UnsafeMutablePointer<UInt64>?) -> xfer_status {
  call { try out(id, "id").pointee = object(weight, .weight, "weight").identity }
}

@c @implementation public func xfer_weight_release(_ weight: OpaquePointer?) { HandleTable.release(weight, .weight) }
