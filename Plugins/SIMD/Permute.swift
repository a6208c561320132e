import CPluginSupport
import CXfer

/// PERMUTE_CHANNELS of 4-byte elements and of bytes. The numbers of several rows are laid out at once, so that registers are full with
/// few channels too.

struct Permute {
  var rows: Int
  var channels: Int
  var results: Int
  var isBytes: Bool
  /// Rows the laid out numbers are for.
  var together: Int

  /// Whole registers of numbers.
  var tableBytes: Int { aligned(together &* results &* 4) }
}

private struct PermuteRun {
  var plan: Permute
  var x: UnsafeRawPointer
  var y: UnsafeMutableRawPointer
  var places: UnsafeMutablePointer<Int32>
}

private let runPermute: Run = { kernel, inputs, outputs, workspace in
  let plan = payload(kernel, Permute.self).pointee
  let index = inputs[1].unsafelyUnwrapped.assumingMemoryBound(to: Int32.self)
  let places = workspace.unsafelyUnwrapped.bindMemory(to: Int32.self, capacity: plan.tableBytes / 4)
  // What is outside the channels gives 0.
  for i in 0..<plan.tableBytes / 4 {
    let (row, place) = (i / plan.results, Int(index[i % plan.results]))
    let isInside = row < plan.together && place >= 0 && place < plan.channels
    places[i] = isInside ? Int32(row &* plan.channels &+ place) : -1
  }
  var run = PermuteRun(plan: plan, x: inputs[0].unsafelyUnwrapped, y: outputs[0].unsafelyUnwrapped, places: places)
  let grain = ceilDivide(ceilDivide(elementGrain, plan.results), plan.together)
  parallel(KernelHead.of(kernel).host, count: ceilDivide(plan.rows, plan.together), grain: grain, &run) { context, begin, end, _ in
    let run = context.unsafelyUnwrapped.assumingMemoryBound(to: PermuteRun.self).pointee
    for group in Int(begin)..<Int(end) { permuteRows(run, group &* run.plan.together) }
  }
  return XFER_OK
}

private func permuteRows(_ run: PermuteRun, _ row: Int) {
  let p = run.plan
  let rows = p.rows &- row < p.together ? p.rows &- row : p.together
  let count = rows &* p.results
  let (from, to) = (row &* p.channels, row &* p.results)
  if p.isBytes {
    let (x, y) = (run.x.assumingMemoryBound(to: UInt8.self) + from, run.y.assumingMemoryBound(to: UInt8.self) + to)
    for i in 0..<count {
      let place = Int(run.places[i])
      y[i] = place < 0 ? 0 : x[place]
    }
    return
  }
  pick(floats(run.x) + from, run.places, floats(run.y) + to, count)
}

@inline(never) private func pick(_ x: Source, _ places: UnsafePointer<Int32>, _ y: Target, _ count: Int) {
  var i = 0
  while i &+ lanes <= count {
    storeVector(xfer_vec_gather(x, xfer_ints_load(places + i)), y + i)
    i &+= lanes
  }
  while i < count {
    let place = Int(places[i])
    y[i] = place < 0 ? 0 : x[place]
    i &+= 1
  }
}

func permutePlan(_ desc: Desc) -> Permute? {
  let d = desc.pointee
  guard d.has(2, 1) else { return nil }
  let (x, index, y) = (d.input(0), d.input(1), d.output(0))
  guard x.dtype == y.dtype, x.dtype == XFER_F32 || x.dtype == XFER_I32 || x.dtype == XFER_U8, index.dtype == XFER_I32, index.rank == 1,
    x.rank > 0, x.rank == y.rank, x.outer == y.outer, y.last == index[0], x.count > 0, y.count > 0
  else { return nil }
  // At least so many numbers, and few enough for 32 bits.
  let together = ceilDivide(256, y.last)
  guard together &* x.last <= Int(Int32.max) else { return nil }
  return Permute(rows: y.outer, channels: x.last, results: y.last, isBytes: x.dtype == XFER_U8, together: together)
}

func preparePermute(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let plan = permutePlan(desc) else { return nil }
  workspace?.pointee = plan.tableBytes
  return makeKernel(host, plan, run: runPermute).map { handle($0) }
}
