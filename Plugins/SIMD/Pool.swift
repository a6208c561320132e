import CPluginSupport
import CXfer

/// POOL2D and its gradient.

struct Pool {
  var batch = 0
  var height = 0
  var width = 0
  var channels = 0
  var outHeight = 0
  var outWidth = 0
  var windowH = 0
  var windowW = 0
  var strideH = 1
  var strideW = 1
  var top = 0
  var left = 0
  var isAverage = false

  /// The rows, or columns, of the image under a window.
  @inline(__always) func rows(_ y: Int) -> (first: Int, end: Int) { clip(y &* strideH &- top, windowH, height) }
  @inline(__always) func columns(_ x: Int) -> (first: Int, end: Int) { clip(x &* strideW &- left, windowW, width) }
  @inline(__always) private func clip(_ origin: Int, _ window: Int, _ size: Int) -> (first: Int, end: Int) {
    (origin < 0 ? 0 : origin, origin &+ window < size ? origin &+ window : size)
  }
}

private struct PoolRun {
  var plan: Pool
  var x: Source
  var y: Source
  var dy: Source
  var to: Target
}

@inline(__always) private func get(_ p: Source, _ n: Int) -> Vec { n == lanes ? load(p) : load(p, first: n) }
@inline(__always) private func put(_ v: Vec, _ p: Target, _ n: Int) {
  if n == lanes { storeVector(v, p) } else { storeVector(v, p, first: n) }
}

private let runPool: Run = { kernel, inputs, outputs, _ in
  let plan = payload(kernel, Pool.self).pointee
  let x = floats(inputs[0])
  var run = PoolRun(plan: plan, x: x, y: x, dy: x, to: floats(outputs[0]))
  let grain = ceilDivide(4096, plan.outWidth &* plan.channels)
  parallel(KernelHead.of(kernel).host, count: plan.batch &* plan.outHeight, grain: grain, &run) { context, begin, end, _ in
    let run = UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: PoolRun.self))
    for row in begin..<end { poolRow(run, Int(row)) }
  }
  return XFER_OK
}

private func poolRow(_ run: UnsafePointer<PoolRun>, _ row: Int) {
  let plan = run.pointee.plan
  let image = run.pointee.x + row / plan.outHeight &* plan.height &* plan.width &* plan.channels
  let rows = plan.rows(row % plan.outHeight)
  for x in 0..<plan.outWidth {
    let columns = plan.columns(x)
    let to = run.pointee.to + (row &* plan.outWidth &+ x) &* plan.channels
    poolPixel(
      image + (rows.first &* plan.width &+ columns.first) &* plan.channels, rows.end &- rows.first, columns.end &- columns.first,
      plan.width &* plan.channels, plan.channels, plan.isAverage, to)
  }
}

@inline(never) private func poolPixel(
  _ x: Source, _ rows: Int, _ columns: Int, _ pitch: Int, _ channels: Int, _ isAverage: Bool, _ y: Target
) {
  let inverse = splat(1 / Float(rows &* columns))
  var c = 0
  while c < channels {
    let n = channels &- c < lanes ? channels &- c : lanes
    var sum = isAverage ? Vec.zero : splat(-.infinity)
    for row in 0..<rows {
      var p = x + (row &* pitch &+ c)
      for _ in 0..<columns {
        let v = get(p, n)
        sum = isAverage ? sum + v : xfer_vec_largest(sum, v)
        p += channels
      }
    }
    put(isAverage ? sum * inverse : sum, y + c, n)
    c &+= lanes
  }
}

/// Channels a task of the gradient takes: windows overlap, so one task goes over all windows of its channels in order.
private let channelBlock = 64

private let runPoolBackward: Run = { kernel, inputs, outputs, _ in
  let plan = payload(kernel, Pool.self).pointee
  var run = PoolRun(
    plan: plan, x: floats(inputs[0]), y: floats(inputs[plan.isAverage ? 0 : 1]), dy: floats(inputs[plan.isAverage ? 0 : 2]),
    to: floats(outputs[0]))
  let blocks = ceilDivide(plan.channels, channelBlock)
  parallel(KernelHead.of(kernel).host, count: plan.batch &* blocks, grain: 1, &run) { context, begin, end, _ in
    let run = UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: PoolRun.self))
    let blocks = ceilDivide(run.pointee.plan.channels, channelBlock)
    for task in begin..<end { poolBackwardBlock(run, Int(task) / blocks, Int(task) % blocks &* channelBlock) }
  }
  return XFER_OK
}

private func poolBackwardBlock(_ run: UnsafePointer<PoolRun>, _ image: Int, _ firstChannel: Int) {
  let plan = run.pointee.plan
  let channels = plan.channels
  let count = channels &- firstChannel < channelBlock ? channels &- firstChannel : channelBlock
  let base = image &* plan.height &* plan.width &* channels &+ firstChannel
  let dx = run.pointee.to + base
  for pixel in 0..<(plan.height &* plan.width) { (dx + pixel &* channels).update(repeating: 0, count: count) }
  for y in 0..<plan.outHeight {
    let rows = plan.rows(y)
    for x in 0..<plan.outWidth {
      let columns = plan.columns(x)
      let corner = (rows.first &* plan.width &+ columns.first) &* channels
      let at = ((image &* plan.outHeight &+ y) &* plan.outWidth &+ x) &* channels &+ firstChannel
      let size = (rows.end &- rows.first, columns.end &- columns.first)
      if plan.isAverage {
        spreadAverage(run.pointee.dy + at, dx + corner, size, plan.width &* channels, channels, count)
      } else {
        spreadMaximum(
          run.pointee.x + (base &+ corner), run.pointee.y + at, run.pointee.dy + at, dx + corner, size, plan.width &* channels,
          channels, count)
      }
    }
  }
}

@inline(never) private func spreadAverage(
  _ dy: Source, _ dx: Target, _ size: (Int, Int), _ pitch: Int, _ channels: Int, _ count: Int
) {
  let inverse = splat(1 / Float(size.0 &* size.1))
  var c = 0
  while c < count {
    let n = count &- c < lanes ? count &- c : lanes
    let gradient = get(dy + c, n) * inverse
    for row in 0..<size.0 {
      var p = dx + (row &* pitch &+ c)
      for _ in 0..<size.1 {
        put(get(Source(p), n) + gradient, p, n)
        p += channels
      }
    }
    c &+= lanes
  }
}

/// The gradient goes to the first maximum in row order; `left` is what is still to be given away.
@inline(never) private func spreadMaximum(
  _ x: Source, _ y: Source, _ dy: Source, _ dx: Target, _ size: (Int, Int), _ pitch: Int, _ channels: Int, _ count: Int
) {
  var c = 0
  while c < count {
    let n = count &- c < lanes ? count &- c : lanes
    let maximum = get(y + c, n)
    var left = get(dy + c, n)
    for row in 0..<size.0 {
      var at = row &* pitch &+ c
      for _ in 0..<size.1 {
        let v = get(x + at, n)
        let p = dx + at
        put(get(Source(p), n) + xfer_vec_if_same(v, maximum, left, splat(0)), p, n)
        left = xfer_vec_if_same(v, maximum, splat(0), left)
        at &+= channels
      }
    }
    c &+= lanes
  }
}

func poolPlan(_ desc: Desc) -> Pool? {
  let d = desc.pointee
  guard let a = d.attributes(xfer_pool_attributes.self)?.pointee, d.n_inputs >= 1, d.inputs != nil, d.outputs != nil, d.allFloats,
    a.kind == Int32(XFER_POOL_MAX) || a.kind == Int32(XFER_POOL_AVERAGE)
  else { return nil }
  let isForward = Int(d.op) == XFER_OP_POOL2D
  let inputs = isForward || a.kind == Int32(XFER_POOL_AVERAGE) ? 1 : 3
  guard d.has(inputs, 1) else { return nil }
  let x = isForward ? d.input(0) : d.output(0)
  let y = isForward ? d.output(0) : d.input(inputs - 1)
  guard x.rank == 4, y.rank == 4, x[0] == y[0], x[3] == y[3], inputs == 1 || (d.input(0).isSame(x) && d.input(1).isSame(y)) else {
    return nil
  }
  guard a.window_h > 0, a.window_w > 0, a.stride_h > 0, a.stride_w > 0, a.pad_top >= 0, a.pad_bottom >= 0, a.pad_left >= 0,
    a.pad_right >= 0, a.pad_top < a.window_h, a.pad_bottom < a.window_h, a.pad_left < a.window_w, a.pad_right < a.window_w
  else { return nil }
  let spanH = x[1] + Int(a.pad_top) + Int(a.pad_bottom) - Int(a.window_h)
  let spanW = x[2] + Int(a.pad_left) + Int(a.pad_right) - Int(a.window_w)
  guard spanH >= 0, spanW >= 0, spanH / Int(a.stride_h) + 1 == y[1], spanW / Int(a.stride_w) + 1 == y[2] else { return nil }
  return Pool(
    batch: x[0], height: x[1], width: x[2], channels: x[3], outHeight: y[1], outWidth: y[2], windowH: Int(a.window_h),
    windowW: Int(a.window_w), strideH: Int(a.stride_h), strideW: Int(a.stride_w), top: Int(a.pad_top), left: Int(a.pad_left),
    isAverage: a.kind == Int32(XFER_POOL_AVERAGE))
}

func preparePool(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = poolPlan(desc) else { return nil }
  return makeKernel(host, plan, run: Int(desc.pointee.op) == XFER_OP_POOL2D ? runPool : runPoolBackward).map { handle($0) }
}
