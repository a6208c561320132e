import CPluginSupport
import CXfer

/// What a step of the summed dimension is, and how a tile adds its product.
protocol Product {
  /// A step of B is a pair of bfloat16 that is taken apart, and A has two floats for it.
  static var splitsPairs: Bool { get }
  /// Whether C may be of bfloat16.
  static var storesHalves: Bool { get }
  static func even(_ b: Vec) -> Vec
  static func odd(_ b: Vec) -> Vec
  static func multiplyAdd(_ c: Vec, _ a: Vec, _ b: Vec) -> Vec
}

/// A float of either side.
struct Floats: Product {
  @inline(__always) static var splitsPairs: Bool { false }
  @inline(__always) static var storesHalves: Bool { false }
  @inline(__always) static func even(_ b: Vec) -> Vec { b }
  @inline(__always) static func odd(_ b: Vec) -> Vec { b }
  @inline(__always) static func multiplyAdd(_ c: Vec, _ a: Vec, _ b: Vec) -> Vec { fusedMultiplyAdd(c, a, b) }
}

/// Two bfloat16 of either side, summed in float32. Without an instruction for that, B alone is kept in bfloat16.
struct Pairs: Product {
  @inline(__always) static var splitsPairs: Bool { XFER_PAIR_PRODUCTS == 0 }
  @inline(__always) static var storesHalves: Bool { true }
  @inline(__always) static func even(_ b: Vec) -> Vec { splitsPairs ? xfer_vec_even(b) : b }
  @inline(__always) static func odd(_ b: Vec) -> Vec { xfer_vec_odd(b) }
  @inline(__always) static func multiplyAdd(_ c: Vec, _ a: Vec, _ b: Vec) -> Vec {
    #if XFER_ISA_AVX512BF16
      return xfer_vec_pair_product(c, a, b)
    #else
      return fusedMultiplyAdd(c, a, b)
    #endif
  }
}

/// The steps of the summed dimension: floats, or pairs of bfloat16.
enum StepKind {
  case floats
  case pairs

  /// Floats a step stands for.
  @inline(__always) var unit: Int { self == .pairs ? 2 : 1 }
  /// Steps of a product of tile registers: those that are missing are zeros. 1 where steps are multiplied one by one.
  @inline(__always) var depth: Int {
    #if XFER_ISA_AMX
      self == .pairs ? tileDepth : 1
    #else
      1
    #endif
  }
  /// Rows of the tallest tile.
  @inline(__always) var tallest: Int {
    #if XFER_ISA_AMX
      self == .pairs ? tallestMatrixTile : maxTileRows
    #else
      maxTileRows
    #endif
  }
  /// Steps of a block: what of an A tile and a B panel stays in the caches, and what is summed in one go. Tile registers want L2 alone for
  /// them, and 3x3 windows over 512 channels in one block.
  @inline(__always) var longestBlock: Int {
    #if XFER_ISA_AMX
      self == .pairs ? 2304 : 768
    #else
      768
    #endif
  }
  @inline(__always) func steps(_ length: Int) -> Int {
    self == .pairs ? ceilDivide(length, 2 &* depth) &* depth : length
  }
  /// Floats of a row of an A tile for one step.
  @inline(__always) var wordsOfA: Int { self == .pairs && Pairs.splitsPairs ? 2 : 1 }
}

/// The size of an op's description before it had a precision.
private var sizeWithoutPrecision: Int { 64 }
/// The same before it had a variant.
private var sizeWithoutVariant: Int { 72 }

extension xfer_op_desc {
  /// What the op's products are made of.
  var steps: StepKind {
    struct_size > sizeWithoutPrecision && precision == Int32(XFER_PRECISION_BFLOAT16) ? .pairs : .floats
  }

  /// In which of `variantCount` ways the op is to be done.
  var way: Int { struct_size > sizeWithoutVariant ? Int(variant) : 0 }
}
