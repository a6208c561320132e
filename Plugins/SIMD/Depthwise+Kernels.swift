import CPluginSupport

/// The inner loops of the depthwise convolutions: a few pixels at a time, registers along the channels. `count` channels of images that have
/// `stride.channels` are computed.
///
/// Channels are taken a register at a time; the last register begins `lanes` before the end, so that it overlaps the one
/// before and computes the same bits again. Fewer channels than a register has go through `first:`.

/// What is done to an input on its way into a product.
protocol InputMap {
  static func map(_ v: Vec) -> Vec
}
enum AsIs: InputMap {
  @inline(__always) static func map(_ v: Vec) -> Vec { v }
}
enum Rectified: InputMap {
  @inline(__always) static func map(_ v: Vec) -> Vec { xfer_vec_max(splat(0), v) }
}

/// What is added to a finished sum, and where it goes. Pointers are those of the first pixel.
struct PixelEpilogue<Y: Element> {
  var bias: Source?
  var residual: UnsafePointer<Y>?
  var clamps: Bool
  var high: Float

  @inline(__always) func finish(_ sum: Vec, _ at: Int, _ c: Int, _ y: UnsafeMutablePointer<Y>) {
    var v = sum
    if let bias { v += load(bias + c) }
    if let residual { v += load(residual + at) }
    if clamps { v = clamped(v, splat(0), splat(high)) }
    storeVector(v, y + at)
  }

  @inline(__always) func finish(_ sum: Vec, first n: Int, _ y: UnsafeMutablePointer<Y>) {
    var v = sum
    if let bias { v += load(bias, first: n) }
    if let residual { v += load(residual, first: n) }
    if clamps { v = clamped(v, splat(0), splat(high)) }
    storeVector(v, y, first: n)
  }
}

/// One pixel from any taps: y[c] = sum over t of x[t][c] * w[t][c]. Edges, and windows that nothing faster is made for.
@inline(never) func depthwisePixel<M: InputMap, X: Element, Y: Element>(
  _: M.Type, _ x: UnsafePointer<UnsafePointer<X>>, _ w: UnsafePointer<Source>, _ taps: Int, count: Int, _ y: UnsafeMutablePointer<Y>,
  _ epilogue: PixelEpilogue<Y>
) {
  if count < lanes {
    var sum = Vec.zero
    for t in 0..<taps { sum = fusedMultiplyAdd(sum, M.map(load(x[t], first: count)), load(w[t], first: count)) }
    return epilogue.finish(sum, first: count, y)
  }
  var c = 0
  while c &+ 4 &* lanes <= count {
    var s0 = Vec.zero
    var s1 = Vec.zero
    var s2 = Vec.zero
    var s3 = Vec.zero
    for t in 0..<taps {
      let a = x[t] + c
      let b = w[t] + c
      s0 = fusedMultiplyAdd(s0, M.map(load(a)), load(b))
      s1 = fusedMultiplyAdd(s1, M.map(load(a + lanes)), load(b + lanes))
      s2 = fusedMultiplyAdd(s2, M.map(load(a + 2 &* lanes)), load(b + 2 &* lanes))
      s3 = fusedMultiplyAdd(s3, M.map(load(a + 3 &* lanes)), load(b + 3 &* lanes))
    }
    epilogue.finish(s0, c, c, y)
    epilogue.finish(s1, c &+ lanes, c &+ lanes, y)
    epilogue.finish(s2, c &+ 2 &* lanes, c &+ 2 &* lanes, y)
    epilogue.finish(s3, c &+ 3 &* lanes, c &+ 3 &* lanes, y)
    c &+= 4 &* lanes
  }
  while c < count {
    if c &+ lanes > count { c = count &- lanes }
    var sum = Vec.zero
    for t in 0..<taps { sum = fusedMultiplyAdd(sum, M.map(load(x[t] + c)), load(w[t] + c)) }
    epilogue.finish(sum, c, c, y)
    c &+= lanes
  }
}

/// Strides in floats of what four neighbouring output pixels read.
struct WindowStrides {
  /// From one row of the window to the next in x, and in the kernel.
  var row: Int
  var kernelRow: Int
  var rows: Int
  /// From one tap of a row to the next, and from one output pixel to the next.
  var tap: Int
  var pixel: Int
  var taps: Int
  /// From one tap to the next in the kernel, and from one output pixel to the next in y.
  var channels: Int
  var output: Int
}

/// Four pixels, three taps a row, stride 1: each column of x is loaded once for the taps that share it.
@inline(never) func depthwiseFour3<M: InputMap, X: Element, Y: Element>(
  _: M.Type, _ x: UnsafePointer<X>, _ w: Source, _ s: WindowStrides, count: Int, _ y: UnsafeMutablePointer<Y>,
  _ epilogue: PixelEpilogue<Y>
) {
  let step = s.tap
  let channels = s.channels
  var c = 0
  while c < count {
    if c &+ lanes > count { c = count &- lanes }
    var s0 = Vec.zero
    var s1 = Vec.zero
    var s2 = Vec.zero
    var s3 = Vec.zero
    var a = x + c
    var b = w + c
    for _ in 0..<s.rows {
      let w0 = load(b)
      let w1 = load(b + channels)
      let w2 = load(b + 2 &* channels)
      let v0 = M.map(load(a))
      let v1 = M.map(load(a + step))
      let v2 = M.map(load(a + 2 &* step))
      let v3 = M.map(load(a + 3 &* step))
      let v4 = M.map(load(a + 4 &* step))
      let v5 = M.map(load(a + 5 &* step))
      s0 = fusedMultiplyAdd(fusedMultiplyAdd(fusedMultiplyAdd(s0, v0, w0), v1, w1), v2, w2)
      s1 = fusedMultiplyAdd(fusedMultiplyAdd(fusedMultiplyAdd(s1, v1, w0), v2, w1), v3, w2)
      s2 = fusedMultiplyAdd(fusedMultiplyAdd(fusedMultiplyAdd(s2, v2, w0), v3, w1), v4, w2)
      s3 = fusedMultiplyAdd(fusedMultiplyAdd(fusedMultiplyAdd(s3, v3, w0), v4, w1), v5, w2)
      a += s.row
      b += s.kernelRow
    }
    // The row below the window is what the next row of outputs reads anew.
    xfer_prefetch(a)
    xfer_prefetch(a + step)
    xfer_prefetch(a + 2 &* step)
    xfer_prefetch(a + 3 &* step)
    epilogue.finish(s0, c, c, y)
    epilogue.finish(s1, c &+ s.output, c, y)
    epilogue.finish(s2, c &+ 2 &* s.output, c, y)
    epilogue.finish(s3, c &+ 3 &* s.output, c, y)
    c &+= lanes
  }
}

/// Four pixels of any window, stride and dilation.
@inline(never) func depthwiseFour<M: InputMap, X: Element, Y: Element>(
  _: M.Type, _ x: UnsafePointer<X>, _ w: Source, _ s: WindowStrides, count: Int, _ y: UnsafeMutablePointer<Y>,
  _ epilogue: PixelEpilogue<Y>
) {
  var c = 0
  while c < count {
    if c &+ lanes > count { c = count &- lanes }
    var s0 = Vec.zero
    var s1 = Vec.zero
    var s2 = Vec.zero
    var s3 = Vec.zero
    for row in 0..<s.rows {
      var a = x + (row &* s.row &+ c)
      var b = w + (row &* s.kernelRow &+ c)
      for _ in 0..<s.taps {
        let tap = load(b)
        s0 = fusedMultiplyAdd(s0, M.map(load(a)), tap)
        s1 = fusedMultiplyAdd(s1, M.map(load(a + s.pixel)), tap)
        s2 = fusedMultiplyAdd(s2, M.map(load(a + 2 &* s.pixel)), tap)
        s3 = fusedMultiplyAdd(s3, M.map(load(a + 3 &* s.pixel)), tap)
        a += s.tap
        b += s.channels
      }
    }
    epilogue.finish(s0, c, c, y)
    epilogue.finish(s1, c &+ s.output, c, y)
    epilogue.finish(s2, c &+ 2 &* s.output, c, y)
    epilogue.finish(s3, c &+ 3 &* s.output, c, y)
    c &+= lanes
  }
}
