import CXfer

/// TRANSPOSE of 4-byte elements: rows copied where the last dimension stays last, else blocks turned, so that reads and writes both stay
/// within a few cache lines.

struct Transpose {
  /// Dimensions beside the turned pair (or beside the copied one): how many there are, and the product of their sizes.
  var others: Int
  var places: Int
  /// The result's last dimension, and its step in the input.
  var columns: Int
  var columnStep: Int
  /// The result's dimension that is last in the input, and its step in the result; 1 row where rows are copied.
  var rows: Int
  var rowStep: Int
  var isCopy: Bool
  /// Sizes, steps in the input, steps in the result of the other dimensions: three times eight.
  var table: UnsafeMutablePointer<Int>! = nil
}

private struct TransposeRun {
  var plan: UnsafePointer<Transpose>
  var x: UnsafePointer<UInt32>
  var y: UnsafeMutablePointer<UInt32>
}

private let block = 16

/// A block of rows for every place.
private var strips: Int { 64 }

private let runTranspose: Run = { kernel, inputs, outputs, _ in
  let plan = UnsafePointer(payload(kernel, Transpose.self))
  var run = TransposeRun(
    plan: plan, x: inputs[0].unsafelyUnwrapped.assumingMemoryBound(to: UInt32.self),
    y: outputs[0].unsafelyUnwrapped.assumingMemoryBound(to: UInt32.self))
  let perPlace = ceilDivide(plan.pointee.rows, strips)
  let work = plan.pointee.columns &* (plan.pointee.rows < strips ? plan.pointee.rows : strips)
  parallel(
    KernelHead.of(kernel).host, count: plan.pointee.places &* perPlace, grain: ceilDivide(elementGrain, work > 0 ? work : 1), &run
  ) { context, begin, end, _ in
    let run = context.unsafelyUnwrapped.assumingMemoryBound(to: TransposeRun.self).pointee
    let perPlace = ceilDivide(run.plan.pointee.rows, strips)
    for item in Int(begin)..<Int(end) { turn(run, item / perPlace, item % perPlace &* strips) }
  }
  return XFER_OK
}

private func turn(_ run: TransposeRun, _ place: Int, _ firstRow: Int) {
  let p = run.plan.pointee
  var (from, to, rest, axis) = (0, 0, place, p.others &- 1)
  while axis >= 0 {
    let size = p.table[axis]
    from &+= rest % size &* p.table[8 &+ axis]
    to &+= rest % size &* p.table[16 &+ axis]
    rest /= size
    axis -= 1
  }
  let (x, y) = (run.x + from, run.y + to)
  if p.isCopy {
    y.update(from: x, count: p.columns)
    return
  }
  let lastRow = firstRow &+ strips < p.rows ? firstRow &+ strips : p.rows
  var row = firstRow
  while row < lastRow {
    let rowEnd = row &+ block < lastRow ? row &+ block : lastRow
    var column = 0
    while column < p.columns {
      let columnEnd = column &+ block < p.columns ? column &+ block : p.columns
      for r in row..<rowEnd {
        let (source, target) = (x + r, y + r &* p.rowStep)
        var c = column
        while c < columnEnd {
          target[c] = source[c &* p.columnStep]
          c &+= 1
        }
      }
      column = columnEnd
    }
    row = rowEnd
  }
}

func transposePlan(_ desc: Desc) -> Transpose? {
  let d = desc.pointee
  guard d.n_inputs == 1, d.n_outputs == 1, d.inputs != nil, d.outputs != nil, d.has(1, 1) else { return nil }
  let (x, y) = (d.input(0), d.output(0))
  guard x.dtype == y.dtype, x.dtype == XFER_F32 || x.dtype == XFER_I32, x.rank == y.rank, x.rank > 0,
    let a = d.attributes(xfer_transpose_attributes.self)
  else { return nil }
  let rank = Int(y.rank)
  var seen = 0
  for axis in 0..<rank {
    let from = source(a, axis)
    guard from >= 0, from < rank, seen >> from & 1 == 0, y[axis] == x[from] else { return nil }
    seen |= 1 << from
  }
  let last = rank &- 1
  let isCopy = source(a, last) == last
  var plan = Transpose(others: 0, places: 1, columns: y[last], columnStep: step(x, source(a, last)), rows: 1, rowStep: 0, isCopy: isCopy)
  for axis in 0..<last {
    if !isCopy && source(a, axis) == last {
      plan.rows = y[axis]
      plan.rowStep = step(y, axis)
    } else {
      plan.others &+= 1
      plan.places &*= y[axis]
    }
  }
  return plan
}

private func source(_ a: UnsafePointer<xfer_transpose_attributes>, _ axis: Int) -> Int {
  withUnsafeBytes(of: a.pointee.order) { Int($0.load(fromByteOffset: axis &* 4, as: Int32.self)) }
}

/// Elements from one place of a dimension to the next.
private func step(_ t: xfer_tensor_desc, _ axis: Int) -> Int {
  var result = 1
  var i = axis &+ 1
  while i < Int(t.rank) {
    result &*= t[i]
    i &+= 1
  }
  return result
}

func prepareTranspose(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = transposePlan(desc), let k = makeKernel(host, plan, extra: aligned(24 &* 8), run: runTranspose) else { return nil }
  let d = desc.pointee
  guard let a = d.attributes(xfer_transpose_attributes.self) else { return nil }
  let (x, y) = (d.input(0), d.output(0))
  k.pointee.table = extraMemory(k).bindMemory(to: Int.self, capacity: 24)
  var to = 0
  let last = Int(y.rank) &- 1
  for axis in 0..<last where plan.isCopy || source(a, axis) != last {
    k.pointee.table[to] = y[axis]
    k.pointee.table[8 &+ to] = step(x, source(a, axis))
    k.pointee.table[16 &+ to] = step(y, axis)
    to &+= 1
  }
  return handle(k)
}
