public import CXfer
import Xfer
import XferCore

/// The functions' addresses go on as they are: their types are in the signature.
private func address(_ function: xfer_kernel_fn?) throws -> UnsafeRawPointer {
  guard let function else { throw invalid("fn is NULL, a function is wanted") }
  return unsafeBitCast(function, to: UnsafeRawPointer.self)
}

private func address(_ function: xfer_frame_fn?) throws -> xfer_frame_fn {
  guard let function else { throw invalid("fn is NULL, a function is wanted") }
  return function
}

@c @implementation public func xfer_kernel_register(
  _ name: UnsafePointer<CChar>?, _ signature: UnsafePointer<CChar>?, _ fn: xfer_kernel_fn?, _ user: UnsafeMutableRawPointer?,
  _ destroy: xfer_destroy_fn?
) -> xfer_status {
  call { try Kernel.register(string(name, "name"), string(signature, "signature"), address(fn), user: user, destroy: destroy) }
}

@c @implementation public func xfer_kernel_set_backward(
  _ name: UnsafePointer<CChar>?, _ signature: UnsafePointer<CChar>?, _ fn: xfer_kernel_fn?, _ user: UnsafeMutableRawPointer?,
  _ destroy: xfer_destroy_fn?
) -> xfer_status {
  call { try Kernel.registerBackward(string(name, "name"), string(signature, "signature"), address(fn), user: user, destroy: destroy) }
}

@c @implementation public func xfer_kernel_register_frame(
  _ name: UnsafePointer<CChar>?, _ fn: xfer_frame_fn?, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?
) -> xfer_status {
  call { try Kernel.registerFrame(string(name, "name"), address(fn), user: user, destroy: destroy) }
}

@c @implementation public func xfer_kernel_set_backward_frame(
  _ name: UnsafePointer<CChar>?, _ fn: xfer_frame_fn?, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?
) -> xfer_status {
  call { try Kernel.registerFrameBackward(string(name, "name"), address(fn), user: user, destroy: destroy) }
}

@c @implementation public func xfer_kernel_unregister(_ name: UnsafePointer<CChar>?) -> xfer_status {
  call { try Kernel.unregister(string(name, "name")) }
}

@c @implementation public func xfer_kernels_json(
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { JSONValue.object(["kernels": Kernel.report]).text() } }
}

@c @implementation public func xfer_kernel_signature_json(
  _ signature: UnsafePointer<CChar>?, _ backward: Int32, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      try KernelSignature(string(signature, "signature"), backward: truth(backward, "backward")).json.text()
    }
  }
}
