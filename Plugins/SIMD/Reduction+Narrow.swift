import CPluginSupport
import CXfer

/// REDUCE over the middle dimension where the last has up to three numbers: a register holds several rows. Lane l of register r of a
/// group of `inner` registers belongs to column (r*lanes + l) % inner, in every group.

struct Narrow {
  var isMax = false
  var isMean = false
  var outer: Int
  var n: Int
  var inner: Int
  /// Pieces of a long sum, cut where groups begin; a number that depends on the shape alone.
  var parts = 1

  var floats: Int { n &* inner }
  var group: Int { inner &* lanes }
  func begin(_ part: Int) -> Int { part == parts ? floats : part &* (floats / group) / parts &* group }
}

private struct NarrowRun {
  var plan: Narrow
  var x: Source
  var y: Target
  /// [outer][parts][inner], in double.
  var partials: UnsafeMutablePointer<Double>
}

/// Floats of a part of a long sum.
private let partFloats = 65536

private let runNarrow: Run = { kernel, inputs, outputs, workspace in
  let plan = payload(kernel, Narrow.self).pointee
  var run = NarrowRun(
    plan: plan, x: floats(inputs[0]), y: floats(outputs[0]),
    partials: workspace.unsafelyUnwrapped.bindMemory(to: Double.self, capacity: plan.outer &* plan.parts &* plan.inner))
  let grain = ceilDivide(elementGrain, plan.floats / plan.parts &+ 1)
  parallel(KernelHead.of(kernel).host, count: plan.outer &* plan.parts, grain: grain, &run) { context, begin, end, _ in
    let run = context.unsafelyUnwrapped.assumingMemoryBound(to: NarrowRun.self).pointee
    for task in begin..<end { reducePart(run, Int(task)) }
  }
  for outer in 0..<plan.outer {
    for column in 0..<plan.inner {
      let from = run.partials + (outer &* plan.parts &* plan.inner &+ column)
      var value = from[0]
      for part in 1..<(plan.parts > 1 ? plan.parts : 1) { value = join(plan, value, from[part &* plan.inner]) }
      run.y[outer &* plan.inner &+ column] = Float(plan.isMean ? value / Double(plan.n) : value)
    }
  }
  return XFER_OK
}

@inline(__always) private func join(_ plan: Narrow, _ a: Double, _ b: Double) -> Double {
  if !plan.isMax { return a + b }
  return b > a || b.isNaN ? b : a
}

private func reducePart(_ run: NarrowRun, _ task: Int) {
  let p = run.plan
  let x = run.x + task / p.parts &* p.floats
  let (begin, end) = (p.begin(task % p.parts), p.begin(task % p.parts &+ 1))
  let to = run.partials + task &* p.inner
  for column in 0..<p.inner { to[column] = p.isMax ? -.infinity : 0 }
  let whole = begin &+ (end &- begin) / p.group &* p.group
  if whole > begin {
    for register in 0..<p.inner {
      let first = register &* lanes
      if p.isMax {
        let most = largestRegister(x + (begin &+ first), whole &- begin, p.group)
        for lane in 0..<lanes { to[(first &+ lane) % p.inner] = join(p, to[(first &+ lane) % p.inner], Double(most[lane])) }
      } else {
        let sums = sumRegister(x + (begin &+ first), whole &- begin, p.group)
        for lane in 0..<lanes / 2 {
          to[(first &+ lane) % p.inner] += sums.low[lane]
          to[(first &+ lane &+ lanes / 2) % p.inner] += sums.high[lane]
        }
      }
    }
  }
  // `whole` is the beginning of a row.
  for i in whole..<end { to[(i &- whole) % p.inner] = join(p, to[(i &- whole) % p.inner], Double(x[i])) }
}

/// The registers at 0, step ... below `count`, added up in double.
@inline(never) private func sumRegister(_ x: Source, _ count: Int, _ step: Int) -> (low: Half, high: Half) {
  var (low, high) = (Half.zero, Half.zero)
  var at = 0
  while at < count {
    let v = load(x + at)
    low += xfer_vec_low(v)
    high += xfer_vec_high(v)
    at &+= step
  }
  return (low, high)
}

@inline(never) private func largestRegister(_ x: Source, _ count: Int, _ step: Int) -> Vec {
  var most = splat(-.infinity)
  var at = 0
  while at < count {
    most = xfer_vec_largest(most, load(x + at))
    at &+= step
  }
  return most
}

func narrowPlan(_ desc: Desc) -> Narrow? {
  let d = desc.pointee
  guard Int(d.op) == XFER_OP_REDUCE, d.has(1, 1), d.allFloats, d.input(0).rank == 3, d.output(0).rank == 2,
    let a = d.attributes(xfer_reduce_attributes.self)?.pointee, a.kind >= 0, a.kind <= Int32(XFER_REDUCE_MAX)
  else { return nil }
  let (x, y) = (d.input(0), d.output(0))
  guard y[0] == x[0], y[1] == x[2], x[2] < 4, x[1] > 1 else { return nil }
  var plan = Narrow(
    isMax: a.kind == Int32(XFER_REDUCE_MAX), isMean: a.kind == Int32(XFER_REDUCE_MEAN), outer: x[0], n: x[1], inner: x[2])
  plan.parts = ceilDivide(plan.floats, partFloats)
  return plan
}

func prepareNarrowReduction(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let plan = narrowPlan(desc) else { return nil }
  workspace?.pointee = plan.outer &* plan.parts &* plan.inner &* 8
  return makeKernel(host, plan, run: runNarrow).map { handle($0) }
}
