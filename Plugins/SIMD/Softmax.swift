import CPluginSupport
import CXfer

/// SOFTMAX and its gradient over the last dimension, and CONCAT.

struct Rows {
  var count: Int
  var length: Int
}

private struct SoftmaxRun {
  var plan: Rows
  var x: Source
  var dy: Source
  var to: Target
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
  parallel(KernelHead.of(kernel).host, count: plan.count, grain: ceilDivide(4096, plan.length), &run) { context, begin, end, _ in
    let r = context.unsafelyUnwrapped.assumingMemoryBound(to: SoftmaxRun.self).pointee
    for row in begin..<end { softmaxRow(r.x + Int(row) &* r.plan.length, r.to + Int(row) &* r.plan.length, r.plan.length) }
  }
  return XFER_OK
}

@inline(never) private func softmaxRow(_ x: Source, _ y: Target, _ count: Int) {
  var most = -Float.infinity
  for i in 0..<count where x[i] > most || x[i].isNaN { most = x[i] }
  let shift = splat(most)
  var sum = Vec.zero
  var i = 0
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

func softmaxPlan(_ desc: Desc) -> Rows? {
  let d = desc.pointee
  let inputs = Int(d.op) == XFER_OP_SOFTMAX ? 1 : 2
  guard d.has(inputs, 1), d.allFloats, d.input(0).rank == 3, d.input(0)[2] == 1 else { return nil }
  for i in 0..<inputs where !d.input(i).isSame(d.output(0)) { return nil }
  return Rows(count: d.input(0)[0], length: d.input(0)[1])
}

func prepareSoftmax(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = softmaxPlan(desc) else { return nil }
  return makeKernel(host, plan, run: Int(desc.pointee.op) == XFER_OP_SOFTMAX ? runSoftmax : runSoftmaxBackward).map { handle($0) }
}
