public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_model_load(_ path: UnsafePointer<CChar>?, _ model: UnsafeMutablePointer<OpaquePointer?>?) -> xfer_status
{
  call { try give(model, .model) { try Model.load(string(path, "path")) } }
}

@c @implementation public func xfer_model_load_with(
  _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<CChar>?, _ model: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(model, .model) {
      var given = try Configuration(config(options, "options"), for: "options")
      let compile = try given.bool("compile", true)
      try given.finish()
      return try Model.load(string(path, "path"), compile: compile)
    }
  }
}

@c @implementation public func xfer_model_save(_ model: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> xfer_status {
  call { try object(model, .model, "model").save(string(path, "path")) }
}

@c @implementation public func xfer_model_save_weights(_ model: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> xfer_status {
  call { try object(model, .model, "model").saveWeights(string(path, "path")) }
}

@c @implementation public func xfer_model_save_delta(_ model: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> xfer_status {
  call { try object(model, .model, "model").saveDelta(string(path, "path")) }
}

@c @implementation public func xfer_model_load_delta(_ model: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> xfer_status {
  call { try object(model, .model, "model").loadDelta(string(path, "path")) }
}

@c @implementation public func xfer_model_load_weights(
  _ model: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ options: UnsafePointer<CChar>?, _ report: UnsafeMutablePointer<CChar>?,
  _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(report, capacity, length) {
      let model = try object(model, .model, "model")
      var options = try Configuration(config(options, "options"), for: "options")
      let byName = try options.bool("by_name", false)
      let skipMismatch = try options.bool("skip_mismatch", false)
      try options.finish()
      return try model.loadWeights(string(path, "path"), byName: byName, skipMismatch: skipMismatch).json.text()
    }
  }
}
