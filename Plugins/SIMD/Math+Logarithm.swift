import CPluginSupport

/// Logarithms and powers on registers. All give what C gives for NaN, infinities, zeros, negative numbers and subnormals. Errors are the
/// largest found against the double precision libm, on every fifth float or 2·10⁷ pairs, with and without fused products.

@inline(__always) private func polynomial(_ x: Vec, _ c: Float, _ p: Vec) -> Vec { xfer_vec_multiply_add(splat(c), x, p) }

/// log(1+m) + n ln2 for m within -1/3...1/3. The polynomial is that of N. Juffa's single-precision logf.
@inline(__always) private func logarithm(_ m: Vec, _ n: Vec) -> Vec {
  let s = m * m
  var r = splat(-0.130310059)
  var t = splat(0.140869141)
  r = polynomial(s, -0.121483512, r)
  t = polynomial(s, 0.139814854, t)
  r = polynomial(s, -0.166846126, r)
  t = polynomial(s, 0.200120345, t)
  r = polynomial(s, -0.249996200, r)
  r = xfer_vec_multiply_add(r, t, m)
  r = polynomial(m, 0.333331972, r)
  r = polynomial(m, -0.5, r)
  r = xfer_vec_multiply_add(m, r, s)
  // ln2 in two parts, of which the first has few enough bits for an exact product.
  return xfer_vec_multiply_add(xfer_vec_multiply_add(r, n, splat(-2.12194440e-4)), n, splat(0.693359375))
}

/// log(x): 0.86 and 0.97 ulp.
@inline(__always) func logarithm(_ x: Vec) -> Vec {
  let isSmall = xfer_vec_if_less(x, splat(.leastNormalMagnitude), splat(1), splat(0))
  let normal = xfer_vec_if_less(splat(0), isSmall, x * splat(8_388_608), x)
  let shift = xfer_vec_shift(normal)
  let r = logarithm(xfer_vec_shifted(normal, shift) - splat(1), xfer_ints_number(shift) - isSmall * splat(23))
  let finite = xfer_vec_if_less(x, splat(0), splat(.nan), xfer_vec_if_same(x, splat(0), splat(-.infinity), r))
  return xfer_vec_if_less(x, splat(.infinity), finite, x)
}

/// log(1+x), its digits kept near 0: 1.50 and 1.64 ulp.
@inline(__always) func logarithmOfOnePlus(_ x: Vec) -> Vec {
  let shift = xfer_vec_shift(splat(1) + x)
  // With 1+x = (1+m) 2^n: m = x 2^-n + (2^-n - 1), where both products are exact. 2^-n may be subnormal, four times it is not.
  let scale = xfer_vec_shifted(splat(4), shift)
  let m = xfer_vec_shifted(x, shift) + xfer_vec_multiply_add(splat(-1), splat(0.25), scale)
  let r = xfer_vec_if_less(xfer_vec_abs(x), splat(1e-8), x, logarithm(m, xfer_ints_number(shift)))
  let finite = xfer_vec_if_less(x, splat(-1), splat(.nan), xfer_vec_if_same(x, splat(-1), splat(-.infinity), r))
  return xfer_vec_if_less(x, splat(.infinity), finite, x)
}

/// a to the b, by way of doubles: 0.501 ulp.
@inline(__always) func power(_ a: Vec, _ b: Vec) -> Vec {
  let size = xfer_vec_abs(a)
  var r = inHalves(size, b) { a, b in
    let exponent = b * logarithm2(a)
    let bounded = xfer_half_if_less(exponent, wide(-1000), wide(-1000), exponent)
    return power2(xfer_half_if_less(wide(1000), bounded, wide(1000), bounded))
  }
  // Zeros and infinities have no logarithm here; 1 has, but not times infinity.
  let (ofZero, ofInfinity) = (
    xfer_vec_if_less(b, splat(0), splat(.infinity), splat(0)), xfer_vec_if_less(b, splat(0), splat(0), splat(.infinity))
  )
  r = xfer_vec_if_same(size, splat(0), ofZero, r)
  r = xfer_vec_if_same(size, splat(.infinity), ofInfinity, r)
  r = xfer_vec_if_same(size, splat(1), splat(1), r)
  // Of negative numbers, odd powers are negative, and powers that are no whole numbers do not exist.
  let half = b * splat(0.5)
  let odd = xfer_vec_if_same(whole(half), half, r, xfer_vec_times_sign(r, a))
  let negative = xfer_vec_if_same(size, splat(.infinity), r, xfer_vec_if_less(a, splat(0), splat(.nan), r))
  r = xfer_vec_if_same(whole(b), b, odd, negative)
  r = xfer_vec_if_same(a, splat(.nan), a, xfer_vec_if_same(b, splat(.nan), b, r))
  return xfer_vec_if_same(b, splat(0), splat(1), xfer_vec_if_same(a, splat(1), splat(1), r))
}
