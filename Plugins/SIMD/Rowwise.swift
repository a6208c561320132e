import CPluginSupport
import CXfer

/// Ops over rows of channels: y[o,i,c] from x[o,i,c] and vectors over c. SCALE_SHIFT, BROADCAST, BATCHNORM_BACKWARD_INPUT, and BINARY
/// where one side is as large as the result and the other lacks some neighbouring dimensions.

struct Rowwise {
  var op: Int
  /// The result is [outer, n, inner]; the smaller operand of BINARY is [outer, inner].
  var outer = 1
  var n = 1
  var inner = 1
  /// BINARY of equal shapes: one row, cut anywhere.
  var isFlat = false
  /// BINARY with a number for each of `outer` rows of `n`.
  var isSplat = false
  var kind = 0
  /// BINARY: the larger operand is b.
  var isSwapped = false
  var hasShift = false
  var activation = xfer_activation()
  /// BROADCAST's factor, or epsilon.
  var scale: Float = 1
}

private struct RowwiseRun {
  var plan: Rowwise
  var x: Source
  var y: Target
  /// BINARY's smaller operand, or scale; shift; BATCHNORM: coefficients [4][inner], dy.
  var a: Source
  var b: Source?
}

private let runRowwise: Run = { kernel, inputs, outputs, workspace in
  let plan = payload(kernel, Rowwise.self).pointee
  var run = RowwiseRun(plan: plan, x: floats(inputs[0]), y: floats(outputs[0]), a: floats(inputs[0]), b: nil)
  switch plan.op {
  case XFER_OP_BINARY:
    run.x = floats(inputs[plan.isSwapped ? 1 : 0])
    run.a = floats(inputs[plan.isSwapped ? 0 : 1])
  case XFER_OP_SCALE_SHIFT:
    run.a = floats(inputs[1])
    if plan.hasShift { run.b = floats(inputs[2]) }
  case XFER_OP_BATCHNORM_BACKWARD_INPUT:
    let coefficients = floats(workspace)
    normalizeCoefficients(plan, inputs, coefficients)
    run.a = Source(coefficients)
    run.b = floats(inputs[1])
  default: break
  }
  if plan.isFlat {
    parallel(KernelHead.of(kernel).host, count: plan.inner, grain: elementGrain, &run) { context, begin, end, _ in
      let r = context.unsafelyUnwrapped.assumingMemoryBound(to: RowwiseRun.self).pointee
      combineRow(r.plan.kind, false, r.x + Int(begin), r.a + Int(begin), r.y + Int(begin), Int(end &- begin))
    }
    return XFER_OK
  }
  if plan.isSplat {
    parallel(KernelHead.of(kernel).host, count: plan.outer &* plan.n, grain: elementGrain, &run) { context, begin, end, _ in
      combineSplat(UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: RowwiseRun.self)), Int(begin), Int(end))
    }
    return XFER_OK
  }
  let grain = ceilDivide(elementGrain, plan.inner)
  parallel(KernelHead.of(kernel).host, count: plan.outer &* plan.n, grain: grain, &run) { context, begin, end, _ in
    runRows(UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: RowwiseRun.self)), Int(begin), Int(end))
  }
  return XFER_OK
}

private func combineSplat(_ run: UnsafePointer<RowwiseRun>, _ begin: Int, _ end: Int) {
  let r = run.pointee
  var at = begin
  while at < end {
    let row = at / r.plan.n
    let stop = (row &+ 1) &* r.plan.n < end ? (row &+ 1) &* r.plan.n : end
    combineRow(r.plan.kind, r.plan.isSwapped, r.x + at, nil, r.y + at, stop &- at, splat(r.a[row]))
    at = stop
  }
}

private func runRows(_ run: UnsafePointer<RowwiseRun>, _ begin: Int, _ end: Int) {
  let r = run.pointee
  let inner = r.plan.inner
  for row in begin..<end {
    let at = row &* inner
    let part = row / r.plan.n &* inner
    switch r.plan.op {
    case XFER_OP_BINARY: combineRow(r.plan.kind, r.plan.isSwapped, r.x + at, r.a + part, r.y + at, inner)
    case XFER_OP_BROADCAST: combineRow(XFER_BINARY_MULTIPLY, false, r.x + part, nil, r.y + at, inner, splat(r.plan.scale))
    case XFER_OP_SCALE_SHIFT: scaleRow(run, r.x + at, r.y + at)
    default: normalizeRow(r.x + at, r.b.unsafelyUnwrapped + at, r.a, r.y + at, inner)
    }
  }
}

/// 1 where a == b, else 0. NaN equals nothing: where both are, neither is below infinity and neither is infinite.
@inline(__always) private func isEqual(_ a: Vec, _ b: Vec) -> Vec {
  let number = xfer_vec_if_less(a, splat(.infinity), splat(1), xfer_vec_if_same(a, splat(.infinity), splat(1), splat(0)))
  return xfer_vec_if_same(a, b, number, splat(0))
}

@inline(__always) private func combine(_ kind: Int, _ a: Vec, _ b: Vec) -> Vec {
  switch kind {
  case XFER_BINARY_ADD: a + b
  case XFER_BINARY_SUBTRACT: a - b
  case XFER_BINARY_MULTIPLY: a * b
  case XFER_BINARY_DIVIDE: a / b
  case XFER_BINARY_MAXIMUM: xfer_vec_largest(a, b)
  case XFER_BINARY_MINIMUM: xfer_vec_smallest(a, b)
  case XFER_BINARY_EQUAL: isEqual(a, b)
  case XFER_BINARY_GREATER: xfer_vec_if_less(b, a, splat(1), splat(0))
  default: xfer_vec_if_less(b, a, splat(1), isEqual(a, b))
  }
}

@inline(never) private func combineRow(
  _ kind: Int, _ swapped: Bool, _ x: Source, _ part: Source?, _ y: Target, _ count: Int, _ constant: Vec = splat(0)
) {
  // The kind is looked at once a register: it is the same each time, and memory is slower.
  var c = 0
  while c < count {
    let n = count &- c < lanes ? count &- c : lanes
    let v = n == lanes ? load(x + c) : load(x + c, first: n)
    var other = constant
    if let part { other = n == lanes ? load(part + c) : load(part + c, first: n) }
    let result = swapped ? combine(kind, other, v) : combine(kind, v, other)
    if n == lanes { storeVector(result, y + c) } else { storeVector(result, y + c, first: n) }
    c &+= lanes
  }
}

@inline(never) private func scaleRow(_ run: UnsafePointer<RowwiseRun>, _ x: Source, _ y: Target) {
  let r = run.pointee
  let count = r.plan.inner
  let clamps = isClamp(r.plan.activation)
  let high = splat(r.plan.activation.max_value)
  var c = 0
  while c < count {
    let n = count &- c < lanes ? count &- c : lanes
    var v: Vec
    if n == lanes {
      v = load(x + c) * load(r.a + c)
      if let shift = r.b { v = fusedMultiplyAdd(load(shift + c), load(x + c), load(r.a + c)) }
    } else {
      v = load(x + c, first: n) * load(r.a + c, first: n)
      if let shift = r.b { v = fusedMultiplyAdd(load(shift + c, first: n), load(x + c, first: n), load(r.a + c, first: n)) }
    }
    if clamps { v = clamped(v, splat(0), high) }
    if n == lanes { storeVector(v, y + c) } else { storeVector(v, y + c, first: n) }
    c &+= lanes
  }
  if !clamps && r.plan.activation.kind != Int32(XFER_ACTIVATION_LINEAR) { activate(y, count, r.plan.activation) }
}

/// [4][inner]: mean, r*dgamma/R, dbeta/R, gamma*r. In double, rounded once.
private func normalizeCoefficients(_ plan: Rowwise, _ inputs: Inputs, _ to: Target) {
  let (mean, variance, gamma) = (floats(inputs[2]), floats(inputs[3]), floats(inputs[4]))
  let (dgamma, dbeta) = (floats(inputs[5]), floats(inputs[6]))
  let rows = Double(plan.n)
  for c in 0..<plan.inner {
    let r = 1 / xfer_sqrt(Double(variance[c]) + Double(plan.scale))
    to[c] = mean[c]
    to[plan.inner &+ c] = Float(r * Double(dgamma[c]) / rows)
    to[2 &* plan.inner &+ c] = Float(Double(dbeta[c]) / rows)
    to[3 &* plan.inner &+ c] = Float(Double(gamma[c]) * r)
  }
}

@inline(never) private func normalizeRow(_ x: Source, _ dy: Source, _ k: Source, _ dx: Target, _ count: Int) {
  @inline(__always) func one(_ x: Vec, _ dy: Vec, _ mean: Vec, _ slope: Vec, _ shift: Vec, _ scale: Vec) -> Vec {
    scale * fusedMultiplyAdd(dy - shift, mean - x, slope)
  }
  var c = 0
  while c &+ lanes <= count {
    let v = one(
      load(x + c), load(dy + c), load(k + c), load(k + (count &+ c)), load(k + (2 &* count &+ c)), load(k + (3 &* count &+ c)))
    storeVector(v, dx + c)
    c &+= lanes
  }
  let n = count &- c
  if n > 0 {
    let v = one(
      load(x + c, first: n), load(dy + c, first: n), load(k + c, first: n), load(k + (count &+ c), first: n),
      load(k + (2 &* count &+ c), first: n), load(k + (3 &* count &+ c), first: n))
    storeVector(v, dx + c, first: n)
  }
}

/// `part` as [outer, inner] within `whole` as [outer, n, inner]: some neighbouring dimensions of it are 1.
private func split(_ whole: xfer_tensor_desc, _ part: xfer_tensor_desc) -> (outer: Int, n: Int, inner: Int)? {
  if whole.rank != part.rank { return nil }
  var result = (outer: 1, n: 1, inner: 1)
  var axis = Int(whole.rank) - 1
  while axis >= 0 && part[axis] == whole[axis] {
    result.inner &*= whole[axis]
    axis -= 1
  }
  while axis >= 0 && part[axis] == 1 {
    result.n &*= whole[axis]
    axis -= 1
  }
  while axis >= 0 && part[axis] == whole[axis] {
    result.outer &*= whole[axis]
    axis -= 1
  }
  return axis < 0 ? result : nil
}

func rowwisePlan(_ desc: Desc) -> Rowwise? {
  let d = desc.pointee
  guard d.n_inputs >= 1, d.n_outputs == 1, d.inputs != nil, d.outputs != nil, d.allFloats else { return nil }
  var plan = Rowwise(op: Int(d.op))
  let y = d.output(0)
  let x = d.input(0)
  func isVector(_ i: Int) -> Bool { d.input(i).isVector(y.last) }
  switch plan.op {
  case XFER_OP_BINARY:
    guard d.has(2, 1), let a = d.attributes(xfer_binary_attributes.self)?.pointee, a.kind >= 0, a.kind <= 9,
      a.kind != Int32(XFER_BINARY_POWER)
    else { return nil }
    plan.kind = Int(a.kind)
    plan.isSwapped = !x.isSame(y)
    let large = d.input(plan.isSwapped ? 1 : 0)
    guard large.isSame(y), let s = split(y, d.input(plan.isSwapped ? 0 : 1)) else { return nil }
    (plan.outer, plan.n, plan.inner) = s
    plan.isFlat = plan.n == 1
    plan.isSplat = plan.n > 1 && plan.inner == 1
    return plan
  case XFER_OP_BROADCAST:
    guard d.has(1, 1), let a = d.attributes(xfer_broadcast_attributes.self)?.pointee, x.rank == 2, y.rank == 3, x[0] == y[0], x[1] == y[2]
    else { return nil }
    (plan.outer, plan.n, plan.inner) = (y[0], y[1], y[2])
    plan.scale = a.scale
    return plan
  case XFER_OP_SCALE_SHIFT:
    plan.hasShift = d.n_inputs == 3
    guard d.has(plan.hasShift ? 3 : 2, 1), x.isSame(y), isVector(1), !plan.hasShift || isVector(2),
      let a = d.attributes(xfer_activation_attributes.self)?.pointee, isKnown(a.activation)
    else { return nil }
    plan.activation = a.activation
  case XFER_OP_BATCHNORM_BACKWARD_INPUT:
    guard d.has(7, 1), x.isSame(y), d.input(1).isSame(y), let a = d.attributes(xfer_normalize_attributes.self)?.pointee else { return nil }
    for i in 2..<7 where !isVector(i) { return nil }
    plan.scale = a.epsilon
  default: return nil
  }
  plan.n = y.outer
  plan.inner = y.last
  return plan
}

func prepareRowwise(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let plan = rowwisePlan(desc) else { return nil }
  if plan.op == XFER_OP_BATCHNORM_BACKWARD_INPUT { workspace?.pointee = aligned(4 &* plan.inner &* 4) }
  return makeKernel(host, plan, run: runRowwise).map { handle($0) }
}
