import CPluginSupport
import CXfer

/// DROPOUT and RANDOM: numbers of a counter under a key, so that every lane makes its own. In doubles, as they are defined: the results
/// are those of any other backend that computes in doubles.

struct Chance {
  var op: Int
  var count: Int
  var isNormal = false
  var rate: Float = 0
}

private struct ChanceRun {
  var plan: Chance
  var key: UInt64
  var x: Source
  var y: Target
}

private let runChance: Run = { kernel, inputs, outputs, _ in
  let plan = payload(kernel, Chance.self).pointee
  let isDropout = plan.op == XFER_OP_DROPOUT
  let state = inputs[isDropout ? 1 : 0].unsafelyUnwrapped.assumingMemoryBound(to: UInt64.self)
  let key = mixed(state[0] ^ mixed(state[1]))
  let y = floats(outputs[0])
  var run = ChanceRun(plan: plan, key: key, x: isDropout ? floats(inputs[0]) : Source(y), y: y)
  parallel(KernelHead.of(kernel).host, count: plan.count, grain: elementGrain, &run) { context, begin, end, _ in
    let run = context.unsafelyUnwrapped.assumingMemoryBound(to: ChanceRun.self).pointee
    if run.plan.op == XFER_OP_DROPOUT {
      dropOut(run, Int(begin), Int(end))
    } else if run.plan.isNormal {
      drawNormal(run, Int(begin), Int(end))
    } else {
      drawUniform(run, Int(begin), Int(end))
    }
  }
  return XFER_OK
}

private func mixed(_ z: UInt64) -> UInt64 { xfer_words_mix(xfer_words_from(z, 0))[0] }

/// The numbers of counters first, first + step ... in both halves of a register.
@inline(__always) private func uniform(_ first: UInt64, _ step: UInt64) -> (low: Half, high: Half) {
  let next = first &+ step &* UInt64(lanes / 2)
  return (
    xfer_words_uniform(xfer_words_mix(xfer_words_from(first, step))), xfer_words_uniform(xfer_words_mix(xfer_words_from(next, step)))
  )
}

/// Calls `body` for each register of begin..<end: where it begins and how many of its floats count.
@inline(__always) private func eachRegister(_ begin: Int, _ end: Int, _ body: (_ at: Int, _ n: Int) -> Void) {
  var at = begin
  while at < end {
    body(at, end &- at < lanes ? end &- at : lanes)
    at &+= lanes
  }
}

@inline(__always) private func put(_ v: Vec, _ p: Target, _ n: Int) {
  if n == lanes { storeVector(v, p) } else { storeVector(v, p, first: n) }
}

@inline(never) private func dropOut(_ run: ChanceRun, _ begin: Int, _ end: Int) {
  let rate = wide(Double(run.plan.rate))
  let kept = wide(1 - Double(run.plan.rate))
  eachRegister(begin, end) { at, n in
    let x = n == lanes ? load(run.x + at) : load(run.x + at, first: n)
    let u = uniform(run.key &+ UInt64(at), 1)
    let low = xfer_half_if_less(u.low, rate, wide(0), xfer_vec_low(x) / kept)
    put(xfer_vec_joined(low, xfer_half_if_less(u.high, rate, wide(0), xfer_vec_high(x) / kept)), run.y + at, n)
  }
}

@inline(never) private func drawUniform(_ run: ChanceRun, _ begin: Int, _ end: Int) {
  eachRegister(begin, end) { at, n in
    let u = uniform(run.key &+ UInt64(at), 1)
    put(xfer_vec_joined(u.low, u.high), run.y + at, n)
  }
}

@inline(never) private func drawNormal(_ run: ChanceRun, _ begin: Int, _ end: Int) {
  @inline(__always) func normal(_ u: Half, _ v: Half) -> Half {
    // -2 log x as a multiple of log2 x.
    xfer_half_sqrt(wide(-1.3862943611198906) * logarithm2(u + wide(0x1p-24))) * cosineOfTurns(v)
  }
  eachRegister(begin, end) { at, n in
    let first = run.key &+ 2 &* UInt64(at)
    let (u, v) = (uniform(first, 2), uniform(first &+ 1, 2))
    put(xfer_vec_joined(normal(u.low, v.low), normal(u.high, v.high)), run.y + at, n)
  }
}

func chancePlan(_ desc: Desc) -> Chance? {
  let d = desc.pointee
  let isDropout = Int(d.op) == XFER_OP_DROPOUT
  guard d.has(isDropout ? 2 : 1, 1) else { return nil }
  let (state, y) = (d.input(isDropout ? 1 : 0), d.output(0))
  guard state.dtype == XFER_I64, state.count == 2, y.isFloat, y.count > 0 else { return nil }
  var plan = Chance(op: Int(d.op), count: y.count)
  if isDropout {
    guard d.input(0).isFloat, d.input(0).isSame(y), let a = d.attributes(xfer_dropout_attributes.self)?.pointee, a.rate >= 0, a.rate < 1
    else { return nil }
    plan.rate = a.rate
  } else {
    guard let a = d.attributes(xfer_random_attributes.self)?.pointee, a.kind >= 0, a.kind <= Int32(XFER_RANDOM_NORMAL) else { return nil }
    plan.isNormal = a.kind == Int32(XFER_RANDOM_NORMAL)
  }
  return plan
}

func prepareChance(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = chancePlan(desc) else { return nil }
  return makeKernel(host, plan, run: runChance).map { handle($0) }
}
