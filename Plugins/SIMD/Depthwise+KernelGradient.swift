import CXfer

/// DEPTHWISE_CONV2D_BACKWARD_KERNEL: dkernel[tap, c] = sum over output pixels of x[pixel of the tap, c] * dy[pixel, c].
///
/// The rows of dy are divided into a fixed number of parts, each with sums of its own that grow by whole rows; the parts are
/// then added in order. Sums are thus three short chains, and the same for every number of threads.

private struct DepthwiseGradient {
  /// `channels` are those of dy.
  var shape: ConvShape
  var multiplier: Int
  var parts: Int
  /// Of x and dy.
  var elements: ElementKind

  /// Of one part: its sums, and a row of x with each channel repeated.
  var partFloats: Int { shape.taps &* shape.channels &+ (multiplier > 1 ? shape.width &* shape.channels : 0) }
}

private struct GradientRun {
  var plan: DepthwiseGradient
  var x: Source
  var dy: Source
  var dkernel: Target
  var partials: Target

  var size: Int { plan.shape.taps &* plan.shape.channels }
}

private let runGradient: Run = { kernel, inputs, outputs, workspace in
  let host = KernelHead.of(kernel).host
  let plan = payload(kernel, DepthwiseGradient.self).pointee
  var run = GradientRun(
    plan: plan, x: floats(inputs[0]), dy: floats(inputs[1]), dkernel: floats(outputs[0]), partials: floats(workspace))
  parallel(host, count: plan.parts, grain: 1, &run) { context, begin, end, _ in
    let run = UnsafePointer(context.unsafelyUnwrapped.assumingMemoryBound(to: GradientRun.self))
    for part in begin..<end {
      if run.pointee.plan.elements == .halves { sumPart(run, BFloat16.self, Int(part)) } else { sumPart(run, Float.self, Int(part)) }
    }
  }
  let sums = Source(run.partials)
  run.dkernel.update(from: sums, count: run.size)
  for part in 1..<(plan.parts > 1 ? plan.parts : 1) { addTo(run.dkernel, sums + part &* plan.partFloats, run.size) }
  return XFER_OK
}

private func sumPart<E: Element>(_ run: UnsafePointer<GradientRun>, _ type: E.Type, _ part: Int) {
  let s = run.pointee.plan.shape
  let channels = s.channels
  let size = run.pointee.size
  let sums = run.pointee.partials + part &* run.pointee.plan.partFloats
  let multiplier = run.pointee.plan.multiplier
  let rowFloats = s.width &* channels / multiplier
  sums.update(repeating: 0, count: size)
  let rows = s.batch &* s.outHeight
  let slides = s.kernelWidth == 3 && s.dilationW == 1 && s.strideW <= 2
  for row in (part &* rows / run.pointee.plan.parts)..<((part &+ 1) &* rows / run.pointee.plan.parts) {
    let dy = elements(run.pointee.dy, type) + row &* s.outWidth &* channels
    let image = elements(run.pointee.x, type) + row / s.outHeight &* s.height &* rowFloats
    for ky in 0..<s.kernelHeight {
      let y = row % s.outHeight &* s.strideH &- s.top &+ ky &* s.dilationH
      if y < 0 || y >= s.height { continue }
      var x = image + y &* rowFloats
      if multiplier > 1 {
        let repeated = elements(sums + size, type)
        repeatEach(x, rowFloats, multiplier, to: repeated)
        x = UnsafePointer(repeated)
      }
      let to = sums + ky &* s.kernelWidth &* channels
      var c = 0
      if slides {
        while c &+ 2 &* lanes <= channels {
          if s.strideW == 1 { sumRow3(x + c, dy + c, s, to + c) } else { sumRow3By2(x + c, dy + c, s, to + c) }
          c &+= 2 &* lanes
        }
      }
      while c < channels {
        sumRow(x + c, dy + c, s, to + c, channels &- c < lanes ? channels &- c : lanes)
        c &+= lanes
      }
    }
  }
}

/// One register of one row of taps, for any window.
@inline(never) private func sumRow<E: Element>(
  _ x: UnsafePointer<E>, _ dy: UnsafePointer<E>, _ s: ConvShape, _ sums: Target, _ n: Int
) {
  let channels = s.channels
  for kx in 0..<s.kernelWidth {
    let origin = kx &* s.dilationW &- s.left
    let (first, end) = s.outColumns(kx)
    if first >= end { continue }
    var a = x + (first &* s.strideW &+ origin) &* channels
    var b = dy + first &* channels
    var even = Vec.zero
    var odd = Vec.zero
    var left = end &- first
    if n == lanes {
      while left > 1 {
        even = fusedMultiplyAdd(even, load(a), load(b))
        odd = fusedMultiplyAdd(odd, load(a + s.strideW &* channels), load(b + channels))
        a += 2 &* s.strideW &* channels
        b += 2 &* channels
        left &-= 2
      }
    }
    while left > 0 {
      even = fusedMultiplyAdd(even, load(a, first: n), load(b, first: n))
      a += s.strideW &* channels
      b += channels
      left &-= 1
    }
    let to = sums + kx &* channels
    storeVector(load(Source(to), first: n) + even + odd, to, first: n)
  }
}

/// Two registers of a row of three taps: x slides through the window, so that each pixel of it is loaded once.
@inline(__always) private func sumRow3<E: Element>(
  _ x: UnsafePointer<E>, _ dy: UnsafePointer<E>, _ s: ConvShape, _ sums: Target, stride: Int
) {
  let channels = s.channels
  @inline(__always) func pixel(_ at: Int) -> (Vec, Vec) {
    at >= 0 && at < s.width ? (load(x + at &* channels), load(x + (at &* channels &+ lanes))) : (Vec.zero, Vec.zero)
  }
  var s0 = (Vec.zero, Vec.zero)
  var s1 = (Vec.zero, Vec.zero)
  var s2 = (Vec.zero, Vec.zero)
  var v0 = pixel(-s.left)
  var v1 = pixel(1 &- s.left)
  var v2 = pixel(2 &- s.left)
  var next = 3 &- s.left
  var b = dy
  for _ in 0..<s.outWidth {
    let d = (load(b), load(b + lanes))
    s0 = (fusedMultiplyAdd(s0.0, v0.0, d.0), fusedMultiplyAdd(s0.1, v0.1, d.1))
    s1 = (fusedMultiplyAdd(s1.0, v1.0, d.0), fusedMultiplyAdd(s1.1, v1.1, d.1))
    s2 = (fusedMultiplyAdd(s2.0, v2.0, d.0), fusedMultiplyAdd(s2.1, v2.1, d.1))
    if stride == 1 {
      v0 = v1
      v1 = v2
      v2 = pixel(next)
    } else {
      v0 = v2
      v1 = pixel(next)
      v2 = pixel(next &+ 1)
    }
    next &+= stride
    b += channels
  }
  addTwo(s0, sums)
  addTwo(s1, sums + channels)
  addTwo(s2, sums + 2 &* channels)
}

@inline(never) private func sumRow3<E: Element>(_ x: UnsafePointer<E>, _ dy: UnsafePointer<E>, _ s: ConvShape, _ sums: Target) {
  sumRow3(x, dy, s, sums, stride: 1)
}

@inline(never) private func sumRow3By2<E: Element>(_ x: UnsafePointer<E>, _ dy: UnsafePointer<E>, _ s: ConvShape, _ sums: Target) {
  sumRow3(x, dy, s, sums, stride: 2)
}

@inline(__always) private func addTwo(_ v: (Vec, Vec), _ to: Target) {
  storeVector(load(Source(to)) + v.0, to)
  storeVector(load(Source(to + lanes)) + v.1, to + lanes)
}

func prepareDepthwiseBackwardKernel(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let op = ConvOp.depthwise(desc) else { return nil }
  let rows = op.shape.batch &* op.shape.outHeight
  var plan = DepthwiseGradient(
    shape: op.shape, multiplier: op.shape.outChannels / op.shape.channels, parts: rows < 32 ? rows : 32, elements: op.read)
  plan.shape.channels = op.shape.outChannels
  workspace?.pointee = aligned(plan.parts &* plan.partFloats &* 4)
  return makeKernel(host, plan, run: runGradient).map { handle($0) }
}
