import CXfer

/// An error sentence in a fixed buffer: no allocation, no Swift strings. What does not fit is cut.
struct Message {
  private typealias Block = SIMD64<UInt8>
  private var bytes: (Block, Block, Block, Block, Block, Block, Block, Block, Block, Block, Block, Block) = (
    Block(), Block(), Block(), Block(), Block(), Block(), Block(), Block(), Block(), Block(), Block(), Block()
  )
  private var length = 0

  mutating func byte(_ value: UInt8) {
    // The last byte stays 0.
    guard length < MemoryLayout.size(ofValue: bytes) - 1 else { return }
    withUnsafeMutableBytes(of: &bytes) { $0[length] = value }
    length += 1
  }

  mutating func text(_ value: StaticString) {
    for i in 0..<value.utf8CodeUnitCount { byte(value.utf8Start[i]) }
  }

  mutating func number(_ value: Int) {
    if value < 0 { byte(45) }
    var scale: UInt = 1
    while value.magnitude / scale >= 10 { scale *= 10 }
    while scale > 0 {
      byte(UInt8(48 + value.magnitude / scale % 10))
      scale /= 10
    }
  }

  /// For example `f32[2,3]`.
  mutating func tensor(_ value: xfer_tensor_desc) {
    text(dtypeName(value.dtype))
    byte(91)
    for axis in 0..<min(max(Int(value.rank), 0), 8) {
      if axis > 0 { byte(44) }
      number(value[axis])
    }
    byte(93)
  }

  func send(to host: UnsafePointer<xfer_host>) {
    withUnsafeBytes(of: bytes) { buffer in
      if let start = buffer.baseAddress { host.pointee.set_error?(host, start.assumingMemoryBound(to: CChar.self)) }
    }
  }
}

func dtypeName(_ dtype: xfer_dtype) -> StaticString {
  switch dtype {
  case XFER_F32: "f32"
  case XFER_F64: "f64"
  case XFER_BF16: "bf16"
  case XFER_F16: "f16"
  case XFER_U8: "u8"
  case XFER_I32: "i32"
  case XFER_I64: "i64"
  case XFER_BOOL: "bool"
  default: "unknown"
  }
}

/// Bytes of one element, nil for a number that names no type.
func dtypeSize(_ dtype: xfer_dtype) -> Int? {
  switch dtype {
  case XFER_F64, XFER_I64: 8
  case XFER_F32, XFER_I32: 4
  case XFER_BF16, XFER_F16: 2
  case XFER_U8, XFER_BOOL: 1
  default: nil
  }
}
