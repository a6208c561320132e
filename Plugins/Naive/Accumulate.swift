import CXfer

/// Several rows of sums in Double: the inside of every matrix product and convolution here.
///
/// `sums[r][o] += Σ_k x[r·xRow + k·xStep] · w[k·wStep + o]`, r < rows, o < columns; row r of the sums begins at `sums + r·sumRow`.
/// The terms of one sum are added in the order of k, whatever the tiling, so a result does not depend on it.
struct Accumulation {
  var sums: UnsafeMutablePointer<Double>
  var sumRow: Int
  var rows: Int
  var x: UnsafePointer<Float>
  var xRow: Int
  var xStep: Int
  var w: UnsafePointer<Float>
  var wStep: Int
  var depth: Int
  var columns: Int

  func add() {
    var row = 0
    while row + 4 <= rows {
      var k = 0
      while k + 2 <= depth {
        fourRowsTwoSteps(row, k)
        k += 2
      }
      if k < depth { for r in row..<row + 4 { oneRow(r, k) } }
      row += 4
    }
    while row < rows {
      for k in 0..<depth { oneRow(row, k) }
      row += 1
    }
  }

  private func oneRow(_ row: Int, _ k: Int) {
    let value = Double(x[row &* xRow &+ k &* xStep])
    let (sum, weights) = (sums + row &* sumRow, w + k &* wStep)
    for o in 0..<columns { sum[o] += value * Double(weights[o]) }
  }

  /// Each weight is read and widened once for four rows, each sum is read once for two terms.
  private func fourRowsTwoSteps(_ row: Int, _ k: Int) {
    let (w0, w1) = (w + k &* wStep, w + (k &+ 1) &* wStep)
    let s0 = sums + row &* sumRow
    let (s1, s2, s3) = (s0 + sumRow, s0 + 2 &* sumRow, s0 + 3 &* sumRow)
    let x0 = x + (row &* xRow &+ k &* xStep)
    let (x1, x2, x3) = (x0 + xRow, x0 + 2 &* xRow, x0 + 3 &* xRow)
    let (a0, a1, a2, a3) = (Double(x0[0]), Double(x1[0]), Double(x2[0]), Double(x3[0]))
    let (b0, b1, b2, b3) = (Double(x0[xStep]), Double(x1[xStep]), Double(x2[xStep]), Double(x3[xStep]))
    var o = 0
    while o &+ 4 <= columns {
      let (p, q) = (widened(w0 + o), widened(w1 + o))
      update(s0 + o, p, a0, q, b0)
      update(s1 + o, p, a1, q, b1)
      update(s2 + o, p, a2, q, b2)
      update(s3 + o, p, a3, q, b3)
      o &+= 4
    }
    while o < columns {
      let (p, q) = (Double(w0[o]), Double(w1[o]))
      s0[o] = s0[o] + a0 * p + b0 * q
      s1[o] = s1[o] + a1 * p + b1 * q
      s2[o] = s2[o] + a2 * p + b2 * q
      s3[o] = s3[o] + a3 * p + b3 * q
      o &+= 1
    }
  }

  @inline(__always) private func widened(_ pointer: UnsafePointer<Float>) -> SIMD4<Double> {
    SIMD4(Double(pointer[0]), Double(pointer[1]), Double(pointer[2]), Double(pointer[3]))
  }

  @inline(__always)
  private func update(_ sum: UnsafeMutablePointer<Double>, _ p: SIMD4<Double>, _ a: Double, _ q: SIMD4<Double>, _ b: Double) {
    let raw = UnsafeMutableRawPointer(sum)
    let value = raw.loadUnaligned(as: SIMD4<Double>.self) + p * a + q * b
    raw.storeBytes(of: value, as: SIMD4<Double>.self)
  }
}

/// `y = activation(sums + bias + residual)`, rounded once.
func finish(
  _ sums: UnsafePointer<Double>, _ count: Int, bias: UnsafePointer<Float>?, residual: UnsafePointer<Float>?,
  _ activation: xfer_activation, into y: UnsafeMutablePointer<Float>
) {
  for i in 0..<count {
    var value = sums[i]
    if let bias { value += Double(bias[i]) }
    if let residual { value += Double(residual[i]) }
    y[i] = Float(activate(value, activation))
  }
}
