public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_layer_set_call_arguments(_ layer: OpaquePointer?, _ arguments: UnsafePointer<CChar>?) -> xfer_status {
  call {
    let layer = try object(layer, .layer, "layer")
    let json = try XferABI.config(arguments)
    guard let given = json.objectValue else { throw invalid("arguments is to be a JSON object, \(json.text()) was given") }
    try layer.setCallArguments(given)
  }
}

@c @implementation public func xfer_layer_adapt(_ layer: OpaquePointer?, _ data: OpaquePointer?, _ more: Int32) -> xfer_status {
  call {
    let layer = try object(layer, .layer, "layer")
    guard let normalization = layer as? Normalization else {
      throw XferError.unsupported("'\(layer.name)' has nothing to adapt: a Normalization is wanted, \(type(of: layer).className) was given")
    }
    try normalization.adapt(object(data, .tensor, "data"), more: truth(more, "more"))
  }
}
