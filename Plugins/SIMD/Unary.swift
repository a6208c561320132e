import CPluginSupport
import CXfer

/// UNARY and SELECT over flat arrays.

struct Unary {
  var op: Int
  var kind: Int
  var count: Int
}

private struct UnaryRun {
  var plan: Unary
  var inputs: Inputs
  var y: Target
}

/// A function of one register, as a type, so that the loop is compiled for each.
private protocol UnaryFunction {
  static func value(_ x: Vec) -> Vec
}

private enum IdentityFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { x }
}
private enum NegateFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { splat(-0.0) - x }
}
private enum AbsFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { xfer_vec_abs(x) }
}
private enum SignFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec {
    xfer_vec_if_less(splat(0), x, splat(1), xfer_vec_if_less(x, splat(0), splat(-1), x))
  }
}
private enum SquareFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { x * x }
}
private enum SqrtFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { xfer_vec_sqrt(x) }
}
private enum RsqrtFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { splat(1) / xfer_vec_sqrt(x) }
}
private enum ReciprocalFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { splat(1) / x }
}
private enum ExpFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { exponential(x) }
}
private enum Expm1Function: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { exponentialLessOne(x) }
}
private enum TanhFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { hyperbolicTangent(x) }
}
private enum ErfFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { errorFunction(x) }
}
private enum LogFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { logarithm(x) }
}
private enum Log1pFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { logarithmOfOnePlus(x) }
}
private enum SinFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { sine(x) }
}
private enum CosFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { cosine(x) }
}
private enum RoundFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec { whole(x) }
}
private enum FloorFunction: UnaryFunction {
  @inline(__always) static func value(_ x: Vec) -> Vec {
    let r = whole(x)
    return xfer_vec_if_less(x, r, r - splat(1), r)
  }
}

@inline(never) private func apply<F: UnaryFunction>(_: F.Type, _ x: Source, _ y: Target, _ count: Int) {
  var i = 0
  while i &+ lanes <= count {
    storeVector(F.value(load(x + i)), y + i)
    i &+= lanes
  }
  let n = count &- i
  if n > 0 { storeVector(F.value(load(x + i, first: n)), y + i, first: n) }
}

private func applyKind(_ kind: Int, _ x: Source, _ y: Target, _ count: Int) {
  switch kind {
  case XFER_UNARY_NEGATE: apply(NegateFunction.self, x, y, count)
  case XFER_UNARY_ABS: apply(AbsFunction.self, x, y, count)
  case XFER_UNARY_SIGN: apply(SignFunction.self, x, y, count)
  case XFER_UNARY_SQUARE: apply(SquareFunction.self, x, y, count)
  case XFER_UNARY_SQRT: apply(SqrtFunction.self, x, y, count)
  case XFER_UNARY_RSQRT: apply(RsqrtFunction.self, x, y, count)
  case XFER_UNARY_RECIPROCAL: apply(ReciprocalFunction.self, x, y, count)
  case XFER_UNARY_EXP: apply(ExpFunction.self, x, y, count)
  case XFER_UNARY_EXPM1: apply(Expm1Function.self, x, y, count)
  case XFER_UNARY_LOG: apply(LogFunction.self, x, y, count)
  case XFER_UNARY_LOG1P: apply(Log1pFunction.self, x, y, count)
  case XFER_UNARY_SIN: apply(SinFunction.self, x, y, count)
  case XFER_UNARY_COS: apply(CosFunction.self, x, y, count)
  case XFER_UNARY_TANH: apply(TanhFunction.self, x, y, count)
  case XFER_UNARY_ERF: apply(ErfFunction.self, x, y, count)
  case XFER_UNARY_FLOOR: apply(FloorFunction.self, x, y, count)
  case XFER_UNARY_ROUND: apply(RoundFunction.self, x, y, count)
  default: apply(IdentityFunction.self, x, y, count)
  }
}

/// NaN is true: the condition differs from 0 unless it is the same as 0.
@inline(never) private func choose(_ condition: Source, _ a: Source, _ b: Source, _ y: Target, _ count: Int) {
  var i = 0
  while i &+ lanes <= count {
    storeVector(xfer_vec_if_same(load(condition + i), splat(0), load(b + i), load(a + i)), y + i)
    i &+= lanes
  }
  let n = count &- i
  if n > 0 {
    storeVector(xfer_vec_if_same(load(condition + i, first: n), splat(0), load(b + i, first: n), load(a + i, first: n)), y + i, first: n)
  }
}

private let runUnary: Run = { kernel, inputs, outputs, _ in
  var run = UnaryRun(plan: payload(kernel, Unary.self).pointee, inputs: inputs, y: floats(outputs[0]))
  parallel(KernelHead.of(kernel).host, count: run.plan.count, grain: elementGrain, &run) { context, begin, end, _ in
    let r = context.unsafelyUnwrapped.assumingMemoryBound(to: UnaryRun.self).pointee
    let (at, count) = (Int(begin), Int(end &- begin))
    if r.plan.op == XFER_OP_UNARY {
      applyKind(r.plan.kind, floats(r.inputs[0]) + at, r.y + at, count)
    } else {
      choose(floats(r.inputs[0]) + at, floats(r.inputs[1]) + at, floats(r.inputs[2]) + at, r.y + at, count)
    }
  }
  return XFER_OK
}

func unaryPlan(_ desc: Desc) -> Unary? {
  let d = desc.pointee
  let inputs = Int(d.op) == XFER_OP_UNARY ? 1 : 3
  guard d.n_inputs >= 1, d.n_outputs == 1, d.inputs != nil, d.outputs != nil, d.allFloats, d.has(inputs, 1) else { return nil }
  for i in 0..<inputs where !d.input(i).isSame(d.output(0)) { return nil }
  var plan = Unary(op: Int(d.op), kind: 0, count: d.output(0).count)
  if inputs == 1 {
    guard let a = d.attributes(xfer_unary_attributes.self)?.pointee, a.kind >= 0, a.kind <= Int32(XFER_UNARY_ROUND) else { return nil }
    plan.kind = Int(a.kind)
  }
  return plan
}

func prepareUnary(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = unaryPlan(desc) else { return nil }
  return makeKernel(host, plan, run: runUnary).map { handle($0) }
}
