import CPluginSupport

/// The register of this variant and the few operations every kernel is made of.
///
/// One folder is compiled five times: AVX-512 (16 floats) as it is, with products of bfloat16, and with tile registers for them; AVX2 with
/// FMA (8); and the baseline of the architecture (4). The baseline multiplies and adds separately: a fused product without the instruction is a
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

/// What a tensor is made of. Registers hold floats: bfloat16 is widened as it is loaded and rounded, to nearest even, as it is stored.
protocol Element: BitwiseCopyable {
  /// Needs no more than an element's alignment.
  static func load(_ p: UnsafePointer<Self>) -> Vec
  /// The first `n` elements, the other lanes 0: nothing past them is read.
  static func load(_ p: UnsafePointer<Self>, first n: Int) -> Vec
  static func store(_ v: Vec, _ p: UnsafeMutablePointer<Self>)
  /// Writes the first `n` lanes and nothing past them.
  static func store(_ v: Vec, _ p: UnsafeMutablePointer<Self>, first n: Int)
  static func loadFour(_ p: UnsafePointer<Self>) -> SIMD4<Float>
  /// Lane i holds a[i] and, in its upper half, b[i] as bfloat16; both were loaded from elements of this type.
  static func pairs(_ a: Vec, _ b: Vec) -> Vec
  #if XFER_ISA_AMX
    /// Writes the next 32 elements as pairs.
    static func storePairs(_ p: UnsafePointer<Self>, _ out: Target)
  #endif
  init(_ x: Float)
  var float: Float { get }
}

extension Float: Element {
  @inline(__always) static func load(_ p: Source) -> Vec { UnsafeRawPointer(p).loadUnaligned(as: Vec.self) }
  @inline(__always) static func load(_ p: Source, first n: Int) -> Vec { xfer_vec_load_first(p, Int64(n)) }
  @inline(__always) static func store(_ v: Vec, _ p: Target) { UnsafeMutableRawPointer(p).storeBytes(of: v, as: Vec.self) }
  @inline(__always) static func store(_ v: Vec, _ p: Target, first n: Int) { xfer_vec_store_first(p, v, Int64(n)) }
  @inline(__always) static func loadFour(_ p: Source) -> SIMD4<Float> { UnsafeRawPointer(p).loadUnaligned(as: SIMD4<Float>.self) }
  @inline(__always) static func pairs(_ a: Vec, _ b: Vec) -> Vec { xfer_vec_pair(a, b) }
  @inline(__always) var float: Float { self }
}

/// The upper half of a float.
struct BFloat16: Element {
  var bits: UInt16

  @inline(__always) private static func raw(_ p: UnsafePointer<BFloat16>) -> UnsafePointer<UInt16> {
    UnsafeRawPointer(p).assumingMemoryBound(to: UInt16.self)
  }
  @inline(__always) private static func raw(_ p: UnsafeMutablePointer<BFloat16>) -> UnsafeMutablePointer<UInt16> {
    UnsafeMutableRawPointer(p).assumingMemoryBound(to: UInt16.self)
  }
  @inline(__always) static func load(_ p: UnsafePointer<BFloat16>) -> Vec { xfer_vec_load_bf16(raw(p)) }
  @inline(__always) static func load(_ p: UnsafePointer<BFloat16>, first n: Int) -> Vec { xfer_vec_load_bf16_first(raw(p), Int64(n)) }
  @inline(__always) static func store(_ v: Vec, _ p: UnsafeMutablePointer<BFloat16>) { xfer_vec_store_bf16(raw(p), v) }
  @inline(__always) static func store(_ v: Vec, _ p: UnsafeMutablePointer<BFloat16>, first n: Int) {
    xfer_vec_store_bf16_first(raw(p), v, Int64(n))
  }
  @inline(__always) static func loadFour(_ p: UnsafePointer<BFloat16>) -> SIMD4<Float> {
    let bits = UnsafeRawPointer(p).loadUnaligned(as: SIMD4<UInt16>.self)
    return unsafeBitCast(SIMD4<UInt32>(truncatingIfNeeded: bits) &<< 16, to: SIMD4<Float>.self)
  }
  @inline(__always) static func pairs(_ a: Vec, _ b: Vec) -> Vec { xfer_vec_pair_exact(a, b) }
  @inline(__always) init(_ x: Float) { bits = xfer_bf16(x) }
  @inline(__always) var float: Float { Float(bitPattern: UInt32(bits) &<< 16) }
}

@inline(__always) func load<E: Element>(_ p: UnsafePointer<E>) -> Vec { E.load(p) }
@inline(__always) func load<E: Element>(_ p: UnsafePointer<E>, first n: Int) -> Vec { E.load(p, first: n) }
@inline(__always) func storeVector<E: Element>(_ v: Vec, _ p: UnsafeMutablePointer<E>) { E.store(v, p) }
@inline(__always) func storeVector<E: Element>(_ v: Vec, _ p: UnsafeMutablePointer<E>, first n: Int) { E.store(v, p, first: n) }

/// Between `low` and `high`; NaN stays NaN.
@inline(__always) func clamped(_ v: Vec, _ low: Vec, _ high: Vec) -> Vec {
  xfer_vec_min(high, xfer_vec_max(low, v))
}
