import CXfer

/// The reference's results and how far others may be from them.
struct Expectation {
  let test: Case
  let results: [[UInt8]]
  private let magnitudes: [[Float]]

  init(_ test: Case, reference: Runner) throws(Failure) {
    self.test = test
    let plain = test.widened
    results = try reference.run(plain)
    var magnitudes: [[Float]] = []
    if test.tolerance.magnitude > 0 {
      var absolute = plain
      absolute.attributes = test.linearAttributes ?? test.attributes
      for i in absolute.inputs.indices where absolute.inputs[i].desc.dtype == XFER_F32 {
        absolute.inputs[i].floats = absolute.inputs[i].floats.map(\.magnitude)
      }
      magnitudes = try reference.run(absolute).map { $0.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } }
    }
    self.magnitudes = magnitudes
  }

  /// The largest error in units of the tolerance, over all outputs. Throws the first element that is worse than 1.
  func compare(_ got: [[UInt8]]) throws(Failure) -> Double {
    var worst = 0.0
    for (output, desc) in test.outputs.enumerated() where got[output] != results[output] {
      for i in 0..<desc.elementCount {
        let isHalf = test.hasHalves && desc.dtype == XFER_BF16
        if !isHalf && same(got[output], results[output], i, desc) { continue }
        let wanted = element(results[output], i, isHalf ? XFER_F32 : desc.dtype)
        let value = isHalf ? number(got[output], i) : element(got[output], i, desc.dtype)
        if value == wanted || value.isNaN && wanted.isNaN { continue }
        // Nothing lies between the largest bfloat16 and infinity.
        if isHalf, value.isInfinite, wanted * value > 0, wanted.magnitude > largestHalf { continue }
        var allowed = test.tolerance.relative * wanted.magnitude + test.tolerance.absolute
        // Half a step of eight bits, of numbers that are not denormal.
        if isHalf { allowed += 0x1p-8 * wanted.magnitude + 0x1p-126 }
        if test.tolerance.magnitude > 0 { allowed += test.tolerance.magnitude * Double(magnitudes[output][i]) }
        let error = (value - wanted).magnitude
        guard error <= allowed else {
          throw Failure(
            reason: "output \(output), element \(i) of \(desc.elementCount): \(value) instead of \(wanted), tolerated is \(allowed)")
        }
        if error > 0 { worst = max(worst, error / allowed) }
      }
    }
    return worst
  }
}

private let largestHalf = 0x1.FEp127

/// An element of bfloat16.
private func number(_ bytes: [UInt8], _ i: Int) -> Double {
  bytes.withUnsafeBytes { Double(fromBFloat16($0.loadUnaligned(fromByteOffset: i * 2, as: UInt16.self))) }
}

/// Equal bits, or NaN of any bits on both sides.
private func same(_ a: [UInt8], _ b: [UInt8], _ i: Int, _ desc: xfer_tensor_desc) -> Bool {
  if (i * desc.elementSize..<(i + 1) * desc.elementSize).allSatisfy({ a[$0] == b[$0] }) { return true }
  let (x, y) = (element(a, i, desc.dtype), element(b, i, desc.dtype))
  return x.isNaN && y.isNaN
}

/// An element as a number. Of a 16-bit float, its bits, for they have to be equal anyway.
func element(_ bytes: [UInt8], _ i: Int, _ dtype: xfer_dtype) -> Double {
  bytes.withUnsafeBytes { raw in
    switch dtype {
    case XFER_F32: Double(raw.loadUnaligned(fromByteOffset: i * 4, as: Float.self))
    case XFER_F64: raw.loadUnaligned(fromByteOffset: i * 8, as: Double.self)
    case XFER_I32: Double(raw.loadUnaligned(fromByteOffset: i * 4, as: Int32.self))
    case XFER_I64: Double(raw.loadUnaligned(fromByteOffset: i * 8, as: Int64.self))
    case XFER_F16: half(raw.loadUnaligned(fromByteOffset: i * 2, as: UInt16.self), infinity: 0x7C00)
    case XFER_BF16: half(raw.loadUnaligned(fromByteOffset: i * 2, as: UInt16.self), infinity: 0x7F80)
    default: Double(raw[i])
    }
  }
}

private func half(_ bits: UInt16, infinity: UInt16) -> Double { bits & 0x7FFF > infinity ? .nan : Double(bits) }
