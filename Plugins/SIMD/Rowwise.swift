import CPluginSupport
import CXfer

/// Ops over rows of channels: y[i,c] from x[i,c] and vectors over c. SCALE_SHIFT and BATCHNORM_BACKWARD_INPUT.

struct Rowwise {
  var op: Int
  /// Rows, and floats of each.
  var n = 1
  var inner = 1
  /// Rows that are treated as one, so that few channels fill registers: their vectors are repeated.
  var merged = 1
  var hasShift = false
  var activation = xfer_activation()
  var epsilon: Float = 0
  /// Of x, dy and the result.
  var elements = ElementKind.floats
}

private struct RowwiseRun {
  var plan: Rowwise
  var x: Source
  var y: Target
  /// Scale; shift. BATCHNORM: coefficients [4][inner]; dy.
  var a: Source
  var b: Source?
}

private let runRowwise: Run = { kernel, inputs, outputs, workspace in
  let plan = payload(kernel, Rowwise.self).pointee
  var run = RowwiseRun(plan: plan, x: floats(inputs[0]), y: floats(outputs[0]), a: floats(inputs[0]), b: nil)
  if plan.op == XFER_OP_SCALE_SHIFT {
    run.a = floats(inputs[1])
    if plan.hasShift { run.b = floats(inputs[2]) }
    if plan.merged > 1 { run.repeatVectors(floats(workspace)) }
  } else {
    let coefficients = floats(workspace)
    normalizeCoefficients(plan, inputs, coefficients)
    run.a = Source(coefficients)
    run.b = floats(inputs[1])
  }
  let grain = ceilDivide(elementGrain, plan.inner &* plan.merged)
  parallel(KernelHead.of(kernel).host, count: ceilDivide(plan.n, plan.merged), grain: grain, &run) { context, begin, end, _ in
    let run = UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: RowwiseRun.self))
    if run.pointee.plan.elements == .halves {
      runRows(run, BFloat16.self, Int(begin), Int(end))
    } else {
      runRows(run, Float.self, Int(begin), Int(end))
    }
  }
  return XFER_OK
}

private func runRows<E: Element>(_ run: UnsafePointer<RowwiseRun>, _ type: E.Type, _ begin: Int, _ end: Int) {
  let r = run.pointee
  let inner = r.plan.inner
  let (x, y) = (elements(r.x, type), elements(r.y, type))
  for row in begin..<end {
    let at = row &* r.plan.merged &* inner
    if r.plan.op == XFER_OP_SCALE_SHIFT {
      let left = r.plan.n &* inner &- at
      scaleRow(run, x + at, y + at, count: left < r.plan.merged &* inner ? left : r.plan.merged &* inner)
    } else {
      normalizeRow(x + at, elements(r.b.unsafelyUnwrapped, type) + at, r.a, y + at, inner)
    }
  }
}

extension RowwiseRun {
  /// Scale and shift, `merged` times each.
  fileprivate mutating func repeatVectors(_ to: Target) {
    let (inner, count) = (plan.inner, plan.merged &* plan.inner)
    for row in 0..<plan.merged { (to + row &* inner).update(from: a, count: inner) }
    a = Source(to)
    guard let shift = b else { return }
    for row in 0..<plan.merged { (to + (count &+ row &* inner)).update(from: shift, count: inner) }
    b = Source(to + count)
  }
}

@inline(never) private func scaleRow<E: Element>(
  _ run: UnsafePointer<RowwiseRun>, _ x: UnsafePointer<E>, _ y: UnsafeMutablePointer<E>, count: Int
) {
  let r = run.pointee
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
    let r = 1 / xfer_sqrt(Double(variance[c]) + Double(plan.epsilon))
    to[c] = mean[c]
    to[plan.inner &+ c] = Float(r * Double(dgamma[c]) / rows)
    to[2 &* plan.inner &+ c] = Float(Double(dbeta[c]) / rows)
    to[3 &* plan.inner &+ c] = Float(Double(gamma[c]) * r)
  }
}

@inline(never) private func normalizeRow<E: Element>(
  _ x: UnsafePointer<E>, _ dy: UnsafePointer<E>, _ k: Source, _ dx: UnsafeMutablePointer<E>, _ count: Int
) {
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

func rowwisePlan(_ desc: Desc) -> Rowwise? {
  let d = desc.pointee
  guard d.n_inputs >= 1, d.n_outputs == 1, d.inputs != nil, d.outputs != nil,
    let elements = d.elements(inputs: Int(d.op) == XFER_OP_SCALE_SHIFT ? 1 : 2)
  else { return nil }
  var plan = Rowwise(op: Int(d.op))
  plan.elements = elements
  let y = d.output(0)
  let x = d.input(0)
  func isVector(_ i: Int) -> Bool { d.input(i).isVector(y.last) }
  switch plan.op {
  case XFER_OP_SCALE_SHIFT:
    plan.hasShift = d.n_inputs == 3
    guard d.has(plan.hasShift ? 3 : 2, 1), x.isSame(y), isVector(1), !plan.hasShift || isVector(2),
      let a = d.attributes(xfer_activation_attributes.self)?.pointee, isKnown(a.activation)
    else { return nil }
    plan.activation = a.activation
    // What goes over the result a second time would round twice.
    guard elements == .floats || a.activation.kind == Int32(XFER_ACTIVATION_LINEAR) || isClamp(a.activation) else { return nil }
  case XFER_OP_BATCHNORM_BACKWARD_INPUT:
    guard d.has(7, 1), x.isSame(y), d.input(1).isSame(y), let a = d.attributes(xfer_normalize_attributes.self)?.pointee else { return nil }
    for i in 2..<7 where !isVector(i) { return nil }
    plan.epsilon = a.epsilon
  default: return nil
  }
  plan.n = y.outer
  plan.inner = y.last
  // Where the rows are many, so that making the vectors is little, and do not fill registers by themselves.
  let (few, many) = (4 &* lanes, 8 &* lanes)
  if plan.op == XFER_OP_SCALE_SHIFT && plan.inner < few && plan.inner % lanes != 0 && plan.n >= many { plan.merged = lanes }
  return plan
}

func prepareRowwise(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let plan = rowwisePlan(desc) else { return nil }
  if plan.op == XFER_OP_BATCHNORM_BACKWARD_INPUT { workspace?.pointee = aligned(4 &* plan.inner &* 4) }
  if plan.merged > 1 { workspace?.pointee = aligned(2 &* plan.merged &* plan.inner &* 4) }
  return makeKernel(host, plan, run: runRowwise).map { handle($0) }
}
