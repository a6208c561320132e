public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_callback_create(
  _ className: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ callback: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call { try give(callback, .callback) { try Callback.make(string(className, "class_name"), config: XferABI.config(config)) } }
}

@c @implementation public func xfer_callback_create_function(
  _ function: xfer_event_fn?, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?,
  _ callback: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(callback, .callback) {
      guard let function else { throw invalid("function is NULL, a function is wanted") }
      return ForeignCallback(function, user, destroy)
    }
  }
}

@c @implementation public func xfer_callback_set_log(
  _ callback: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ value: Double
) -> xfer_status {
  call {
    guard let foreign = try object(callback, .callback, "callback") as? ForeignCallback else {
      throw invalid("callback is no callback of xfer_callback_create_function")
    }
    try foreign.set(string(name, "name"), value)
  }
}

@c @implementation public func xfer_callback_facts(
  _ callback: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try JSONValue.object(object(callback, .callback, "callback").facts).text() } }
}

@c @implementation public func xfer_callback_release(_ callback: OpaquePointer?) { HandleTable.release(callback, .callback) }

/// A callback of a C program's.
final class ForeignCallback: Callback {
  private let function: xfer_event_fn
  private let user: UnsafeMutableRawPointer?
  private let destroy: xfer_destroy_fn?
  /// What the function puts into the logs of the event it is called with; nil outside of one.
  private var added: [(String, Double)]?

  init(_ function: xfer_event_fn, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?) {
    (self.function, self.user, self.destroy) = (function, user, destroy)
  }

  deinit { destroy?(user) }

  func set(_ name: String, _ value: Double) throws {
    guard added != nil else { throw XferError.state("numbers can be put into the logs within an event only") }
    added?.append((name, value))
  }

  override func receive(_ event: TrainingEvent, _ index: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    added = []
    defer { added = nil }
    let isEpoch = event == .epochBegin || event == .epochEnd
    let status = function(user, event.rawValue, Int64(state.epoch), isEpoch ? 0 : Int64(index), logs.json.text())
    guard status == 0 else { throw XferError(XFER_E_CANCELLED, "training was stopped by a callback in epoch \(state.epoch + 1)") }
    for (name, value) in added ?? [] { logs.set(name, value) }
  }
}
