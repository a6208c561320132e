import CPluginSupport

/// Groups so narrow that one of them leaves most of a register empty: several side by side share it. Lane l is a column of group
/// l / columns, and what it is multiplied by comes from a register of the same groups' channels of a pixel, permuted anew for each step.

/// Groups that share a register; 1 where one group fills more than half of it.
func mergedGroups(_ groups: Int, depth: Int, columns: Int) -> Int {
  let most = lanes / (depth > columns ? depth : columns)
  return most < 1 ? 1 : (most < groups ? most : groups)
}

/// index[step][lane]: the channel, among those of the merged groups, that a lane takes in each step of a tap; 0 beyond the last column.
func fillLaneChannels(_ index: UnsafeMutablePointer<Int32>, depth: Int, columns: Int, merged: Int) {
  for step in 0..<depth {
    for lane in 0..<lanes { index[step &* lanes &+ lane] = lane < merged &* columns ? Int32(lane / columns &* depth &+ step) : 0 }
  }
}

/// Pixels that are computed together.
#if XFER_ISA_AVX512
  @inline(__always) var narrowPixels: Int { 8 }
#else
  @inline(__always) var narrowPixels: Int { 4 }
#endif

/// Neighbouring pixels: of each the register being read, and the sums.
protocol NarrowPixels {
  static var count: Int { get }
  init()
  mutating func read(_ a: Source, pitch: Int, first n: Int)
  mutating func multiplyAdd(_ index: UnsafePointer<Int32>, _ b: Vec)
  func finish(_ y: Target, pitch: Int, first n: Int, _ epilogue: PixelEpilogue<Float>)
}

struct NarrowPixel: NarrowPixels {
  var x = Vec.zero
  var sum = Vec.zero
  @inline(__always) static var count: Int { 1 }
  @inline(__always) init() {}
  @inline(__always) mutating func read(_ a: Source, pitch: Int, first n: Int) { x = n == lanes ? load(a) : load(a, first: n) }
  @inline(__always) mutating func multiplyAdd(_ index: UnsafePointer<Int32>, _ b: Vec) {
    sum = fusedMultiplyAdd(sum, xfer_vec_permute(x, index), b)
  }
  @inline(__always) func finish(_ y: Target, pitch: Int, first n: Int, _ epilogue: PixelEpilogue<Float>) {
    epilogue.finish(sum, first: n, y)
  }
}

struct NarrowStack<Left: NarrowPixels, Right: NarrowPixels>: NarrowPixels {
  var left = Left()
  var right = Right()
  @inline(__always) static var count: Int { Left.count &+ Right.count }
  @inline(__always) init() {}
  @inline(__always) mutating func read(_ a: Source, pitch: Int, first n: Int) {
    left.read(a, pitch: pitch, first: n)
    right.read(a + Left.count &* pitch, pitch: pitch, first: n)
  }
  @inline(__always) mutating func multiplyAdd(_ index: UnsafePointer<Int32>, _ b: Vec) {
    left.multiplyAdd(index, b)
    right.multiplyAdd(index, b)
  }
  @inline(__always) func finish(_ y: Target, pitch: Int, first n: Int, _ epilogue: PixelEpilogue<Float>) {
    left.finish(y, pitch: pitch, first: n, epilogue)
    var beyond = epilogue
    beyond.residual = epilogue.residual.map { $0 + Left.count &* pitch }
    right.finish(y + Left.count &* pitch, pitch: pitch, first: n, beyond)
  }
}

typealias Narrow2 = NarrowStack<NarrowPixel, NarrowPixel>
typealias Narrow3 = NarrowStack<Narrow2, NarrowPixel>
typealias Narrow4 = NarrowStack<Narrow2, Narrow2>
#if XFER_ISA_AVX512
  typealias Narrow5 = NarrowStack<Narrow4, NarrowPixel>
  typealias Narrow6 = NarrowStack<Narrow4, Narrow2>
  typealias Narrow7 = NarrowStack<Narrow4, Narrow3>
  typealias Narrow8 = NarrowStack<Narrow4, Narrow4>
#endif

struct NarrowCall {
  /// The place the segments' offsets count from, and the floats from one pixel to the next.
  var a: Source
  var pitch: Int
  var segments: WindowSegments
  /// Channels of a pixel that are read, and steps of one tap.
  var channels: Int
  var depth: Int
  /// [steps][lanes]
  var b: Source
  /// [depth][lanes]: the channel each lane takes.
  var index: UnsafePointer<Int32>
  var y: Target
  var outPitch: Int
  /// Columns of a pixel that are written.
  var columns: Int
  var epilogue: PixelEpilogue<Float>
}

@inline(never) private func runNarrow<T: NarrowPixels>(_ type: T.Type, _ call: UnsafePointer<NarrowCall>) {
  var tile = T()
  let depth = call.pointee.depth
  for s in 0..<call.pointee.segments.count {
    tile.read(
      call.pointee.a + call.pointee.segments.offsets[s], pitch: call.pointee.pitch, first: call.pointee.channels)
    var b = call.pointee.b + call.pointee.segments.segments[s].offset
    var index = call.pointee.index
    for _ in 0..<depth {
      tile.multiplyAdd(index, load(b))
      index += lanes
      b += lanes
    }
  }
  tile.finish(call.pointee.y, pitch: call.pointee.outPitch, first: call.pointee.columns, call.pointee.epilogue)
}

func runNarrow(pixels: Int, _ call: UnsafePointer<NarrowCall>) {
  switch pixels {
  case 1: runNarrow(NarrowPixel.self, call)
  case 2: runNarrow(Narrow2.self, call)
  case 3: runNarrow(Narrow3.self, call)
  #if XFER_ISA_AVX512
    case 4: runNarrow(Narrow4.self, call)
    case 5: runNarrow(Narrow5.self, call)
    case 6: runNarrow(Narrow6.self, call)
    case 7: runNarrow(Narrow7.self, call)
    default: runNarrow(Narrow8.self, call)
  #else
    default: runNarrow(Narrow4.self, call)
  #endif
  }
}
