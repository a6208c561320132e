import CPluginSupport

/// Sine and cosine on registers, of any float; NaN for infinities and NaN. The largest error found on every fifth float against the double
/// precision libm is 1.59 ulp, with and without fused products.

@inline(__always) private func polynomial(_ x: Vec, _ c: Float, _ p: Vec) -> Vec { xfer_vec_multiply_add(splat(c), x, p) }

/// Up to here the products of `quarters` with the first part of pi/2, which has 33 bits, are exact.
private let nearLimit: Float = 1_048_576

/// x = n pi/2 + r with |r| <= pi/4.
@inline(__always) private func quarters(_ x: Vec) -> (n: xfer_ints, r: Vec) {
  let (low, lowBits) = remainder(xfer_vec_low(x))
  let (high, highBits) = remainder(xfer_vec_high(x))
  var n = xfer_ints_joined(lowBits, highBits)
  var r = xfer_vec_joined(low, high)
  if total(xfer_vec_if_less(xfer_vec_abs(x), splat(nearLimit), splat(0), splat(1))) != 0 { reduceFar(x, &n, &r) }
  return (n, r)
}

@inline(__always) private func remainder(_ x: Half) -> (Half, xfer_half_bits) {
  let t = x * wide(0.6366197723675814)
  let n = xfer_half_round(t)
  let r = xfer_half_multiply_add(xfer_half_multiply_add(x, n, wide(-0x1.921fb544p0)), n, wide(-0x1.0b4611a626331p-34))
  return (r, xfer_half_round_bits(t))
}

/// Lanes beyond the limit, one by one: they are rare.
@inline(never) private func reduceFar(_ x: Vec, _ n: inout xfer_ints, _ r: inout Vec) {
  for i in 0..<lanes where !(x[i].magnitude < nearLimit) {
    if x[i].isFinite { (n[i], r[i]) = farQuarters(x[i]) } else { r[i] = .nan }
  }
}

/// The bits of 2/pi, after eight zeros.
private let twoOverPi: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (
  0x00a2_f983, 0x6e4e_4415, 0x29fc_2757, 0xd1f5_34dd, 0xc0db_6295, 0x993c_4390, 0x41fe_5163, 0xabde_bbc5
)

/// As M. Payne and R. Hanek (1983): of the product with 2/pi only the bits that tell the quarter and what follows them are formed.
private func farQuarters(_ x: Float) -> (Int32, Float) {
  // x = mantissa * 2^exponent; bits of 2/pi that make multiples of four turns are left out.
  let mantissa = UInt64(x.magnitude.bitPattern & 0x7f_ffff | 0x80_0000)
  let exponent = Int(x.magnitude.bitPattern >> 23) &- 150
  let first = exponent &+ 6
  func bits(_ at: Int) -> UInt64 {
    let (word, shift) = (at >> 5, UInt64(at & 31))
    return withUnsafeBytes(of: twoOverPi) {
      let pair =
        UInt64($0.load(fromByteOffset: word &* 4, as: UInt32.self)) << 32 | UInt64($0.load(fromByteOffset: word &* 4 &+ 4, as: UInt32.self))
      return (pair << shift) >> 32
    }
  }
  let product = (mantissa &* bits(first)) << 32 &+ mantissa &* bits(first &+ 32) &+ (mantissa &* bits(first &+ 64)) >> 32
  // Two bits of quarters and 62 of their fraction.
  let n = (product &+ 1 << 61) >> 62
  let r = Double(Int64(bitPattern: product &- n << 62)) * 0x1.921fb54442d18p-62
  return x < 0 ? (-Int32(n), Float(-r)) : (Int32(n), Float(r))
}

@inline(__always) private func sineNearZero(_ r: Vec) -> Vec {
  let s = r * r
  var p = splat(-1.9515295891e-4)
  p = polynomial(s, 8.3321608736e-3, p)
  p = polynomial(s, -1.6666654611e-1, p)
  return xfer_vec_multiply_add(r, r * s, p)
}

@inline(__always) private func cosineNearZero(_ r: Vec) -> Vec {
  let s = r * r
  var p = splat(2.443315711809948e-5)
  p = polynomial(s, -1.388731625493765e-3, p)
  p = polynomial(s, 4.166664568298827e-2, p)
  return xfer_vec_multiply_add(xfer_vec_multiply_add(splat(1), splat(-0.5), s), s * s, p)
}

/// sin(x).
@inline(__always) func sine(_ x: Vec) -> Vec {
  let (n, r) = quarters(x)
  let y = xfer_vec_quarter(n, sineNearZero(r), cosineNearZero(r))
  return xfer_vec_if_less(xfer_vec_abs(x), splat(1e-4), x, y)
}

/// cos(x).
@inline(__always) func cosine(_ x: Vec) -> Vec {
  let (n, r) = quarters(x)
  return xfer_vec_quarter(n, cosineNearZero(r), -sineNearZero(r))
}
