import CPluginSupport

/// Half a register's lanes, as doubles: where floats are too short for an intermediate result.
typealias Half = xfer_half

@inline(__always) func wide(_ x: Double) -> Half { Half(repeating: x) }

@inline(__always) private func polynomial(_ x: Half, _ c: Double, _ p: Half) -> Half { xfer_half_multiply_add(wide(c), x, p) }

/// Calls `body` with both halves of a register and joins the results.
@inline(__always) func inHalves(_ x: Vec, _ body: (Half) -> Half) -> Vec {
  xfer_vec_joined(body(xfer_vec_low(x)), body(xfer_vec_high(x)))
}

@inline(__always) func inHalves(_ a: Vec, _ b: Vec, _ body: (Half, Half) -> Half) -> Vec {
  xfer_vec_joined(body(xfer_vec_low(a), xfer_vec_low(b)), body(xfer_vec_high(a), xfer_vec_high(b)))
}

@inline(__always) func total(_ v: Half) -> Double {
  #if XFER_ISA_AVX512
    let four = v.lowHalf + v.highHalf
    let two = four.lowHalf + four.highHalf
  #elseif XFER_ISA_AVX2
    let two = v.lowHalf + v.highHalf
  #else
    let two = v
  #endif
  return two.x + two.y
}

/// The nearest whole number, halves to even, of any float; the sign of zero stays.
@inline(__always) func whole(_ x: Vec) -> Vec {
  let t = xfer_vec_abs(x)
  let r = (t + splat(8_388_608)) - splat(8_388_608)
  return xfer_vec_copysign(xfer_vec_if_less(t, splat(8_388_608), r, t), x)
}

/// log2 of a positive normal double: 2/ln2 artanh((m-1)/(m+1)) of what is left without its exponent. Relative error below 1e-15.
@inline(__always) func logarithm2(_ x: Half) -> Half {
  let m = xfer_half_m(x)
  let s = (m - wide(1)) / (m + wide(1))
  let q = s * s
  var p = wide(0.16972882833987804)
  p = polynomial(q, 0.19235933878519512, p)
  p = polynomial(q, 0.22195308321368667, p)
  p = polynomial(q, 0.2623081892525388, p)
  p = polynomial(q, 0.3205988979753252, p)
  p = polynomial(q, 0.4121985831111324, p)
  p = polynomial(q, 0.5770780163555853, p)
  p = polynomial(q, 0.9617966939259756, p)
  p = polynomial(q, 2.8853900817779268, p)
  return xfer_half_multiply_add(xfer_half_n(x), s, p)
}

/// 2 to the x for |x| up to 1000. Relative error below 1e-11.
@inline(__always) func power2(_ x: Half) -> Half {
  let f = x - xfer_half_round(x)
  var p = wide(1.0178086009239699e-07)
  p = polynomial(f, 1.3215486790144307e-06, p)
  p = polynomial(f, 1.525273380405984e-05, p)
  p = polynomial(f, 0.0001540353039338161, p)
  p = polynomial(f, 0.0013333558146428443, p)
  p = polynomial(f, 0.009618129107628477, p)
  p = polynomial(f, 0.05550410866482158, p)
  p = polynomial(f, 0.2402265069591007, p)
  p = polynomial(f, 0.6931471805599453, p)
  p = polynomial(f, 1, p)
  return xfer_half_scale2(p, xfer_half_round_bits(x))
}

/// cos(2 pi u) for u within 0...1. Absolute error below 1e-15.
@inline(__always) func cosineOfTurns(_ u: Half) -> Half {
  let quarters = u * wide(4)
  let r = (quarters - xfer_half_round(quarters)) * wide(1.5707963267948966)
  let s = r * r
  var sine = wide(-7.647163731819816e-13)
  sine = polynomial(s, 1.6059043836821613e-10, sine)
  sine = polynomial(s, -2.505210838544172e-08, sine)
  sine = polynomial(s, 2.7557319223985893e-06, sine)
  sine = polynomial(s, -0.0001984126984126984, sine)
  sine = polynomial(s, 0.008333333333333333, sine)
  sine = polynomial(s, -0.16666666666666666, sine)
  sine = xfer_half_multiply_add(r, r * s, sine)
  var cosine = wide(4.779477332387385e-14)
  cosine = polynomial(s, -1.1470745597729725e-11, cosine)
  cosine = polynomial(s, 2.08767569878681e-09, cosine)
  cosine = polynomial(s, -2.755731922398589e-07, cosine)
  cosine = polynomial(s, 2.48015873015873e-05, cosine)
  cosine = polynomial(s, -0.001388888888888889, cosine)
  cosine = polynomial(s, 0.041666666666666664, cosine)
  cosine = polynomial(s, -0.5, cosine)
  cosine = polynomial(s, 1, cosine)
  return xfer_half_quarter(xfer_half_round_bits(quarters), cosine, -sine)
}
