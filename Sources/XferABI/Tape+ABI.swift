public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_tape_create(_ tape: UnsafeMutablePointer<OpaquePointer?>?) -> xfer_status {
  call { try give(tape, .tape) { GradientTape() } }
}

@c @implementation public func xfer_tape_gradient(
  _ tape: OpaquePointer?, _ target: OpaquePointer?, _ weights: UnsafePointer<OpaquePointer?>?, _ count: Int,
  _ gradients: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    let tape = try object(tape, .tape, "tape")
    let weights = try objects(weights, count, .weight, "weights")
    _ = try elements(gradients.map { UnsafePointer($0) }, count, "gradients")
    let results = try tape.gradient(object(target, .tensor, "target"), weights)
    for (index, gradient) in results.enumerated() {
      gradients?[index] = gradient.flatMap { HandleTable.insert($0, .tensor) }
    }
  }
}

@c @implementation public func xfer_tape_release(_ tape: OpaquePointer?) { HandleTable.release(tape, .tape) }
