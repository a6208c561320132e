import CXfer

/// PERMUTE_CHANNELS of 4-byte elements and of bytes. The numbers of several rows are laid out at once, for one long loop with few
/// channels too. One load an element: gathering instructions are no faster.

struct Permute {
  var rows: Int
  var channels: Int
  var results: Int
  var isBytes: Bool
  /// Rows the laid out numbers are for.
  var together: Int

  var places: Int { together &* results }
}

private struct PermuteRun {
  var plan: Permute
  var x: UnsafeRawPointer
  var y: UnsafeMutableRawPointer
  var places: UnsafeMutablePointer<Int32>
  var isInside: Bool
}

private let runPermute: Run = { kernel, inputs, outputs, workspace in
  let plan = payload(kernel, Permute.self).pointee
  let index = inputs[1].unsafelyUnwrapped.assumingMemoryBound(to: Int32.self)
  var run = PermuteRun(
    plan: plan, x: inputs[0].unsafelyUnwrapped, y: outputs[0].unsafelyUnwrapped,
    places: workspace.unsafelyUnwrapped.bindMemory(to: Int32.self, capacity: plan.places), isInside: true)
  // What is outside the channels gives 0.
  for d in 0..<plan.results {
    let place = Int(index[d])
    let isInside = place >= 0 && place < plan.channels
    if !isInside { run.isInside = false }
    for row in 0..<plan.together { run.places[row &* plan.results &+ d] = isInside ? Int32(row &* plan.channels &+ place) : -1 }
  }
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
  if p.isBytes { pick(run, UInt8.self, row, count) } else { pick(run, UInt32.self, row, count) }
}

@inline(__always) private func pick<T: FixedWidthInteger>(_ run: PermuteRun, _: T.Type, _ row: Int, _ count: Int) {
  let x = run.x.assumingMemoryBound(to: T.self) + row &* run.plan.channels
  let y = run.y.assumingMemoryBound(to: T.self) + row &* run.plan.results
  if run.isInside {
    for i in 0..<count { y[i] = x[Int(run.places[i])] }
  } else {
    for i in 0..<count { y[i] = run.places[i] < 0 ? 0 : x[Int(run.places[i])] }
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
  workspace?.pointee = aligned(plan.places &* 4)
  return makeKernel(host, plan, run: runPermute).map { handle($0) }
}
