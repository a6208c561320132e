import CPluginSupport
import CXfer

/// CONV2D_BACKWARD_KERNEL of groups that share a register (Window+Narrow): dkernel[tap, c, o] = sum over output pixels of
/// x[pixel of the tap, c of o's group] * dy[pixel, o].
///
/// As in Depthwise+KernelGradient, the rows of dy are divided into a fixed number of parts with sums of their own, which are then added in
/// order: the same bits for every number of threads.

private struct NarrowGradient {
  var shape: ConvShape
  /// [depth][lanes]: see WindowGemm.index.
  var index: UnsafeMutablePointer<Int32>! = nil

  var parts: Int {
    let rows = shape.batch &* shape.outHeight
    return rows < 16 ? rows : 16
  }
  var depth: Int { shape.channels / shape.groups }
  var columns: Int { shape.outChannels / shape.groups }
  var merged: Int { mergedGroups(shape.groups, depth: depth, columns: columns) }
  var size: Int { shape.taps &* depth &* shape.outChannels }
}

private struct NarrowGradientRun {
  var plan: UnsafePointer<NarrowGradient>
  var x: Source
  var dy: Source
  var partials: Target
}

/// The sums of one tap, a register for each channel of a group.
private protocol NarrowSums {
  static var count: Int { get }
  init()
  mutating func multiplyAdd(_ x: Vec, _ dy: Vec, _ index: UnsafePointer<Int32>)
  func add(to sums: Target, pitch: Int, first n: Int)
}

private struct NarrowSum: NarrowSums {
  var sum = Vec.zero
  @inline(__always) static var count: Int { 1 }
  @inline(__always) init() {}
  @inline(__always) mutating func multiplyAdd(_ x: Vec, _ dy: Vec, _ index: UnsafePointer<Int32>) {
    sum = fusedMultiplyAdd(sum, xfer_vec_permute(x, index), dy)
  }
  @inline(__always) func add(to sums: Target, pitch: Int, first n: Int) {
    storeVector(load(Source(sums), first: n) + sum, sums, first: n)
  }
}

private struct NarrowSumStack<Left: NarrowSums, Right: NarrowSums>: NarrowSums {
  var left = Left()
  var right = Right()
  @inline(__always) static var count: Int { Left.count &+ Right.count }
  @inline(__always) init() {}
  @inline(__always) mutating func multiplyAdd(_ x: Vec, _ dy: Vec, _ index: UnsafePointer<Int32>) {
    left.multiplyAdd(x, dy, index)
    right.multiplyAdd(x, dy, index + Left.count &* lanes)
  }
  @inline(__always) func add(to sums: Target, pitch: Int, first n: Int) {
    left.add(to: sums, pitch: pitch, first: n)
    right.add(to: sums + Left.count &* pitch, pitch: pitch, first: n)
  }
}

private typealias Sums2 = NarrowSumStack<NarrowSum, NarrowSum>
private typealias Sums3 = NarrowSumStack<Sums2, NarrowSum>
private typealias Sums4 = NarrowSumStack<Sums2, Sums2>
#if XFER_ISA_AVX512
  private typealias Sums5 = NarrowSumStack<Sums4, NarrowSum>
  private typealias Sums6 = NarrowSumStack<Sums4, Sums2>
  private typealias Sums7 = NarrowSumStack<Sums4, Sums3>
  private typealias Sums8 = NarrowSumStack<Sums4, Sums4>
#endif

/// One tap over a stretch of a row.
private struct NarrowStretch {
  var x: Source
  var xStep: Int
  /// Channels of x that are read, columns of dy.
  var channels: Int
  var dy: Source
  var columns: Int
  var pitch: Int
  var count: Int
  var index: UnsafePointer<Int32>
  var sums: Target
}

@inline(never) private func sum<T: NarrowSums>(_ type: T.Type, _ s: UnsafePointer<NarrowStretch>) {
  var tile = T()
  var x = s.pointee.x
  var dy = s.pointee.dy
  for _ in 0..<s.pointee.count {
    tile.multiplyAdd(load(x, first: s.pointee.channels), load(dy, first: s.pointee.columns), s.pointee.index)
    x += s.pointee.xStep
    dy += s.pointee.pitch
  }
  tile.add(to: s.pointee.sums, pitch: s.pointee.pitch, first: s.pointee.columns)
}

private func sum(depth: Int, _ s: UnsafePointer<NarrowStretch>) {
  switch depth {
  case 1: sum(NarrowSum.self, s)
  case 2: sum(Sums2.self, s)
  case 3: sum(Sums3.self, s)
  #if XFER_ISA_AVX512
    case 4: sum(Sums4.self, s)
    case 5: sum(Sums5.self, s)
    case 6: sum(Sums6.self, s)
    case 7: sum(Sums7.self, s)
    default: sum(Sums8.self, s)
  #else
    default: sum(Sums4.self, s)
  #endif
  }
}

private let runNarrowGradient: Run = { kernel, inputs, outputs, workspace in
  let host = KernelHead.of(kernel).host
  let plan = UnsafePointer(payload(kernel, NarrowGradient.self))
  var run = NarrowGradientRun(plan: plan, x: floats(inputs[0]), dy: floats(inputs[1]), partials: floats(workspace))
  parallel(host, count: plan.pointee.parts, grain: 1, &run) { context, begin, end, _ in
    let run = UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: NarrowGradientRun.self))
    for part in begin..<end { sumPart(run, Int(part)) }
  }
  let size = plan.pointee.size
  let dkernel = floats(outputs[0])
  dkernel.update(from: Source(run.partials), count: size)
  for part in 1..<(plan.pointee.parts > 1 ? plan.pointee.parts : 1) { addTo(dkernel, Source(run.partials + part &* size), size) }
  return XFER_OK
}

private func sumPart(_ run: UnsafePointer<NarrowGradientRun>, _ part: Int) {
  let plan = run.pointee.plan
  let s = plan.pointee.shape
  let depth = plan.pointee.depth
  let columns = plan.pointee.columns
  let merged = plan.pointee.merged
  let sums = run.pointee.partials + part &* plan.pointee.size
  sums.update(repeating: 0, count: plan.pointee.size)
  let rows = s.batch &* s.outHeight
  let parts = plan.pointee.parts
  for group in stride(from: 0, to: s.groups, by: merged) {
    let groups = s.groups &- group < merged ? s.groups &- group : merged
    for row in (part &* rows / parts)..<((part &+ 1) &* rows / parts) {
      let dy = run.pointee.dy + (row &* s.outWidth &* s.outChannels &+ group &* columns)
      let image = run.pointee.x + (row / s.outHeight &* s.height &* s.width &* s.channels &+ group &* depth)
      for t in 0..<s.taps {
        let y = row % s.outHeight &* s.strideH &- s.top &+ t / s.kernelWidth &* s.dilationH
        if y < 0 || y >= s.height { continue }
        let pixels = s.outColumns(t % s.kernelWidth)
        if pixels.first >= pixels.end { continue }
        let x = pixels.first &* s.strideW &- s.left &+ t % s.kernelWidth &* s.dilationW
        var stretch = NarrowStretch(
          x: image + (y &* s.width &+ x) &* s.channels, xStep: s.strideW &* s.channels, channels: groups &* depth,
          dy: dy + pixels.first &* s.outChannels, columns: groups &* columns, pitch: s.outChannels, count: pixels.end &- pixels.first,
          index: UnsafePointer(plan.pointee.index), sums: sums + (t &* depth &* s.outChannels &+ group &* columns))
        sum(depth: depth, &stretch)
      }
    }
  }
}

extension ConvShape {
  /// The output columns that read the image through the window's column `kx`.
  func outColumns(_ kx: Int) -> (first: Int, end: Int) {
    let origin = kx &* dilationW &- left
    let first = origin < 0 ? ceilDivide(-origin, strideW) : 0
    let end = origin < width ? (width &- 1 &- origin) / strideW &+ 1 : 0
    return (first, end < outWidth ? end : outWidth)
  }
}

/// Of a shape whose groups share a register.
func prepareNarrowKernelGradient(_ host: Host, _ shape: ConvShape, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  let plan = NarrowGradient(shape: shape)
  guard let k = makeKernel(host, plan, extra: aligned(plan.depth &* lanes &* 4), run: runNarrowGradient) else { return nil }
  k.pointee.index = extraMemory(k).bindMemory(to: Int32.self, capacity: plan.depth &* lanes)
  fillLaneChannels(k.pointee.index, depth: plan.depth, columns: plan.columns, merged: plan.merged)
  workspace?.pointee = aligned(plan.parts &* plan.size &* 4)
  return handle(k)
}
