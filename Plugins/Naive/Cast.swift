import CPluginMath
import CXfer

/// An element on its way from one type to another: 64-bit integers do not fit a Double.
enum Number {
  case real(Double)
  case whole(Int64)
}

func validateCast(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 1, outputs: 1)
  try op.require(op.inputs[0].hasShape(of: op.outputs[0]), XFER_E_SHAPE, "input and output have different shapes")
}

func cast(_ call: Call) {
  let (from, to) = (call.op.inputs[0].dtype, call.op.outputs[0].dtype)
  let (x, y) = (call.raw(0), call.rawOutput(0))
  call.op.parallel(call.op.outputs[0].count, grain: elementGrain) { range in
    for i in range { write(read(x, i, from), to: y, i, to) }
  }
}

private func read(_ x: UnsafeRawPointer, _ i: Int, _ dtype: xfer_dtype) -> Number {
  switch dtype {
  case XFER_F32: .real(Double(x.load(fromByteOffset: i * 4, as: Float.self)))
  case XFER_F64: .real(x.load(fromByteOffset: i * 8, as: Double.self))
  case XFER_BF16: .real(widen(x.load(fromByteOffset: i * 2, as: UInt16.self), fraction: 7))
  case XFER_F16: .real(widen(x.load(fromByteOffset: i * 2, as: UInt16.self), fraction: 10))
  case XFER_U8: .whole(Int64(x.load(fromByteOffset: i, as: UInt8.self)))
  case XFER_BOOL: .whole(x.load(fromByteOffset: i, as: UInt8.self) == 0 ? 0 : 1)
  case XFER_I32: .whole(Int64(x.load(fromByteOffset: i * 4, as: Int32.self)))
  default: .whole(x.load(fromByteOffset: i * 8, as: Int64.self))
  }
}

func write(_ value: Number, to y: UnsafeMutableRawPointer, _ i: Int, _ dtype: xfer_dtype) {
  switch dtype {
  case XFER_F32:
    switch value {
    case .real(let real): y.storeBytes(of: Float(real), toByteOffset: i * 4, as: Float.self)
    case .whole(let whole): y.storeBytes(of: Float(whole), toByteOffset: i * 4, as: Float.self)
    }
  case XFER_F64:
    switch value {
    case .real(let real): y.storeBytes(of: real, toByteOffset: i * 8, as: Double.self)
    case .whole(let whole): y.storeBytes(of: Double(whole), toByteOffset: i * 8, as: Double.self)
    }
  case XFER_BF16: y.storeBytes(of: narrow(real(value), fraction: 7), toByteOffset: i * 2, as: UInt16.self)
  case XFER_F16: y.storeBytes(of: narrow(real(value), fraction: 10), toByteOffset: i * 2, as: UInt16.self)
  case XFER_U8: y.storeBytes(of: UInt8(whole(value, 0, 255)), toByteOffset: i, as: UInt8.self)
  case XFER_BOOL:
    let isZero =
      switch value {
      case .real(let real): real == 0;
      case .whole(let whole): whole == 0
      }
    y.storeBytes(of: isZero ? 0 : 1, toByteOffset: i, as: UInt8.self)
  case XFER_I32:
    y.storeBytes(of: Int32(whole(value, Int64(Int32.min), Int64(Int32.max))), toByteOffset: i * 4, as: Int32.self)
  default: y.storeBytes(of: whole(value, .min, .max), toByteOffset: i * 8, as: Int64.self)
  }
}

/// To the nearest integer, halves to even, within bounds; NaN gives 0.
private func whole(_ value: Number, _ low: Int64, _ high: Int64) -> Int64 {
  switch value {
  case .whole(let whole): return min(max(whole, low), high)
  case .real(let real):
    if real.isNaN { return 0 }
    let rounded = xfer_rint(real)
    // Double(Int64.max) is 2^63, the first value that does not fit.
    if rounded >= Double(high) { return high }
    if rounded <= Double(low) { return low }
    return Int64(rounded)
  }
}

/// A Double that rounds to a 16-bit float as the number itself does: bits a Double cannot hold are kept as one sticky bit.
private func real(_ value: Number) -> Double {
  switch value {
  case .real(let real): return real
  case .whole(let whole):
    if whole.magnitude < 1 << 53 { return Double(whole) }
    let lost: UInt64 = 0x7ff
    let kept = whole.magnitude & ~lost | (whole.magnitude & lost == 0 ? 0 : lost + 1)
    return whole < 0 ? -Double(kept) : Double(kept)
  }
}

/// A 16-bit float with `fraction` bits behind the point (10: IEEE half, 7: bfloat16).
private func widen(_ bits: UInt16, fraction: Int) -> Double {
  let exponentBits = 15 - fraction
  let bias = (1 << (exponentBits - 1)) - 1
  let exponent = Int(bits >> UInt16(fraction)) & ((1 << exponentBits) - 1)
  let significand = Double(bits & ((1 << UInt16(fraction)) - 1)) / Double(1 << fraction)
  let sign: Double = bits >> 15 == 0 ? 1 : -1
  if exponent == (1 << exponentBits) - 1 { return significand == 0 ? sign * .infinity : .nan }
  return exponent == 0 ? sign * significand * powerOfTwo(1 - bias) : sign * (1 + significand) * powerOfTwo(exponent - bias)
}

/// Rounds once, to the nearest, halves to even; too large becomes infinity, NaN stays NaN.
private func narrow(_ value: Double, fraction: Int) -> UInt16 {
  let exponentBits = 15 - fraction
  let bias = (1 << (exponentBits - 1)) - 1
  let infinity = UInt16((1 << exponentBits) - 1) << UInt16(fraction)
  let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
  let magnitude = value.magnitude
  if magnitude.isNaN { return sign | infinity | 1 << UInt16(fraction - 1) }
  if magnitude >= powerOfTwo(bias + 1) { return sign | infinity }
  // In units of the last place the number is a whole number below 2^(fraction+1), its exponent below.
  let exponent = max(Int((magnitude.bitPattern >> 52) & 0x7ff) - 1023, 1 - bias)
  let units = UInt16(xfer_rint(magnitude / powerOfTwo(exponent - fraction)))
  // Units beyond 2^fraction carry into the exponent field by themselves, up to infinity.
  return sign | (UInt16(exponent + bias - 1) << UInt16(fraction) + units)
}

private func powerOfTwo(_ exponent: Int) -> Double { Double(bitPattern: UInt64(exponent + 1023) << 52) }
