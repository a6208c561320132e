import CPluginSupport

/// The register of this variant and the few operations every kernel is made of.
///
/// One folder is compiled three times: AVX-512 (16 floats), AVX2 with FMA (8), and the baseline of the
/// architecture (4). The baseline multiplies and adds separately: a fused product without the instruction is a
/// library call.
typealias Vec = xfer_vec

typealias Source = UnsafePointer<Float>
typealias Target = UnsafeMutablePointer<Float>

/// Floats in a register.
@inline(__always) var lanes: Int { Int(XFER_LANES) }

@inline(__always) func splat(_ x: Float) -> Vec { Vec(repeating: x) }

/// c + a*b. Not Swift's addingProduct, which goes lane by lane, and which the optimizer does not always put together again.
@inline(__always) func fusedMultiplyAdd(_ c: Vec, _ a: Vec, _ b: Vec) -> Vec { xfer_vec_multiply_add(c, a, b) }

@inline(__always) func fusedMultiplyAdd(_ c: Float, _ a: Float, _ b: Float) -> Float {
  #if XFER_ISA_AVX512 || XFER_ISA_AVX2
    return c.addingProduct(a, b)
  #else
    return c + a * b
  #endif
}

/// A register from memory that needs no more than a float's alignment.
@inline(__always) func load(_ p: Source) -> Vec {
  UnsafeRawPointer(p).loadUnaligned(as: Vec.self)
}

@inline(__always) func storeVector(_ v: Vec, _ p: Target) {
  UnsafeMutableRawPointer(p).storeBytes(of: v, as: Vec.self)
}

/// The first `n` floats, the other lanes 0: nothing past them is read.
@inline(__always) func load(_ p: Source, first n: Int) -> Vec { xfer_vec_load_first(p, Int64(n)) }

/// Writes the first `n` lanes and nothing past them.
@inline(__always) func storeVector(_ v: Vec, _ p: Target, first n: Int) { xfer_vec_store_first(p, v, Int64(n)) }

/// Between `low` and `high`; NaN stays NaN.
@inline(__always) func clamped(_ v: Vec, _ low: Vec, _ high: Vec) -> Vec {
  xfer_vec_min(high, xfer_vec_max(low, v))
}
