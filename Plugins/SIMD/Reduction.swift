import CPluginSupport
import CXfer

/// Sums over rows: REDUCE over the middle dimension, MOMENTS and BATCHNORM_BACKWARD_REDUCE.
///
/// Rows are divided into parts (a number that depends on the shape alone), parts into blocks of 32 rows. A block is summed in
/// registers, blocks are added up in the part's own memory, parts in order: three short chains instead of a long one.

private let blockRows = 32

struct Reduction {
  var op: Int
  var kind = 0
  /// x is [outer, n, inner].
  var outer = 1
  var n = 1
  var inner = 1
  var parts = 1
  var epsilon: Float = 0
  /// Of x and dy.
  var elements = ElementKind.floats
  /// Vectors of `inner` a part leaves behind.
  var results: Int { op == XFER_OP_REDUCE ? 1 : 2 }
}

private struct ReductionRun {
  var plan: Reduction
  var x: Source
  var dy: Source
  var mean: Source
  var variance: Source
  var first: Target
  var second: Target
  /// [outer][parts][results][inner]
  var partials: Target

  func rows(_ part: Int) -> (first: Int, end: Int) {
    (part &* plan.n / plan.parts, (part &+ 1) &* plan.n / plan.parts)
  }
}

private let runReduction: Run = { kernel, inputs, outputs, workspace in
  let host = KernelHead.of(kernel).host
  let plan = payload(kernel, Reduction.self).pointee
  let x = floats(inputs[0])
  let isGradient = plan.op == XFER_OP_BATCHNORM_BACKWARD_REDUCE
  var run = ReductionRun(
    plan: plan, x: x, dy: isGradient ? floats(inputs[1]) : x, mean: isGradient ? floats(inputs[2]) : x,
    variance: isGradient ? floats(inputs[3]) : x, first: floats(outputs[0]),
    second: plan.results > 1 ? floats(outputs[1]) : floats(outputs[0]), partials: floats(workspace))
  let grain = plan.parts > 1 ? 1 : ceilDivide(elementGrain, plan.n &* plan.inner)
  parallel(host, count: plan.outer &* plan.parts, grain: grain, &run) { context, begin, end, _ in
    let run = UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: ReductionRun.self))
    for task in begin..<end {
      if run.pointee.plan.elements == .halves { reducePart(run, BFloat16.self, Int(task)) } else { reducePart(run, Float.self, Int(task)) }
    }
  }
  let outerGrain = ceilDivide(elementGrain, plan.parts &* plan.inner)
  parallel(host, count: plan.outer, grain: outerGrain, &run) { context, begin, end, _ in
    let run = UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: ReductionRun.self))
    for outer in begin..<end { combineParts(run, Int(outer)) }
  }
  return XFER_OK
}

private func reducePart<E: Element>(_ run: UnsafePointer<ReductionRun>, _ type: E.Type, _ task: Int) {
  let r = run.pointee
  let (x, dy) = (elements(r.x, type), elements(r.dy, type))
  let inner = r.plan.inner
  let rows = r.rows(task % r.plan.parts)
  let base = r.plan.n &* (task / r.plan.parts)
  let to = r.partials + task &* r.plan.results &* inner
  var begin = rows.first
  while begin < rows.end {
    let count = rows.end &- begin < blockRows ? rows.end &- begin : blockRows
    let from = x + (base &+ begin) &* inner
    let done = begin &- rows.first
    switch r.plan.op {
    case XFER_OP_MOMENTS: momentBlock(from, x, count, inner, done, to)
    case XFER_OP_BATCHNORM_BACKWARD_REDUCE: gradientBlock(from, dy + (base &+ begin) &* inner, r.mean, count, inner, done, to)
    default: reduceBlock(r.plan.kind == XFER_REDUCE_MAX, from, count, inner, done, to)
    }
    begin &+= count
  }
}

/// Calls `body` for each register of a row: where it begins and how many floats of it count.
@inline(__always) private func eachRegister(_ inner: Int, _ body: (_ c: Int, _ n: Int) -> Void) {
  var c = 0
  // Whole registers are a loop of their own, compiled for a known number.
  while c &+ lanes <= inner {
    body(c, lanes)
    c &+= lanes
  }
  if c < inner { body(c, inner &- c) }
}

@inline(__always) private func get<E: Element>(_ p: UnsafePointer<E>, _ n: Int) -> Vec { n == lanes ? load(p) : load(p, first: n) }
@inline(__always) private func put(_ v: Vec, _ p: Target, _ n: Int) {
  if n == lanes { storeVector(v, p) } else { storeVector(v, p, first: n) }
}

@inline(never) private func reduceBlock<E: Element>(
  _ isMax: Bool, _ x: UnsafePointer<E>, _ rows: Int, _ inner: Int, _ done: Int, _ to: Target
) {
  eachRegister(inner) { c, n in
    var p = x + c
    var sum = get(p, n)
    if isMax {
      for _ in 1..<rows {
        p += inner
        sum = xfer_vec_largest(sum, get(p, n))
      }
      if done > 0 { sum = xfer_vec_largest(get(Source(to + c), n), sum) }
    } else {
      for _ in 1..<rows {
        p += inner
        sum += get(p, n)
      }
      if done > 0 { sum += get(Source(to + c), n) }
    }
    put(sum, to + c, n)
  }
}

/// Mean and sum of squared distances of a block, joined to those of the `done` rows before (Chan, Golub, LeVeque 1979): one
/// pass over memory, the second over the block is in cache, and nothing cancels. Means are kept as distances from `origin`, the
/// first row of all: a mean far from zero does not cost the digits of the variance.
@inline(never) private func momentBlock<E: Element>(
  _ x: UnsafePointer<E>, _ origin: UnsafePointer<E>, _ rows: Int, _ inner: Int, _ done: Int, _ to: Target
) {
  let inverse = splat(1 / Float(rows))
  eachRegister(inner) { c, n in
    let start = get(origin + c, n)
    var p = x + c
    var sum = Vec.zero
    for _ in 0..<rows {
      sum += get(p, n) - start
      p += inner
    }
    var mean = sum * inverse
    p = x + c
    var squares = Vec.zero
    for _ in 0..<rows {
      let distance = (get(p, n) - start) - mean
      squares = fusedMultiplyAdd(squares, distance, distance)
      p += inner
    }
    if done > 0 {
      join(&mean, &squares, rows, get(Source(to + c), n), get(Source(to + (inner &+ c)), n), done)
    }
    put(mean, to + c, n)
    put(squares, to + (inner &+ c), n)
  }
}

/// (mean, squares) of `rows` rows become those of `rows + done` rows.
@inline(__always) private func join(
  _ mean: inout Vec, _ squares: inout Vec, _ rows: Int, _ oldMean: Vec, _ oldSquares: Vec, _ done: Int
) {
  let share = Float(rows) / Float(rows &+ done)
  let distance = mean - oldMean
  mean = fusedMultiplyAdd(oldMean, distance, splat(share))
  squares = fusedMultiplyAdd(squares + oldSquares, distance * distance, splat(share * Float(done)))
}

/// Sums of dy*(x-mean) and of dy.
@inline(never) private func gradientBlock<E: Element>(
  _ x: UnsafePointer<E>, _ dy: UnsafePointer<E>, _ mean: Source, _ rows: Int, _ inner: Int, _ done: Int, _ to: Target
) {
  eachRegister(inner) { c, n in
    let center = get(mean + c, n)
    var p = x + c
    var q = dy + c
    var products = Vec.zero
    var sum = Vec.zero
    for _ in 0..<rows {
      let gradient = get(q, n)
      sum += gradient
      products = fusedMultiplyAdd(products, gradient, get(p, n) - center)
      p += inner
      q += inner
    }
    if done > 0 {
      products += get(Source(to + c), n)
      sum += get(Source(to + (inner &+ c)), n)
    }
    put(products, to + c, n)
    put(sum, to + (inner &+ c), n)
  }
}

private func combineParts(_ run: UnsafePointer<ReductionRun>, _ outer: Int) {
  let r = run.pointee
  let inner = r.plan.inner
  let results = r.plan.results
  let from = Source(r.partials + outer &* r.plan.parts &* results &* inner)
  let first = r.first + outer &* inner
  let second = r.second + outer &* inner
  eachRegister(inner) { c, n in
    var a = get(from + c, n)
    var b = results > 1 ? get(from + (inner &+ c), n) : Vec.zero
    for part in 1..<(r.plan.parts > 1 ? r.plan.parts : 1) {
      let p = from + (part &* results &* inner &+ c)
      let next = get(p, n)
      switch r.plan.op {
      case XFER_OP_MOMENTS:
        let rows = r.rows(part)
        let (oldA, oldB) = (a, b)
        a = next
        b = get(p + inner, n)
        join(&a, &b, rows.end &- rows.first, oldA, oldB, rows.first)
      case XFER_OP_BATCHNORM_BACKWARD_REDUCE:
        a += next
        b += get(p + inner, n)
      default: a = r.plan.kind == XFER_REDUCE_MAX ? xfer_vec_largest(a, next) : a + next
      }
    }
    switch r.plan.op {
    case XFER_OP_MOMENTS:
      a += r.plan.elements == .halves ? get(elements(r.x, BFloat16.self) + c, n) : get(r.x + c, n)
      b *= splat(1 / Float(r.plan.n))
    case XFER_OP_BATCHNORM_BACKWARD_REDUCE: a /= xfer_vec_sqrt(get(r.variance + c, n) + splat(r.plan.epsilon))
    default: if r.plan.kind == XFER_REDUCE_MEAN { a /= splat(Float(r.plan.n)) }
    }
    put(a, first + c, n)
    if results > 1 { put(b, second + c, n) }
  }
}

func reductionPlan(_ desc: Desc) -> Reduction? {
  let d = desc.pointee
  guard d.n_inputs >= 1, d.n_outputs >= 1, d.inputs != nil, d.outputs != nil,
    let elements = d.elements(inputs: Int(d.op) == XFER_OP_BATCHNORM_BACKWARD_REDUCE ? 2 : 1, output: false)
  else { return nil }
  var plan = Reduction(op: Int(d.op))
  plan.elements = elements
  let x = d.input(0)
  switch plan.op {
  case XFER_OP_REDUCE:
    guard d.has(1, 1), x.rank == 3, let a = d.attributes(xfer_reduce_attributes.self)?.pointee, a.kind >= 0, a.kind <= 2,
      d.output(0).rank == 2, d.output(0)[0] == x[0], d.output(0)[1] == x[2]
    else { return nil }
    (plan.outer, plan.n, plan.inner) = (x[0], x[1], x[2])
    plan.kind = Int(a.kind)
  case XFER_OP_MOMENTS:
    guard d.has(1, 2), d.output(0).isVector(x.last), d.output(1).isVector(x.last) else { return nil }
    (plan.n, plan.inner) = (x.outer, x.last)
  case XFER_OP_BATCHNORM_BACKWARD_REDUCE:
    guard d.has(4, 2), d.input(1).isSame(x), d.input(2).isVector(x.last), d.input(3).isVector(x.last), d.output(0).isVector(x.last),
      d.output(1).isVector(x.last), let a = d.attributes(xfer_normalize_attributes.self)?.pointee
    else { return nil }
    (plan.n, plan.inner) = (x.outer, x.last)
    plan.epsilon = a.epsilon
  default: return nil
  }
  if plan.outer < 16 {
    let most = ceilDivide(plan.n, 2 &* blockRows)
    plan.parts = most < 64 ? most : 64
  }
  return plan
}

func prepareReduction(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let plan = reductionPlan(desc) else { return nil }
  workspace?.pointee = aligned(plan.outer &* plan.parts &* plan.results &* plan.inner &* 4)
  return makeKernel(host, plan, run: runReduction).map { handle($0) }
}
