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
  /// Of every tensor.
  var elements = ElementKind.floats
  var workers = 1

  /// Floats of a worker's sums in the gradient: see SumRows.
  var sumBytes: Int { elements == .halves ? aligned(windowH &* width &* channelBlock &* 4) : 0 }

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
  var host: Host
  var scratch: Scratch
  var failed = false
}

@inline(__always) private func get<E: Element>(_ p: UnsafePointer<E>, _ n: Int) -> Vec { n == lanes ? load(p) : load(p, first: n) }
@inline(__always) private func put<E: Element>(_ v: Vec, _ p: UnsafeMutablePointer<E>, _ n: Int) {
  if n == lanes { storeVector(v, p) } else { storeVector(v, p, first: n) }
}

private let runPool: Run = { kernel, inputs, outputs, _ in
  let host = KernelHead.of(kernel).host
  let plan = payload(kernel, Pool.self).pointee
  let x = floats(inputs[0])
  var run = PoolRun(
    plan: plan, x: x, y: x, dy: x, to: floats(outputs[0]), host: host, scratch: Scratch(base: kernel, bytes: 0, workers: 0))
  let grain = ceilDivide(4096, plan.outWidth &* plan.channels)
  parallel(host, count: plan.batch &* plan.outHeight, grain: grain, &run) { context, begin, end, _ in
    let run = UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: PoolRun.self))
    for row in begin..<end {
      if run.pointee.plan.elements == .halves { poolRow(run, BFloat16.self, Int(row)) } else { poolRow(run, Float.self, Int(row)) }
    }
  }
  return XFER_OK
}

private func poolRow<E: Element>(_ run: UnsafePointer<PoolRun>, _ type: E.Type, _ row: Int) {
  let plan = run.pointee.plan
  let image = elements(run.pointee.x, type) + row / plan.outHeight &* plan.height &* plan.width &* plan.channels
  let rows = plan.rows(row % plan.outHeight)
  for x in 0..<plan.outWidth {
    let columns = plan.columns(x)
    let to = elements(run.pointee.to, type) + (row &* plan.outWidth &+ x) &* plan.channels
    poolPixel(
      image + (rows.first &* plan.width &+ columns.first) &* plan.channels, rows.end &- rows.first, columns.end &- columns.first,
      plan.width &* plan.channels, plan.channels, plan.isAverage, to)
  }
}

@inline(never) private func poolPixel<E: Element>(
  _ x: UnsafePointer<E>, _ rows: Int, _ columns: Int, _ pitch: Int, _ channels: Int, _ isAverage: Bool, _ y: UnsafeMutablePointer<E>
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

private let runPoolBackward: Run = { kernel, inputs, outputs, workspace in
  let host = KernelHead.of(kernel).host
  let plan = payload(kernel, Pool.self).pointee
  var run = PoolRun(
    plan: plan, x: floats(inputs[0]), y: floats(inputs[plan.isAverage ? 0 : 1]), dy: floats(inputs[plan.isAverage ? 0 : 2]),
    to: floats(outputs[0]), host: host, scratch: Scratch(base: workspace ?? kernel, bytes: plan.sumBytes, workers: plan.workers))
  let blocks = ceilDivide(plan.channels, channelBlock)
  parallel(host, count: plan.batch &* blocks, grain: 1, &run) { context, begin, end, worker in
    let run = context.unsafelyUnwrapped.assumingMemoryBound(to: PoolRun.self)
    let blocks = ceilDivide(run.pointee.plan.channels, channelBlock)
    if run.pointee.plan.elements == .floats {
      for task in begin..<end { poolBackwardBlock(run, Int(task) / blocks, Int(task) % blocks &* channelBlock) }
      return
    }
    guard let memory = run.pointee.scratch.take(run.pointee.host, worker) else {
      run.pointee.failed = true
      return
    }
    for task in begin..<end {
      poolBackwardSums(run, Int(task) / blocks, Int(task) % blocks &* channelBlock, memory.assumingMemoryBound(to: Float.self))
    }
    run.pointee.scratch.giveBack(run.pointee.host, worker, memory)
  }
  return run.failed ? fail(host, XFER_E_OUT_OF_MEMORY, "no memory for a worker's sums") : XFER_OK
}

private func poolBackwardBlock(_ run: UnsafePointer<PoolRun>, _ image: Int, _ firstChannel: Int) {
  let plan = run.pointee.plan
  let channels = plan.channels
  let count = channels &- firstChannel < channelBlock ? channels &- firstChannel : channelBlock
  let base = image &* plan.height &* plan.width &* channels &+ firstChannel
  let dx = run.pointee.to + base
  for pixel in 0..<(plan.height &* plan.width) { (dx + pixel &* channels).update(repeating: 0, count: count) }
  for y in 0..<plan.outHeight {
    spreadRow(run, Float.self, image, firstChannel, count, y, dx + plan.rows(y).first &* plan.width &* channels, pitch: channels)
  }
}

/// The same in bfloat16, whose sums are made in `sums`, floats: the rows of the image that windows still reach, one after another.
private func poolBackwardSums(_ run: UnsafePointer<PoolRun>, _ image: Int, _ firstChannel: Int, _ sums: Target) {
  let plan = run.pointee.plan
  let channels = plan.channels
  let count = channels &- firstChannel < channelBlock ? channels &- firstChannel : channelBlock
  let dx = elements(run.pointee.to, BFloat16.self) + (image &* plan.height &* plan.width &* channels &+ firstChannel)
  let rowFloats = plan.width &* count
  // The first row of the sums, and how many there are.
  var first = 0
  var held = 0
  func finish(_ rows: Int) {
    for pixel in 0..<(rows &* plan.width) {
      roundRow(Source(sums + pixel &* count), count, to: dx + (first &* plan.width &+ pixel) &* channels)
    }
    sums.update(from: sums + rows &* rowFloats, count: (held &- rows) &* rowFloats)
    first &+= rows
    held &-= rows
  }
  for y in 0..<plan.outHeight {
    let rows = plan.rows(y)
    while first < rows.first {
      if held == 0 { hold(1) }
      finish(rows.first &- first < held ? rows.first &- first : held)
    }
    hold(rows.end &- first)
    spreadRow(run, BFloat16.self, image, firstChannel, count, y, sums, pitch: count)
  }
  while first < plan.height {
    if held == 0 { hold(1) }
    finish(held)
  }
  /// From now on so many rows, if there were fewer: the new ones are 0.
  func hold(_ rows: Int) {
    if rows <= held { return }
    (sums + held &* rowFloats).update(repeating: 0, count: (rows &- held) &* rowFloats)
    held = rows
  }
}

@inline(never) private func roundRow(_ x: Source, _ count: Int, to y: UnsafeMutablePointer<BFloat16>) {
  var i = 0
  while i &+ lanes <= count {
    storeVector(load(x + i), y + i)
    i &+= lanes
  }
  if i < count { storeVector(load(x + i, first: count &- i), y + i, first: count &- i) }
}

/// Spreads the gradients of one row of windows over the rows of the image they reach, the first of which is at `dx`: `count` channels of pixels
/// that are `pitch` apart.
@inline(__always) private func spreadRow<E: Element>(
  _ run: UnsafePointer<PoolRun>, _ type: E.Type, _ image: Int, _ firstChannel: Int, _ count: Int, _ y: Int, _ dx: Target, pitch: Int
) {
  let plan = run.pointee.plan
  let channels = plan.channels
  let rows = plan.rows(y)
  let x = elements(run.pointee.x, type) + ((image &* plan.height &+ rows.first) &* plan.width &* channels &+ firstChannel)
  let out = ((image &* plan.outHeight &+ y) &* plan.outWidth) &* channels &+ firstChannel
  for column in 0..<plan.outWidth {
    let columns = plan.columns(column)
    let at = out &+ column &* channels
    let window = PoolWindow(
      rows: rows.end &- rows.first, columns: columns.end &- columns.first, width: plan.width, channels: channels, pitch: pitch,
      count: count)
    let to = dx + columns.first &* pitch
    if plan.isAverage {
      spreadAverage(elements(run.pointee.dy, type) + at, to, window)
    } else {
      spreadMaximum(
        x + columns.first &* channels, elements(run.pointee.y, type) + at, elements(run.pointee.dy, type) + at, to, window)
    }
  }
}

private struct PoolWindow {
  var rows: Int
  var columns: Int
  /// Pixels of a row of the image.
  var width: Int
  /// From one pixel to the next in x, and in dx.
  var channels: Int
  var pitch: Int
  /// Channels to go over.
  var count: Int
}

@inline(never) private func spreadAverage<E: Element>(_ dy: UnsafePointer<E>, _ dx: Target, _ w: PoolWindow) {
  let inverse = splat(1 / Float(w.rows &* w.columns))
  var c = 0
  while c < w.count {
    let n = w.count &- c < lanes ? w.count &- c : lanes
    let gradient = get(dy + c, n) * inverse
    for row in 0..<w.rows {
      var p = dx + (row &* w.width &* w.pitch &+ c)
      for _ in 0..<w.columns {
        put(get(Source(p), n) + gradient, p, n)
        p += w.pitch
      }
    }
    c &+= lanes
  }
}

/// The gradient goes to the first maximum in row order; `left` is what is still to be given away.
@inline(never) private func spreadMaximum<E: Element>(
  _ x: UnsafePointer<E>, _ y: UnsafePointer<E>, _ dy: UnsafePointer<E>, _ dx: Target, _ w: PoolWindow
) {
  var c = 0
  while c < w.count {
    let n = w.count &- c < lanes ? w.count &- c : lanes
    let maximum = get(y + c, n)
    var left = get(dy + c, n)
    for row in 0..<w.rows {
      var from = x + (row &* w.width &* w.channels &+ c)
      var p = dx + (row &* w.width &* w.pitch &+ c)
      for _ in 0..<w.columns {
        let v = get(from, n)
        put(get(Source(p), n) + xfer_vec_if_same(v, maximum, left, splat(0)), p, n)
        left = xfer_vec_if_same(v, maximum, splat(0), left)
        from += w.channels
        p += w.pitch
      }
    }
    c &+= lanes
  }
}

func poolPlan(_ desc: Desc) -> Pool? {
  let d = desc.pointee
  guard let a = d.attributes(xfer_pool_attributes.self)?.pointee, d.n_inputs >= 1, d.inputs != nil, d.outputs != nil,
    let elements = d.elements(inputs: 3), a.kind == Int32(XFER_POOL_MAX) || a.kind == Int32(XFER_POOL_AVERAGE)
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
    isAverage: a.kind == Int32(XFER_POOL_AVERAGE), elements: elements)
}

func preparePool(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard var plan = poolPlan(desc) else { return nil }
  let isForward = Int(desc.pointee.op) == XFER_OP_POOL2D
  plan.workers = threads(host)
  if !isForward { workspace?.pointee = plan.workers &* plan.sumBytes }
  return makeKernel(host, plan, run: isForward ? runPool : runPoolBackward).map { handle($0) }
}
