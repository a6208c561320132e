import CXfer

/// SLICE and PAD: a box copied out of a tensor, or into one that is filled around it.
///
/// Dimensions that are whole in both tensors are joined with the next outer one, so that as much as can be is copied at once.

struct Box {
  var isPad = false
  /// Rows of the result and bytes of each.
  var rows = 1
  var length = 1
  /// Of a row of the large tensor: its bytes, those of the box within it and where they begin.
  var pitch = 1
  var within = 1
  var offset = 0
  /// PAD's value, as the bits of a float; other elements are filled with 0 alone.
  var value: UInt32 = 0
  /// The dimensions around a row, from the innermost: the result's sizes, the other tensor's, and where the box begins in the large one.
  var dimensions = 0
  var size = SIMD8<Int>(repeating: 1)
  var other = SIMD8<Int>(repeating: 1)
  var begin = SIMD8<Int>.zero
}

private struct BoxRun {
  var plan: UnsafePointer<Box>
  var x: UnsafeRawPointer
  var y: UnsafeMutableRawPointer
}

private let runBox: Run = { kernel, inputs, outputs, _ in
  let plan = UnsafePointer(payload(kernel, Box.self))
  var run = BoxRun(plan: plan, x: inputs[0].unsafelyUnwrapped, y: outputs[0].unsafelyUnwrapped)
  let grain = ceilDivide(4 &* elementGrain, plan.pointee.length)
  parallel(KernelHead.of(kernel).host, count: plan.pointee.rows, grain: grain, &run) { context, begin, end, _ in
    let run = context.unsafelyUnwrapped.assumingMemoryBound(to: BoxRun.self).pointee
    for row in Int(begin)..<Int(end) {
      if run.plan.pointee.isPad { padRow(run, row) } else { sliceRow(run, row) }
    }
  }
  return XFER_OK
}

private func sliceRow(_ run: BoxRun, _ row: Int) {
  let p = run.plan.pointee
  var (rest, from, stride) = (row, 0, 1)
  for axis in 0..<p.dimensions {
    from &+= (rest % p.size[axis] &+ p.begin[axis]) &* stride
    rest /= p.size[axis]
    stride &*= p.other[axis]
  }
  (run.y + row &* p.length).copyMemory(from: run.x + (from &* p.pitch &+ p.offset), byteCount: p.length)
}

/// A row of the result is outside the box, or holds a row of it between two ends.
private func padRow(_ run: BoxRun, _ row: Int) {
  let p = run.plan.pointee
  let y = run.y + row &* p.length
  var (rest, from, stride) = (row, 0, 1)
  for axis in 0..<p.dimensions {
    let place = rest % p.size[axis] &- p.begin[axis]
    if place < 0 || place >= p.other[axis] { return fill(y, p.length, p.value) }
    from &+= place &* stride
    rest /= p.size[axis]
    stride &*= p.other[axis]
  }
  fill(y, p.offset, p.value)
  (y + p.offset).copyMemory(from: run.x + from &* p.within, byteCount: p.within)
  let end = p.offset &+ p.within
  fill(y + end, p.length &- end, p.value)
}

private func fill(_ y: UnsafeMutableRawPointer, _ bytes: Int, _ value: UInt32) {
  if value == 0 {
    y.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
  } else {
    y.initializeMemory(as: UInt32.self, repeating: value, count: bytes / 4)
  }
}

private func elementSize(_ dtype: xfer_dtype) -> Int? {
  switch dtype {
  case XFER_F64, XFER_I64: 8
  case XFER_F32, XFER_I32: 4
  case XFER_BF16, XFER_F16: 2
  case XFER_U8, XFER_BOOL: 1
  default: nil
  }
}

func boxPlan(_ desc: Desc) -> Box? {
  let d = desc.pointee
  guard d.has(1, 1), let a = d.attributes(xfer_box_attributes.self)?.pointee else { return nil }
  let (x, y) = (d.input(0), d.output(0))
  var p = Box(isPad: Int(d.op) == XFER_OP_PAD)
  let (large, small) = p.isPad ? (y, x) : (x, y)
  guard x.dtype == y.dtype, x.rank == y.rank, x.count > 0, y.count > 0, let element = elementSize(x.dtype) else { return nil }
  if p.isPad {
    p.value = a.value.bitPattern
    guard x.isFloat || p.value == 0 else { return nil }
  }
  func begin(_ axis: Int) -> Int { withUnsafeBytes(of: a.begin) { Int($0.load(fromByteOffset: axis &* 8, as: Int64.self)) } }
  for axis in 0..<Int(y.rank) where begin(axis) < 0 || begin(axis) &+ small[axis] > large[axis] { return nil }
  var axis = Int(y.rank) - 1
  var inner = element
  while axis > 0 && large[axis] == small[axis] {
    inner &*= large[axis]
    axis -= 1
  }
  let isScalar = axis < 0
  p.pitch = isScalar ? inner : inner &* large[axis]
  p.within = isScalar ? inner : inner &* small[axis]
  p.offset = isScalar ? 0 : inner &* begin(axis)
  p.length = p.isPad ? p.pitch : p.within
  while axis > 0 {
    axis -= 1
    p.size[p.dimensions] = y[axis]
    p.other[p.dimensions] = x[axis]
    p.begin[p.dimensions] = begin(axis)
    p.rows &*= y[axis]
    p.dimensions += 1
  }
  return p
}

func prepareBox(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = boxPlan(desc) else { return nil }
  return makeKernel(host, plan, run: runBox).map { handle($0) }
}
