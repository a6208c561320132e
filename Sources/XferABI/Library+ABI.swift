public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_last_error() -> UnsafePointer<CChar>? { LastError.text }

@c @implementation public func xfer_status_name(_ status: xfer_status) -> UnsafePointer<CChar>? {
  let name: StaticString =
    switch status {
    case XFER_OK: "XFER_OK"
    case XFER_E_INVALID_ARGUMENT: "XFER_E_INVALID_ARGUMENT"
    case XFER_E_INVALID_HANDLE: "XFER_E_INVALID_HANDLE"
    case XFER_E_SHAPE: "XFER_E_SHAPE"
    case XFER_E_DTYPE: "XFER_E_DTYPE"
    case XFER_E_NOT_FOUND: "XFER_E_NOT_FOUND"
    case XFER_E_IO: "XFER_E_IO"
    case XFER_E_FORMAT: "XFER_E_FORMAT"
    case XFER_E_UNSUPPORTED: "XFER_E_UNSUPPORTED"
    case XFER_E_PLUGIN: "XFER_E_PLUGIN"
    case XFER_E_OUT_OF_MEMORY: "XFER_E_OUT_OF_MEMORY"
    case XFER_E_CANCELLED: "XFER_E_CANCELLED"
    case XFER_E_STALE_TRAINABLE: "XFER_E_STALE_TRAINABLE"
    case XFER_E_NOT_COMPILED: "XFER_E_NOT_COMPILED"
    case XFER_E_NON_FINITE: "XFER_E_NON_FINITE"
    case XFER_E_DATA: "XFER_E_DATA"
    case XFER_E_STATE: "XFER_E_STATE"
    case XFER_E_INTERNAL: "XFER_E_INTERNAL"
    default: "XFER_E_UNKNOWN"
    }
  return name.cString
}

/// The header's numbers as text; a test compares the two.
private let version: StaticString = "0.1.0"

@c @implementation public func xfer_version_string() -> UnsafePointer<CChar>? { version.cString }

@c @implementation public func xfer_abi_version() -> UInt32 { UInt32(XFER_VERSION_MAJOR) << 16 | UInt32(XFER_VERSION_MINOR) }

@c @implementation public func xfer_set_threads(_ threads: Int32) -> xfer_status {
  call { try ThreadPool.shared.setThreadCount(Int(threads)) }
}

@c @implementation public func xfer_get_threads() -> Int32 { Int32(ThreadPool.shared.threadCount) }

@c @implementation public func xfer_set_backend(_ name: UnsafePointer<CChar>?) -> xfer_status {
  call { try Backend.select(string(name, "name")) }
}

@c @implementation public func xfer_set_precision(_ name: UnsafePointer<CChar>?) -> xfer_status {
  call { Precision.current = try Precision(named: string(name, "name")) }
}

@c @implementation public func xfer_set_random_seed(_ seed: UInt64) -> xfer_status {
  call { RandomSeed.set(seed) }
}

@c @implementation public func xfer_plugin_load(_ path: UnsafePointer<CChar>?) -> xfer_status {
  call { try PluginHost.shared.add(path: string(path, "path")) }
}

@c @implementation public func xfer_plugins_json(
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      let host = PluginHost.shared
      let plugins = host.plugins.map { plugin -> JSONValue in
        [
          "kind": .string(plugin.kind.name), "name": .string(plugin.name), "version": .string(plugin.version),
          "score": .int(plugin.score), "path": .string(plugin.path),
        ]
      }
      let rejected = host.rejected.map { file -> JSONValue in ["path": .string(file.path), "reason": .string(file.reason)] }
      let report: JSONValue = [
        "plugins": .array(plugins), "rejected": .array(rejected), "search_path": .array(PluginHost.searchPath.map { .string($0) }),
      ]
      return report.text()
    }
  }
}

/// Owns what a C caller gave to take log lines.
private final class LogFunction: @unchecked Sendable {
  let function: xfer_log_fn
  let user: UnsafeMutableRawPointer?
  let destroy: xfer_destroy_fn?

  init(_ function: @escaping xfer_log_fn, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?) {
    (self.function, self.user, self.destroy) = (function, user, destroy)
  }

  deinit { destroy?(user) }
}

@c @implementation public func xfer_set_log(
  _ function: xfer_log_fn?, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?
) -> xfer_status {
  call {
    guard let function else { return setLogHandler(nil) }
    let held = LogFunction(function, user, destroy)
    setLogHandler { held.function(held.user, $0, $1) }
  }
}
