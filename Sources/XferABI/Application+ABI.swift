public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_application_create(
  _ architecture: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ model: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(model, .model) { try Application.make(string(architecture, "architecture"), config: XferABI.config(config)) }
  }
}

@c @implementation public func xfer_application_preprocess(
  _ architecture: UnsafePointer<CChar>?, _ pixels: OpaquePointer?, _ output: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(output, .tensor) { try Application.preprocess(string(architecture, "architecture"), object(pixels, .tensor, "pixels")) }
  }
}
