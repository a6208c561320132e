import CPluginSupport

/// Elementary functions on registers. The largest errors found on every fifth float against the double precision libm, with and without fused products,
/// by Benchmarks/kernels/accuracy.c: exp 0.99 and 0.97 ulp, expm1 1.46 and 1.54, tanh 1.51, erf 1.04 and 1.19, sigmoid 2.37, silu 3.17 and 3.29,
/// softplus 2.77. NaN, infinities and signed zeros as in C; but where sigmoid and log(1+exp(-x)) would be denormal they are 0.

@inline(__always) private func polynomial(_ x: Vec, _ c: Float, _ p: Vec) -> Vec { xfer_vec_multiply_add(splat(c), x, p) }

/// x = n ln2 + r with |r| <= ln2/2; n comes back as a float, and exp(r)-1 as a polynomial.
@inline(__always) private func reduced(_ x: Vec) -> (n: Vec, expm1: Vec) {
  let n = xfer_vec_round(x * splat(1.44269504))
  let r = xfer_vec_multiply_add(xfer_vec_multiply_add(x, n, splat(-0.693145752)), n, splat(-1.42860677e-6))
  // In three pairs: half as long a chain as one coefficient after another.
  let s = r * r
  let high = polynomial(r, 1.39304355e-3, splat(1.98527617e-4))
  let middle = polynomial(r, 4.16664928e-2, splat(8.33336078e-3))
  let low = polynomial(r, 0.5, splat(1.66666672e-1))
  let p = xfer_vec_multiply_add(low, s, xfer_vec_multiply_add(middle, s, high))
  return (n, xfer_vec_multiply_add(r, s, p))
}

/// exp(x): infinite above 88.72, denormal and then 0 below -87.3, NaN for NaN.
@inline(__always) func exponential(_ x: Vec) -> Vec {
  let bounded = xfer_vec_min(splat(89), xfer_vec_max(splat(-104), x))
  let (n, p) = reduced(bounded)
  // Two factors, so that neither leaves the range of normal exponents.
  let half = xfer_vec_round(n * splat(0.5))
  return xfer_vec_scale2(xfer_vec_scale2(p + splat(1), half), n - half)
}

/// exp(-t) for t >= 0, and 0 where it would be denormal, above 87.33: many processors take a hundred times as long for such numbers, and TensorFlow
/// has none either.
@inline(__always) func decay(_ t: Vec) -> Vec {
  let least = splat(-87.33)
  let (n, p) = reduced(xfer_vec_max(least, -t))
  return xfer_vec_if_less(-t, least, splat(0), xfer_vec_scale2(p + splat(1), n))
}

/// exp(x)-1 for x <= 0 without cancellation; above, it is not meant to be used.
@inline(__always) func exponentialMinusOne(_ x: Vec) -> Vec {
  let (n, p) = reduced(xfer_vec_max(splat(-60), xfer_vec_min(splat(0), x)))
  let scale = xfer_vec_scale2(splat(1), n)
  return xfer_vec_multiply_add(scale - splat(1), scale, p)
}

/// exp(x)-1 on both sides; infinite above 88.72.
@inline(__always) func exponentialLessOne(_ x: Vec) -> Vec {
  let (n, p) = reduced(xfer_vec_max(splat(-60), xfer_vec_min(splat(88), x)))
  let scale = xfer_vec_scale2(splat(1), n)
  let result = xfer_vec_if_less(splat(88), x, exponential(x), xfer_vec_multiply_add(scale - splat(1), scale, p))
  return xfer_vec_if_less(xfer_vec_abs(x), splat(1e-8), x, result)
}

@inline(__always) func sigmoid(_ x: Vec) -> Vec {
  // exp of a negative number on both sides: e/(1+e) below 0 keeps its digits, 1/(1+e) above.
  let e = decay(xfer_vec_abs(x))
  return xfer_vec_if_less(x, splat(0), e, splat(1)) / (splat(1) + e)
}

/// sigmoid(x) and sigmoid(-x).
@inline(__always) func sigmoids(_ x: Vec) -> (of: Vec, ofMinus: Vec) {
  let e = decay(xfer_vec_abs(x))
  let d = splat(1) + e
  return (xfer_vec_if_less(x, splat(0), e, splat(1)) / d, xfer_vec_if_less(x, splat(0), splat(1), e) / d)
}

@inline(__always) func hyperbolicTangent(_ x: Vec) -> Vec {
  let t = xfer_vec_abs(x)
  let s = x * x
  var p = splat(-5.70498872745e-3)
  p = polynomial(s, 2.06390887954e-2, p)
  p = polynomial(s, -5.37397155531e-2, p)
  p = polynomial(s, 1.33314422036e-1, p)
  p = polynomial(s, -3.33332819422e-1, p)
  let small = xfer_vec_multiply_add(x, x * s, p)
  let e = decay(t + t)
  let large = (splat(1) - e) / (splat(1) + e)
  return xfer_vec_copysign(xfer_vec_if_less(t, splat(0.625), small, large), x)
}

/// log(1+exp(-t)) for t >= 0.
@inline(__always) func logOnePlusExpMinus(_ t: Vec) -> Vec {
  let e = decay(t)
  // 2 artanh(s) with s = e/(2+e) <= 1/3.
  let s = e / (splat(2) + e)
  let q = s * s
  var p = splat(0.0555555556 * 2)
  p = polynomial(q, 2.0 / 15, p)
  p = polynomial(q, 2.0 / 13, p)
  p = polynomial(q, 2.0 / 11, p)
  p = polynomial(q, 2.0 / 9, p)
  p = polynomial(q, 2.0 / 7, p)
  p = polynomial(q, 2.0 / 5, p)
  p = polynomial(q, 2.0 / 3, p)
  return xfer_vec_multiply_add(splat(2) * s, s * q, p)
}

/// 1-erf(t) for t within 0.9277...4, and next to nothing beyond. The two polynomials, here and near 0, are those of N. Juffa's
/// single-precision erff.
@inline(__always) private func errorFunctionTail(_ t: Vec) -> Vec {
  let s = t * t
  var r = xfer_vec_multiply_add(splat(3.83197126e-4), splat(-1.72853470e-5), t)
  let u = xfer_vec_multiply_add(splat(2.42546219e-2), splat(-3.88396438e-3), t)
  r = xfer_vec_multiply_add(u, r, s)
  r = polynomial(t, -1.06777877e-1, r)
  r = polynomial(t, -6.34846687e-1, r)
  r = polynomial(t, -1.28717512e-1, r)
  return exponential(xfer_vec_multiply_add(-t, r, t))
}

/// erf(z) for |z| < 0.9277.
@inline(__always) private func errorFunctionNearZero(_ z: Vec) -> Vec {
  let s = z * z
  var p = splat(-5.96761703e-4)
  p = polynomial(s, 4.99119423e-3, p)
  p = polynomial(s, -2.67681349e-2, p)
  p = polynomial(s, 1.12819925e-1, p)
  p = polynomial(s, -3.76125336e-1, p)
  p = polynomial(s, 1.28379166e-1, p)
  return xfer_vec_multiply_add(z, z, p)
}

/// 1+erf(z), with its digits kept where erf is near -1 (absolute error 1e-7 beyond z = -4, where it is given as 0).
@inline(__always) func onePlusErrorFunction(_ z: Vec) -> Vec {
  let t = xfer_vec_min(splat(4), xfer_vec_abs(z))
  let tail = errorFunctionTail(t)
  let far = xfer_vec_if_less(z, splat(0), xfer_vec_if_less(z, splat(-4), splat(0), tail), splat(2) - tail)
  return xfer_vec_if_less(t, splat(0.927734375), splat(1) + errorFunctionNearZero(z), far)
}

/// erf(z).
@inline(__always) func errorFunction(_ z: Vec) -> Vec {
  let t = xfer_vec_abs(z)
  let far = xfer_vec_copysign(splat(1) - errorFunctionTail(xfer_vec_min(splat(4), t)), z)
  return xfer_vec_if_less(t, splat(0.927734375), errorFunctionNearZero(z), far)
}
