import CPluginSupport
import CXfer

/// SOFTMAX and its gradient: along rows where the dimension is the last, else over columns of a register's width.

struct Rows {
  var count: Int
  var length: Int
  /// Floats from one number of a column to the next; 1 for rows.
  var inner: Int

  /// Columns of `inner` floats' width, in registers.
  var strips: Int { ceilDivide(inner, lanes) }
}

private struct SoftmaxRun {
  var plan: Rows
  var x: Source
  var dy: Source
  var to: Target

  /// Where a strip begins, and how many floats wide it is.
  func strip(_ task: Int) -> (at: Int, n: Int) {
    let (outer, first) = (task / plan.strips, task % plan.strips &* lanes)
    return (outer &* plan.length &* plan.inner &+ first, plan.inner &- first < lanes ? plan.inner &- first : lanes)
  }
}

private func runStrips(_ host: Host, _ run: inout SoftmaxRun, _ body: xfer_task_fn) {
  let plan = run.plan
  parallel(host, count: plan.count &* plan.strips, grain: ceilDivide(4096, plan.length &* lanes), &run, body)
}

/// The sum of a register's lanes, pairwise.
@inline(__always) func total(_ v: Vec) -> Float {
  #if XFER_ISA_AVX512
    let eight = v.lowHalf + v.highHalf
    let four = eight.lowHalf + eight.highHalf
  #elseif XFER_ISA_AVX2
    let four = v.lowHalf + v.highHalf
  #else
    let four = v
  #endif
  let two = four.lowHalf + four.highHalf
  return two.x + two.y
}

private let runSoftmax: Run = { kernel, inputs, outputs, _ in
  let plan = payload(kernel, Rows.self).pointee
  var run = SoftmaxRun(plan: plan, x: floats(inputs[0]), dy: floats(inputs[0]), to: floats(outputs[0]))
  if plan.inner > 1 {
    runStrips(KernelHead.of(kernel).host, &run) { context, begin, end, _ in
      let r = context.unsafelyUnwrapped.assumingMemoryBound(to: SoftmaxRun.self).pointee
      for task in begin..<end {
        let (at, n) = r.strip(Int(task))
        softmaxStrip(r.x + at, r.to + at, r.plan, n)
      }
    }
    return XFER_OK
  }
  parallel(KernelHead.of(kernel).host, count: plan.count, grain: ceilDivide(4096, plan.length), &run) { context, begin, end, _ in
    let r = context.unsafelyUnwrapped.assumingMemoryBound(to: SoftmaxRun.self).pointee
    for row in begin..<end { softmaxRow(r.x + Int(row) &* r.plan.length, r.to + Int(row) &* r.plan.length, r.plan.length) }
  }
  return XFER_OK
}

@inline(never) private func softmaxRow(_ x: Source, _ y: Target, _ count: Int) {
  // NaN is passed over here: its exponential makes the sum NaN.
  var most = splat(-.infinity)
  var i = 0
  while i < count {
    let n = count &- i < lanes ? count &- i : lanes
    most = xfer_vec_max(n == lanes ? load(x + i) : xfer_vec_first(load(x + i, first: n), Int64(n), most), most)
    i &+= lanes
  }
  let shift = splat(xfer_vec_peak(most))
  var sum = Vec.zero
  i = 0
  while i &+ lanes <= count {
    let e = exponential(load(x + i) - shift)
    storeVector(e, y + i)
    sum += e
    i &+= lanes
  }
  let n = count &- i
  if n > 0 {
    storeVector(exponential(load(x + i, first: n) - shift), y + i, first: n)
    sum += load(Source(y + i), first: n)
  }
  let whole = splat(total(sum))
  i = 0
  while i &+ lanes <= count {
    storeVector(load(Source(y + i)) / whole, y + i)
    i &+= lanes
  }
  if n > 0 { storeVector(load(Source(y + i), first: n) / whole, y + i, first: n) }
}

private let runSoftmaxBackward: Run = { kernel, inputs, outputs, _ in
  let plan = payload(kernel, Rows.self).pointee
  var run = SoftmaxRun(plan: plan, x: floats(inputs[0]), dy: floats(inputs[1]), to: floats(outputs[0]))
  if plan.inner > 1 {
    runStrips(KernelHead.of(kernel).host, &run) { context, begin, end, _ in
      let r = context.unsafelyUnwrapped.assumingMemoryBound(to: SoftmaxRun.self).pointee
      for task in begin..<end {
        let (at, n) = r.strip(Int(task))
        softmaxBackwardStrip(r.x + at, r.dy + at, r.to + at, r.plan, n)
      }
    }
    return XFER_OK
  }
  parallel(KernelHead.of(kernel).host, count: plan.count, grain: ceilDivide(4096, plan.length), &run) { context, begin, end, _ in
    let r = context.unsafelyUnwrapped.assumingMemoryBound(to: SoftmaxRun.self).pointee
    for row in begin..<end {
      let at = Int(row) &* r.plan.length
      softmaxBackwardRow(r.x + at, r.dy + at, r.to + at, r.plan.length)
    }
  }
  return XFER_OK
}

/// dx = y * (dy - sum of y*dy).
@inline(never) private func softmaxBackwardRow(_ y: Source, _ dy: Source, _ dx: Target, _ count: Int) {
  var sum = Vec.zero
  var i = 0
  while i &+ lanes <= count {
    sum = fusedMultiplyAdd(sum, load(y + i), load(dy + i))
    i &+= lanes
  }
  let n = count &- i
  if n > 0 { sum = fusedMultiplyAdd(sum, load(y + i, first: n), load(dy + i, first: n)) }
  let shift = splat(total(sum))
  i = 0
  while i &+ lanes <= count {
    storeVector(load(y + i) * (load(dy + i) - shift), dx + i)
    i &+= lanes
  }
  if n > 0 { storeVector(load(y + i, first: n) * (load(dy + i, first: n) - shift), dx + i, first: n) }
}

@inline(__always) private func get(_ p: Source, _ n: Int) -> Vec { n == lanes ? load(p) : load(p, first: n) }
@inline(__always) private func put(_ v: Vec, _ p: Target, _ n: Int) {
  if n == lanes { storeVector(v, p) } else { storeVector(v, p, first: n) }
}

@inline(never) private func softmaxStrip(_ x: Source, _ y: Target, _ plan: Rows, _ n: Int) {
  var most = splat(-.infinity)
  for i in 0..<plan.length { most = xfer_vec_largest(most, get(x + i &* plan.inner, n)) }
  var sum = Vec.zero
  for i in 0..<plan.length {
    let e = exponential(get(x + i &* plan.inner, n) - most)
    put(e, y + i &* plan.inner, n)
    sum += e
  }
  for i in 0..<plan.length { put(get(Source(y + i &* plan.inner), n) / sum, y + i &* plan.inner, n) }
}

@inline(never) private func softmaxBackwardStrip(_ y: Source, _ dy: Source, _ dx: Target, _ plan: Rows, _ n: Int) {
  var sum = Vec.zero
  for i in 0..<plan.length { sum = fusedMultiplyAdd(sum, get(y + i &* plan.inner, n), get(dy + i &* plan.inner, n)) }
  for i in 0..<plan.length {
    let at = i &* plan.inner
    put(get(y + at, n) * (get(dy + at, n) - sum), dx + at, n)
  }
}

func softmaxPlan(_ desc: Desc) -> Rows? {
  let d = desc.pointee
  let inputs = Int(d.op) == XFER_OP_SOFTMAX ? 1 : 2
  guard d.has(inputs, 1), d.allFloats, d.input(0).rank == 3 else { return nil }
  for i in 0..<inputs where !d.input(i).isSame(d.output(0)) { return nil }
  return Rows(count: d.input(0)[0], length: d.input(0)[1], inner: d.input(0)[2])
}

func prepareSoftmax(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = softmaxPlan(desc) else { return nil }
  return makeKernel(host, plan, run: Int(desc.pointee.op) == XFER_OP_SOFTMAX ? runSoftmax : runSoftmaxBackward).map { handle($0) }
}
