import CPluginSupport
import CXfer

/// GATHER and its gradient: rows picked by number, rows added up by number.

struct Gather {
  var outer: Int
  /// Rows of the table, rows picked, floats of a row.
  var n: Int
  var m: Int
  var inner: Int
  /// The gradient's tasks: pieces of the table's rows and blocks of its columns.
  var parts = 1
  var blocks = 1
}

private struct GatherRun {
  var plan: Gather
  var x: Source
  var index: UnsafePointer<Int32>
  var y: Target
}

private func makeRun(_ kernel: UnsafeMutableRawPointer, _ inputs: Inputs, _ outputs: Outputs) -> GatherRun {
  GatherRun(
    plan: payload(kernel, Gather.self).pointee, x: floats(inputs[0]),
    index: inputs[1].unsafelyUnwrapped.assumingMemoryBound(to: Int32.self), y: floats(outputs[0]))
}

private let runGather: Run = { kernel, inputs, outputs, _ in
  var run = makeRun(kernel, inputs, outputs)
  let grain = ceilDivide(elementGrain, run.plan.inner)
  parallel(KernelHead.of(kernel).host, count: run.plan.outer &* run.plan.m, grain: grain, &run) { context, begin, end, _ in
    let r = context.unsafelyUnwrapped.assumingMemoryBound(to: GatherRun.self).pointee
    let p = r.plan
    var (outer, i) = (Int(begin) / p.m, Int(begin) % p.m)
    for row in Int(begin)..<Int(end) {
      let source = Int(r.index[i])
      let y = r.y + row &* p.inner
      if source >= 0 && source < p.n {
        copyRow(r.x + (outer &* p.n &+ source) &* p.inner, y, p.inner)
      } else {
        y.update(repeating: .nan, count: p.inner)
      }
      i &+= 1
      if i == p.m { (outer, i) = (outer &+ 1, 0) }
    }
  }
  return XFER_OK
}

@inline(__always) private func copyRow(_ x: Source, _ y: Target, _ count: Int) {
  var i = 0
  while i &+ lanes <= count {
    storeVector(load(x + i), y + i)
    i &+= lanes
  }
  let n = count &- i
  if n > 0 { storeVector(load(x + i, first: n), y + i, first: n) }
}

/// A task goes over all numbers and takes what falls into its rows, of its columns: a row is added up in the order of the numbers,
/// whoever does it.
private let runGatherBackward: Run = { kernel, inputs, outputs, _ in
  var run = makeRun(kernel, inputs, outputs)
  let tasks = run.plan.outer &* run.plan.parts &* run.plan.blocks
  let grain = ceilDivide(elementGrain, run.plan.outer &* (run.plan.n &+ run.plan.m) &* run.plan.inner / tasks &+ 1)
  parallel(KernelHead.of(kernel).host, count: tasks, grain: grain, &run) { context, begin, end, _ in
    let run = context.unsafelyUnwrapped.assumingMemoryBound(to: GatherRun.self).pointee
    for task in begin..<end { scatter(run, Int(task)) }
  }
  return XFER_OK
}

/// Columns of a block.
private let blockColumns = 64

private func scatter(_ r: GatherRun, _ task: Int) {
  let p = r.plan
  let (column, rest) = (task % p.blocks &* blockColumns, task / p.blocks)
  let (outer, part) = (rest / p.parts, rest % p.parts)
  let (first, end) = (part &* p.n / p.parts, (part &+ 1) &* p.n / p.parts)
  let count = p.blocks == 1 ? p.inner : p.inner &- column < blockColumns ? p.inner &- column : blockColumns
  let table = r.y + (outer &* p.n &* p.inner &+ column)
  for row in first..<end { (table + row &* p.inner).update(repeating: 0, count: count) }
  for i in 0..<p.m {
    let row = Int(r.index[i])
    if row < first || row >= end { continue }
    add(r.x + ((outer &* p.m &+ i) &* p.inner &+ column), table + row &* p.inner, count)
  }
}

@inline(__always) private func add(_ x: Source, _ y: Target, _ count: Int) {
  var i = 0
  while i &+ lanes <= count {
    storeVector(load(Source(y + i)) + load(x + i), y + i)
    i &+= lanes
  }
  let n = count &- i
  if n > 0 { storeVector(load(Source(y + i), first: n) + load(x + i, first: n), y + i, first: n) }
}

func gatherPlan(_ desc: Desc) -> Gather? {
  let d = desc.pointee
  guard d.has(2, 1) else { return nil }
  let isGradient = Int(d.op) == XFER_OP_GATHER_BACKWARD
  let index = d.input(1)
  let (whole, rows) = isGradient ? (d.output(0), d.input(0)) : (d.input(0), d.output(0))
  guard index.dtype == XFER_I32, index.rank == 1, whole.isFloat, rows.isFloat, whole.rank == 3, rows.rank == 3, whole.count > 0,
    rows.count > 0, rows[0] == whole[0], rows[1] == index[0], rows[2] == whole[2]
  else { return nil }
  var plan = Gather(outer: whole[0], n: whole[1], m: rows[1], inner: whole[2])
  if isGradient && (plan.n &+ plan.m) &* plan.inner > elementGrain {
    plan.blocks = ceilDivide(plan.inner, blockColumns)
    // Few columns: pieces of rows beside them, no more than some, for each reads all numbers.
    let most = 8 / (plan.outer &* plan.blocks)
    plan.parts = most < 1 ? 1 : most < plan.n ? most : plan.n
  }
  return plan
}

func prepareGather(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = gatherPlan(desc) else { return nil }
  return makeKernel(host, plan, run: Int(desc.pointee.op) == XFER_OP_GATHER ? runGather : runGatherBackward).map { handle($0) }
}
