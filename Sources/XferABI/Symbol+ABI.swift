public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_input_create(
  _ config: UnsafePointer<CChar>?, _ symbol: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(symbol, .symbol) {
      var configuration = try Configuration(XferABI.config(config), for: "Input")
      return try InputLayer(config: &configuration).symbol()
    }
  }
}

@c @implementation public func xfer_symbol_shape(
  _ symbol: OpaquePointer?, _ rank: UnsafeMutablePointer<Int32>?, _ dims: UnsafeMutablePointer<Int64>?
) -> xfer_status {
  call { try give(object(symbol, .symbol, "symbol").shape, rank, dims) }
}

@c @implementation public func xfer_symbol_release(_ symbol: OpaquePointer?) { HandleTable.release(symbol, .symbol) }
