import CPluginSupport
import CXfer

/// Ops that go over flat arrays: ACTIVATION and its gradient, SGD, ADAM, LERP, CAST from bytes, BINARY of equal shapes.

/// Floats of a piece of a parallel loop.
let elementGrain = 16384

struct Elementwise {
  var op: Int
  var count: Int
  var activation = xfer_activation()
  var flag = false
  /// Of the activations; everything else is of floats.
  var elements = ElementKind.floats
  /// momentum; beta_1, beta_2, epsilon; t.
  var parameters: (Float, Float, Float) = (0, 0, 0)
}

private struct ElementRun {
  var plan: Elementwise
  var inputs: Inputs
  var outputs: Outputs

  func input<E: Element>(_ i: Int, _ at: Int, _ type: E.Type) -> UnsafePointer<E> { elements(floats(inputs[i]), type) + at }
  func output<E: Element>(_ i: Int, _ at: Int, _ type: E.Type) -> UnsafeMutablePointer<E> { elements(floats(outputs[i]), type) + at }
  func input(_ i: Int, _ at: Int) -> Source { floats(inputs[i]) + at }
  func output(_ i: Int, _ at: Int) -> Target { floats(outputs[i]) + at }
}

private let runElementwise: Run = { kernel, inputs, outputs, _ in
  var run = ElementRun(plan: payload(kernel, Elementwise.self).pointee, inputs: inputs, outputs: outputs)
  parallel(KernelHead.of(kernel).host, count: run.plan.count, grain: elementGrain, &run) { context, begin, end, _ in
    runChunk(UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: ElementRun.self)), Int(begin), Int(end &- begin))
  }
  return XFER_OK
}

private func runChunk(_ run: UnsafePointer<ElementRun>, _ at: Int, _ count: Int) {
  let r = run.pointee
  switch r.plan.op {
  case XFER_OP_ACTIVATION, XFER_OP_ACTIVATION_BACKWARD:
    if r.plan.elements == .halves { activateChunk(r, BFloat16.self, at, count) } else { activateChunk(r, Float.self, at, count) }
  case XFER_OP_LERP: lerp(r.input(0, at), r.input(1, at), r.output(0, at), r.plan.parameters.0, count)
  case XFER_OP_SGD:
    if r.plan.parameters.1 == 0 {
      descend(r.input(0, at), r.input(1, at), r.output(0, at), floats(r.inputs[2]).pointee, count)
    } else {
      descendWithMomentum(run, at, floats(r.inputs[3]).pointee, count)
    }
  case XFER_OP_ADAM: adam(run, at, floats(r.inputs[4]).pointee, count)
  default:
    let from = r.inputs[0].unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self) + at
    widen(from, r.output(0, at), count)
  }
}

@inline(__always) private func activateChunk<E: Element>(_ r: ElementRun, _ type: E.Type, _ at: Int, _ count: Int) {
  let (x, y) = (r.input(0, at, type), r.output(0, at, type))
  if r.plan.op == XFER_OP_ACTIVATION { return activate(x, y, count, r.plan.activation) }
  activationSlope(x, isOutput: r.plan.flag, r.input(1, at, type), y, count, r.plan.activation)
}

@inline(never) private func lerp(_ a: Source, _ b: Source, _ y: Target, _ t: Float, _ count: Int) {
  let (s, u) = (splat(t), splat(1 - t))
  var i = 0
  while i &+ lanes <= count {
    storeVector(fusedMultiplyAdd(load(b + i) * u, load(a + i), s), y + i)
    i &+= lanes
  }
  let n = count &- i
  if n > 0 { storeVector(fusedMultiplyAdd(load(b + i, first: n) * u, load(a + i, first: n), s), y + i, first: n) }
}

@inline(never) private func descend(_ w: Source, _ g: Source, _ y: Target, _ rate: Float, _ count: Int) {
  let step = splat(-rate)
  var i = 0
  while i &+ lanes <= count {
    storeVector(fusedMultiplyAdd(load(w + i), load(g + i), step), y + i)
    i &+= lanes
  }
  let n = count &- i
  if n > 0 { storeVector(fusedMultiplyAdd(load(w + i, first: n), load(g + i, first: n), step), y + i, first: n) }
}

@inline(never) private func descendWithMomentum(_ run: UnsafePointer<ElementRun>, _ at: Int, _ rate: Float, _ count: Int) {
  let r = run.pointee
  let (w, v, g) = (r.input(0, at), r.input(1, at), r.input(2, at))
  let (newW, newV) = (r.output(0, at), r.output(1, at))
  let momentum = splat(r.plan.parameters.0)
  let step = splat(-rate)
  let nesterov = r.plan.flag
  @inline(__always) func one(_ w: Vec, _ v: Vec, _ g: Vec) -> (Vec, Vec) {
    let velocity = fusedMultiplyAdd(momentum * v, g, step)
    return (w + (nesterov ? fusedMultiplyAdd(momentum * velocity, g, step) : velocity), velocity)
  }
  var i = 0
  while i &+ lanes <= count {
    let (a, b) = one(load(w + i), load(v + i), load(g + i))
    storeVector(a, newW + i)
    storeVector(b, newV + i)
    i &+= lanes
  }
  let n = count &- i
  if n > 0 {
    let (a, b) = one(load(w + i, first: n), load(v + i, first: n), load(g + i, first: n))
    storeVector(a, newW + i, first: n)
    storeVector(b, newV + i, first: n)
  }
}

@inline(never) private func adam(_ run: UnsafePointer<ElementRun>, _ at: Int, _ alpha: Float, _ count: Int) {
  let r = run.pointee
  let (w, m, v, g) = (r.input(0, at), r.input(1, at), r.input(2, at), r.input(3, at))
  let (newW, newM, newV) = (r.output(0, at), r.output(1, at), r.output(2, at))
  let rate = splat(alpha)
  let first = splat(Float(1 - Double(r.plan.parameters.0)))
  let second = splat(Float(1 - Double(r.plan.parameters.1)))
  let epsilon = splat(r.plan.parameters.2)
  @inline(__always) func one(_ w: Vec, _ m: Vec, _ v: Vec, _ g: Vec) -> (Vec, Vec, Vec) {
    let newM = fusedMultiplyAdd(m, g - m, first)
    let newV = fusedMultiplyAdd(v, fusedMultiplyAdd(-v, g, g), second)
    return (w - rate * newM / (xfer_vec_sqrt(newV) + epsilon), newM, newV)
  }
  var i = 0
  while i &+ lanes <= count {
    let (a, b, c) = one(load(w + i), load(m + i), load(v + i), load(g + i))
    storeVector(a, newW + i)
    storeVector(b, newM + i)
    storeVector(c, newV + i)
    i &+= lanes
  }
  let n = count &- i
  if n > 0 {
    let (a, b, c) = one(load(w + i, first: n), load(m + i, first: n), load(v + i, first: n), load(g + i, first: n))
    storeVector(a, newW + i, first: n)
    storeVector(b, newM + i, first: n)
    storeVector(c, newV + i, first: n)
  }
}

@inline(never) private func widen(_ x: UnsafePointer<UInt8>, _ y: Target, _ count: Int) {
  var i = 0
  while i &+ lanes <= count {
    storeVector(xfer_vec_from_u8(x + i), y + i)
    i &+= lanes
  }
  while i < count {
    y[i] = Float(x[i])
    i &+= 1
  }
}

/// The plan of an op, nil where it is declined.
func elementwisePlan(_ desc: Desc) -> Elementwise? {
  let d = desc.pointee
  guard d.n_inputs >= 1, d.n_outputs >= 1, d.inputs != nil, d.outputs != nil else { return nil }
  var plan = Elementwise(op: Int(d.op), count: d.output(0).count)
  if plan.op == XFER_OP_CAST {
    return d.has(1, 1) && d.input(0).dtype == XFER_U8 && d.output(0).isFloat && d.input(0).isSame(d.output(0)) ? plan : nil
  }
  let activates = plan.op == XFER_OP_ACTIVATION || plan.op == XFER_OP_ACTIVATION_BACKWARD
  guard let elements = activates ? d.elements(inputs: 2) : d.allFloats ? .floats : nil else { return nil }
  plan.elements = elements
  let shape = d.output(0)
  func alike(_ inputs: Int, _ outputs: Int) -> Bool {
    for i in 0..<inputs where !d.input(i).isSame(shape) { return false }
    for i in 0..<outputs where !d.output(i).isSame(shape) { return false }
    return true
  }
  switch plan.op {
  case XFER_OP_ACTIVATION, XFER_OP_ACTIVATION_BACKWARD:
    let inputs = plan.op == XFER_OP_ACTIVATION ? 1 : 2
    guard d.has(inputs, 1), alike(inputs, 1), let a = d.attributes(xfer_activation_attributes.self)?.pointee else { return nil }
    guard isKnown(a.activation) else { return nil }
    plan.activation = a.activation
    plan.flag = inputs == 2 && a.saved_is_output != 0
    return plan.flag && !hasOutputSlope(a.activation) ? nil : plan
  case XFER_OP_LERP:
    guard d.has(2, 1), alike(2, 1), let a = d.attributes(xfer_lerp_attributes.self)?.pointee else { return nil }
    plan.parameters.0 = a.t
    return plan
  case XFER_OP_SGD:
    let momentum = d.n_inputs == 4
    guard d.has(momentum ? 4 : 3, momentum ? 2 : 1), alike(momentum ? 3 : 2, momentum ? 2 : 1), d.input(momentum ? 3 : 2).count == 1,
      let a = d.attributes(xfer_sgd_attributes.self)?.pointee
    else { return nil }
    plan.parameters = (a.momentum, momentum ? 1 : 0, 0)
    plan.flag = a.nesterov != 0
    return plan
  case XFER_OP_ADAM:
    guard d.has(5, 3), alike(4, 3), d.input(4).count == 1, let a = d.attributes(xfer_adam_attributes.self)?.pointee else { return nil }
    plan.parameters = (a.beta_1, a.beta_2, a.epsilon)
    return plan
  default: return nil
  }
}

func prepareElementwise(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = elementwisePlan(desc) else { return nil }
  return makeKernel(host, plan, run: runElementwise).map { handle($0) }
}
