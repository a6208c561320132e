import CPluginSupport
import CXfer

/// BINARY_CROSSENTROPY and SPARSE_CATEGORICAL_CROSSENTROPY with their gradients. Forms are chosen that do not cancel: a loss next to 0 and
/// a gradient next to 0 keep their digits.

struct Loss {
  var op: Int
  /// Rows, and numbers of each.
  var n: Int
  var k: Int
  var fromLogits: Bool
  var smoothing: Float
}

private struct LossRun {
  var plan: Loss
  var truth: UnsafeRawPointer
  var prediction: Source
  var slope: Source
  var to: Target
}

/// The bounds of a probability, as the floats Keras clips with.
private let lowest: Float = 1e-7
private let highest: Float = 1 - 1e-7

private let runLoss: Run = { kernel, inputs, outputs, _ in
  let plan = payload(kernel, Loss.self).pointee
  let prediction = floats(inputs[1])
  let isGradient = plan.op == XFER_OP_BINARY_CROSSENTROPY_BACKWARD || plan.op == XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD
  var run = LossRun(
    plan: plan, truth: inputs[0].unsafelyUnwrapped, prediction: prediction, slope: isGradient ? floats(inputs[2]) : prediction,
    to: floats(outputs[0]))
  parallel(KernelHead.of(kernel).host, count: plan.n, grain: ceilDivide(4096, plan.k), &run) { context, begin, end, _ in
    let run = UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: LossRun.self))
    let (begin, end) = (Int(begin), Int(end))
    switch run.pointee.plan.op {
    case XFER_OP_BINARY_CROSSENTROPY: binaryLoss(run, begin, end)
    case XFER_OP_BINARY_CROSSENTROPY_BACKWARD: binarySlope(run, begin, end)
    case XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY: sparseLoss(run, begin, end)
    default: for row in begin..<end { sparseSlope(run, row) }
    }
  }
  return XFER_OK
}

/// Calls `body` for each register of `count` floats: where it begins and how many of them count.
@inline(__always) private func eachRegister(_ count: Int, _ body: (_ at: Int, _ n: Int) -> Void) {
  var at = 0
  while at < count {
    body(at, count &- at < lanes ? count &- at : lanes)
    at &+= lanes
  }
}

@inline(__always) private func get(_ p: Source, _ n: Int) -> Vec { n == lanes ? load(p) : load(p, first: n) }
@inline(__always) private func put(_ v: Vec, _ p: Target, _ n: Int) {
  if n == lanes { storeVector(v, p) } else { storeVector(v, p, first: n) }
}
// MARK: Binary

/// The labels' two shares of the loss, y and 1-y, after smoothing.
@inline(__always) private func shares(_ truth: Vec, _ smoothing: Float) -> (of: Vec, other: Vec) {
  let y = fusedMultiplyAdd(splat(smoothing * 0.5), truth, splat(1 - smoothing))
  return (y, splat(1) - y)
}

@inline(__always) private func binaryTerm(_ truth: Vec, _ z: Vec, _ plan: Loss) -> Vec {
  let share = shares(truth, plan.smoothing)
  if plan.fromLogits {
    // max(z,0) - z*y is z*(1-y) above 0 and -z*y below.
    return xfer_vec_if_less(splat(0), z, z * share.other, -z * share.of) + logOnePlusExpMinus(xfer_vec_abs(z))
  }
  let p = clamped(z, splat(lowest), splat(highest))
  return -fusedMultiplyAdd(share.other * logarithmOfOnePlus(-p), share.of, logarithm(p))
}

/// With one number a row the rows are a vector, else each row is summed by itself.
@inline(never) private func binaryLoss(_ run: UnsafePointer<LossRun>, _ begin: Int, _ end: Int) {
  let r = run.pointee
  let k = r.plan.k
  let truth = r.truth.assumingMemoryBound(to: Float.self)
  if k == 1 {
    eachRegister(end &- begin) { at, n in
      put(binaryTerm(get(truth + (begin &+ at), n), get(r.prediction + (begin &+ at), n), r.plan), r.to + (begin &+ at), n)
    }
    return
  }
  for row in begin..<end {
    var (low, high) = (Half.zero, Half.zero)
    eachRegister(k) { c, n in
      let at = row &* k &+ c
      let term = xfer_vec_first(binaryTerm(get(truth + at, n), get(r.prediction + at, n), r.plan), Int64(n), Vec.zero)
      low += xfer_vec_low(term)
      high += xfer_vec_high(term)
    }
    r.to[row] = Float(total(low + high) / Double(k))
  }
}

@inline(__always) private func binarySlope(_ truth: Vec, _ z: Vec, _ factor: Vec, _ plan: Loss) -> Vec {
  let share = shares(truth, plan.smoothing)
  if plan.fromLogits {
    // sigmoid(z)-y: above 0, (1-y)-sigmoid(-z).
    let e = decay(xfer_vec_abs(z))
    let s = e / (splat(1) + e)
    return factor * xfer_vec_if_less(splat(0), z, share.other - s, s - share.of)
  }
  // A clipped probability has no slope, as in Keras.
  let slope = factor * (z - share.of) / (z * (splat(1) - z))
  return xfer_vec_if_less(z, splat(lowest), splat(0), xfer_vec_if_less(splat(highest), z, splat(0), slope))
}

@inline(never) private func binarySlope(_ run: UnsafePointer<LossRun>, _ begin: Int, _ end: Int) {
  let r = run.pointee
  let k = r.plan.k
  let truth = r.truth.assumingMemoryBound(to: Float.self)
  if k == 1 {
    eachRegister(end &- begin) { i, n in
      let at = begin &+ i
      put(binarySlope(get(truth + at, n), get(r.prediction + at, n), get(r.slope + at, n), r.plan), r.to + at, n)
    }
    return
  }
  for row in begin..<end {
    let factor = splat(Float(Double(r.slope[row]) / Double(k)))
    eachRegister(k) { c, n in
      let at = row &* k &+ c
      put(binarySlope(get(truth + at, n), get(r.prediction + at, n), factor, r.plan), r.to + at, n)
    }
  }
}

// MARK: Sparse categorical

/// The label of a row, or nil where it is no column.
@inline(__always) private func label(_ r: LossRun, _ row: Int) -> Int? {
  let label = Int(r.truth.assumingMemoryBound(to: Int32.self)[row])
  return label >= 0 && label < r.plan.k ? label : nil
}

/// The largest logit. NaN is passed over: its exponential makes the sum NaN.
@inline(__always) private func largest(_ z: Source, _ k: Int) -> Float {
  var most = splat(-.infinity)
  eachRegister(k) { c, n in most = xfer_vec_max(xfer_vec_first(get(z + c, n), Int64(n), splat(-.infinity)), most) }
  return xfer_vec_peak(most)
}

/// The sum of exp(z - shift) over all columns but the label's.
@inline(__always) private func sumOfOthers(_ z: Source, _ k: Int, _ shift: Float, _ label: Int) -> Double {
  var (low, high) = (Half.zero, Half.zero)
  eachRegister(k) { c, n in
    let e = xfer_vec_without(xfer_vec_first(exponential(get(z + c, n) - splat(shift)), Int64(n), Vec.zero), Int64(label &- c))
    low += xfer_vec_low(e)
    high += xfer_vec_high(e)
  }
  return total(low + high)
}

@inline(__always) private func sum(_ p: Source, _ k: Int) -> Double {
  var (low, high) = (Half.zero, Half.zero)
  eachRegister(k) { c, n in
    let v = get(p + c, n)
    low += xfer_vec_low(v)
    high += xfer_vec_high(v)
  }
  return total(low + high)
}

/// What a logarithm is taken of and what is added to it, row by row; then the logarithms together.
@inline(never) private func sparseLoss(_ run: UnsafePointer<LossRun>, _ begin: Int, _ end: Int) {
  let r = run.pointee
  let k = r.plan.k
  withUnsafeTemporaryAllocation(of: Float.self, capacity: 64) { added in
    guard let added = added.baseAddress else { return }
    var first = begin
    while first < end {
      let count = end &- first < 64 ? end &- first : 64
      for i in 0..<count {
        let row = first &+ i
        let z = r.prediction + row &* k
        added[i] = 0
        guard let label = label(r, row) else {
          r.to[row] = .nan
          continue
        }
        if r.plan.fromLogits {
          // At least 1 is summed, as the largest: log1p of the rest.
          let most = largest(z, k)
          added[i] = most - z[label]
          let own = Double(exponential(splat(z[label] - most))[0])
          r.to[row] = Float(sumOfOthers(z, k, most, label) + (own - 1))
        } else {
          r.to[row] = Float(Double(z[label]) / sum(z, k))
        }
      }
      eachRegister(count) { i, n in
        let v = get(Source(r.to) + (first &+ i), n)
        let p = clamped(v, splat(lowest), splat(highest))
        put(r.plan.fromLogits ? logarithmOfOnePlus(v) + get(Source(added) + i, n) : -logarithm(p), r.to + (first &+ i), n)
      }
      first &+= count
    }
  }
}

private func sparseSlope(_ run: UnsafePointer<LossRun>, _ row: Int) {
  let r = run.pointee
  let (k, z, to) = (r.plan.k, r.prediction + row &* r.plan.k, r.to + row &* r.plan.k)
  let factor = r.slope[row]
  guard let label = label(r, row) else {
    to.update(repeating: .nan, count: k)
    return
  }
  if !r.plan.fromLogits {
    // loss = log of the sum - log p[label], constant where the quotient is clipped.
    let (whole, p) = (sum(z, k), Double(z[label]))
    let isClipped = p / whole < Double(lowest) || p / whole > Double(highest)
    to.update(repeating: isClipped ? 0 : Float(Double(factor) / whole), count: k)
    if !isClipped { to[label] = Float(Double(factor) * (1 / whole - 1 / p)) }
    return
  }
  // The label's own slope is what the others' are together, with the other sign.
  let most = largest(z, k)
  let others = sumOfOthers(z, k, most, label)
  let whole = others + Double(exponential(splat(z[label] - most))[0])
  let scale = splat(Float(Double(factor) / whole))
  eachRegister(k) { c, n in put(exponential(get(z + c, n) - splat(most)) * scale, to + c, n) }
  to[label] = Float(-Double(factor) * others / whole)
}

func lossPlan(_ desc: Desc) -> Loss? {
  let d = desc.pointee
  let op = Int(d.op)
  let isGradient = op == XFER_OP_BINARY_CROSSENTROPY_BACKWARD || op == XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD
  let isSparse = op == XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY || op == XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD
  guard d.has(isGradient ? 3 : 2, 1), let a = d.attributes(xfer_crossentropy_attributes.self)?.pointee else { return nil }
  let (truth, prediction, result) = (d.input(0), d.input(1), d.output(0))
  guard prediction.isFloat, prediction.rank == 2, prediction.count > 0, result.isFloat else { return nil }
  let plan = Loss(op: op, n: prediction[0], k: prediction[1], fromLogits: a.from_logits != 0, smoothing: a.label_smoothing)
  if isSparse {
    guard truth.dtype == XFER_I32, truth.rank == 1, truth[0] == plan.n else { return nil }
  } else {
    guard truth.isFloat, truth.isSame(prediction) else { return nil }
  }
  if isGradient {
    guard d.input(2).isVector(plan.n), result.isSame(prediction) else { return nil }
  } else {
    guard result.isVector(plan.n) else { return nil }
  }
  return plan
}

func prepareLoss(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = lossPlan(desc) else { return nil }
  return makeKernel(host, plan, run: runLoss).map { handle($0) }
}
