import CPluginSupport
import CXfer

/// RESIZE_BILINEAR. For each row of the result the two rows of the image it lies between are mixed over their whole width first, bytes
/// becoming floats on the way; then neighbours within the mixed row.

struct Resize {
  var batch: Int
  var height: Int
  var width: Int
  var channels: Int
  var outHeight: Int
  var outWidth: Int
  var isBytes: Bool
  /// Pieces of the result's rows, each with a mixed row of its own.
  var pieces = 1
  /// For each pixel of a row, the floats of the mixed row it lies between and how far it is from the first.
  var low: UnsafeMutablePointer<Int32>! = nil
  var high: UnsafeMutablePointer<Int32>! = nil
  var fraction: UnsafeMutablePointer<Float>! = nil

  /// A multiple of 64 bytes, with three floats to spare: pixels of few channels are read as four.
  var rowBytes: Int { aligned(width &* channels &* 4 &+ 12) }
}

private struct ResizeRun {
  var plan: UnsafePointer<Resize>
  var x: UnsafeRawPointer
  var y: Target
  var rows: UnsafeMutableRawPointer
}

/// The two positions of `size` a position of `result` lies between, and how far it is from the first.
private func neighbours(_ position: Int, _ size: Int, _ result: Int) -> (low: Int, high: Int, fraction: Float) {
  let centre = (Double(position) + 0.5) * Double(size) / Double(result) - 0.5
  // At least -0.5: one more makes it positive, and truncation is the floor.
  let floor = Int(centre + 1) &- 1
  let last = size &- 1
  return (floor < 0 ? 0 : floor < last ? floor : last, floor < last ? floor &+ 1 : last, Float(centre - Double(floor)))
}

private let runResize: Run = { kernel, inputs, outputs, workspace in
  let plan = UnsafePointer(payload(kernel, Resize.self))
  var run = ResizeRun(
    plan: plan, x: inputs[0].unsafelyUnwrapped, y: floats(outputs[0]), rows: workspace.unsafelyUnwrapped)
  parallel(KernelHead.of(kernel).host, count: plan.pointee.pieces, grain: 1, &run) { context, begin, end, _ in
    let run = context.unsafelyUnwrapped.assumingMemoryBound(to: ResizeRun.self).pointee
    let rows = run.plan.pointee.batch &* run.plan.pointee.outHeight
    let pieces = run.plan.pointee.pieces
    for piece in Int(begin)..<Int(end) {
      let mixed = floats(run.rows + piece &* run.plan.pointee.rowBytes)
      for row in (piece &* rows / pieces)..<((piece &+ 1) &* rows / pieces) { resizeRow(run, row, mixed) }
    }
  }
  return XFER_OK
}

private func resizeRow(_ run: ResizeRun, _ row: Int, _ mixed: Target) {
  let p = run.plan.pointee
  let place = neighbours(row % p.outHeight, p.height, p.outHeight)
  let first = row / p.outHeight &* p.height
  let count = p.width &* p.channels
  let (top, bottom) = ((first &+ place.low) &* count, (first &+ place.high) &* count)
  if p.isBytes {
    let x = run.x.assumingMemoryBound(to: UInt8.self)
    mixBytes(x + top, x + bottom, mixed, place.fraction, count)
  } else {
    mix(floats(run.x) + top, floats(run.x) + bottom, mixed, place.fraction, count)
  }
  let y = run.y + row &* p.outWidth &* p.channels
  if p.channels <= 4 {
    mixPixels(p, Source(mixed), y)
  } else {
    for i in 0..<p.outWidth {
      mix(Source(mixed) + Int(p.low[i]), Source(mixed) + Int(p.high[i]), y + i &* p.channels, p.fraction[i], p.channels)
    }
  }
}

@inline(__always) private func between(_ a: Vec, _ b: Vec, _ fraction: Vec) -> Vec { fusedMultiplyAdd(a, b - a, fraction) }

@inline(never) private func mix(_ a: Source, _ b: Source, _ to: Target, _ fraction: Float, _ count: Int) {
  let share = splat(fraction)
  var i = 0
  while i &+ lanes <= count {
    storeVector(between(load(a + i), load(b + i), share), to + i)
    i &+= lanes
  }
  let n = count &- i
  if n > 0 { storeVector(between(load(a + i, first: n), load(b + i, first: n), share), to + i, first: n) }
}

@inline(never) private func mixBytes(
  _ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ to: Target, _ fraction: Float, _ count: Int
) {
  let share = splat(fraction)
  var i = 0
  while i &+ lanes <= count {
    storeVector(between(xfer_vec_from_u8(a + i), xfer_vec_from_u8(b + i), share), to + i)
    i &+= lanes
  }
  while i < count {
    let value = Float(a[i])
    to[i] = fusedMultiplyAdd(value, Float(b[i]) - value, fraction)
    i &+= 1
  }
}

/// Pixels of up to four channels: four floats of each are mixed and written, and what is too much is written over by the next pixel.
@inline(never) private func mixPixels(_ p: Resize, _ mixed: Source, _ y: Target) {
  typealias Four = SIMD4<Float>
  let count = p.outWidth &* p.channels
  var at = 0
  for i in 0..<p.outWidth {
    let a = UnsafeRawPointer(mixed + Int(p.low[i])).loadUnaligned(as: Four.self)
    let b = UnsafeRawPointer(mixed + Int(p.high[i])).loadUnaligned(as: Four.self)
    let v = a + (b - a) * Four(repeating: p.fraction[i])
    if at &+ 4 <= count {
      UnsafeMutableRawPointer(y + at).storeBytes(of: v, as: Four.self)
    } else {
      for c in 0..<p.channels { y[at &+ c] = v[c] }
    }
    at &+= p.channels
  }
}

func resizePlan(_ desc: Desc) -> Resize? {
  let d = desc.pointee
  guard d.has(1, 1) else { return nil }
  let (x, y) = (d.input(0), d.output(0))
  guard x.isFloat || x.dtype == XFER_U8, y.isFloat, x.rank == 4, y.rank == 4, x.count > 0, y.count > 0, x[0] == y[0], x[3] == y[3],
    x[2] &* x[3] <= Int(Int32.max)
  else { return nil }
  var plan = Resize(
    batch: x[0], height: x[1], width: x[2], channels: x[3], outHeight: y[1], outWidth: y[2], isBytes: x.dtype == XFER_U8)
  let rows = plan.batch &* plan.outHeight
  plan.pieces = rows < 32 ? rows : 32
  return plan
}

func prepareResize(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let plan = resizePlan(desc) else { return nil }
  let bytes = aligned(plan.outWidth &* 4)
  guard let k = makeKernel(host, plan, extra: 3 &* bytes, run: runResize) else { return nil }
  let tables = extraMemory(k)
  k.pointee.low = tables.bindMemory(to: Int32.self, capacity: bytes / 4)
  k.pointee.high = (tables + bytes).bindMemory(to: Int32.self, capacity: bytes / 4)
  k.pointee.fraction = (tables + 2 &* bytes).bindMemory(to: Float.self, capacity: bytes / 4)
  for pixel in 0..<plan.outWidth {
    let place = neighbours(pixel, plan.width, plan.outWidth)
    k.pointee.low[pixel] = Int32(place.low &* plan.channels)
    k.pointee.high[pixel] = Int32(place.high &* plan.channels)
    k.pointee.fraction[pixel] = place.fraction
  }
  workspace?.pointee = plan.pieces &* plan.rowBytes
  return handle(k)
}
