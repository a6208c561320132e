import CXfer

/// DEPTHWISE_CONV2D and its input gradient. With stride 1 the gradient is the same
/// convolution with the kernel turned round; with larger strides each pixel lists the taps that reach it.

struct Depthwise {
  /// The tensor read, the tensor written.
  var batch = 0
  var height = 0
  var width = 0
  var outHeight = 0
  var outWidth = 0
  /// Those of the kernel. The image, or in a gradient the result, has a `multiplier`-th of them.
  var channels = 0
  var multiplier = 1
  var kernelHeight = 0
  var kernelWidth = 0
  /// x = out*stride + tap*dilation - pad
  var strideH = 1
  var strideW = 1
  var dilationH = 1
  var dilationW = 1
  var top = 0
  var left = 0
  /// The taps are those of the forward op seen from its input: out + pad = x*stride + tap*dilation.
  var isTransposed = false
  /// The op is a gradient: its result has the fewer channels.
  var isGradient = false
  /// The kernel is turned round into the workspace first.
  var turnsKernel = false
  var hasBias = false
  var hasResidual = false
  var activation = xfer_activation()
  /// Of the tensor read, the residual and the tensor written; the kernel is of floats.
  var elements = ElementKind.floats
  var workers = 1

  var taps: Int { kernelHeight &* kernelWidth }
  /// Channels of the tensor read, and of the tensor written.
  var inChannels: Int { isGradient ? channels : channels / multiplier }
  var outChannels: Int { isGradient ? channels / multiplier : channels }

  var turnedBytes: Int { turnsKernel ? aligned(taps &* channels &* 4) : 0 }
  /// Of one worker: the rows of a window with each channel repeated, or a row of a gradient that is to be summed.
  var rowBytes: Int { multiplier == 1 ? 0 : aligned((isGradient ? outWidth : kernelHeight &* width) &* channels &* 4) }
}

extension Depthwise {
  /// The forward op.
  init(_ s: ConvShape, _ activation: xfer_activation) {
    batch = s.batch
    channels = s.outChannels
    multiplier = s.outChannels / s.channels
    (height, width, outHeight, outWidth) = (s.height, s.width, s.outHeight, s.outWidth)
    (kernelHeight, kernelWidth) = (s.kernelHeight, s.kernelWidth)
    (strideH, strideW, dilationH, dilationW) = (s.strideH, s.strideW, s.dilationH, s.dilationW)
    (top, left) = (s.top, s.left)
    self.activation = activation
  }
}

private struct DepthwiseRun {
  var plan: Depthwise
  var x: Source
  var kernel: Source
  var bias: Source?
  var residual: Source?
  var y: Target
  var host: Host
  var scratch: Scratch
  var failed = false
}

/// Pointers for one pixel's taps: windows beyond this are declined.
let mostTaps = 256

let runDepthwise: Run = { kernel, inputs, outputs, workspace in
  let host = KernelHead.of(kernel).host
  let plan = payload(kernel, Depthwise.self).pointee
  var run = DepthwiseRun(
    plan: plan, x: floats(inputs[0]), kernel: floats(inputs[1]), bias: plan.hasBias ? floats(inputs[2]) : nil,
    residual: plan.hasResidual ? floats(inputs[plan.hasBias ? 3 : 2]) : nil, y: floats(outputs[0]), host: host,
    scratch: Scratch(base: (workspace ?? kernel) + plan.turnedBytes, bytes: plan.rowBytes, workers: plan.workers))
  if plan.turnsKernel {
    let turned = floats(workspace)
    for t in 0..<plan.taps {
      (turned + t &* plan.channels).update(from: run.kernel + (plan.taps &- 1 &- t) &* plan.channels, count: plan.channels)
    }
    run.kernel = Source(turned)
  }
  // Rows of about 32 KB and more are pieces of their own; the division does not touch the result.
  let grain = ceilDivide(8192, plan.outWidth &* plan.channels)
  parallel(host, count: plan.batch &* plan.outHeight, grain: grain, &run) { context, begin, end, worker in
    let run = context.unsafelyUnwrapped.assumingMemoryBound(to: DepthwiseRun.self)
    let repeats = run.pointee.plan.multiplier > 1
    let memory = repeats ? run.pointee.scratch.take(run.pointee.host, worker) : nil
    if repeats && memory == nil {
      run.pointee.failed = true
      return
    }
    withUnsafeTemporaryAllocation(of: Source.self, capacity: 2 &* mostTaps) { pointers in
      guard let pointers = pointers.baseAddress else { return }
      for row in begin..<end {
        let own = memory?.assumingMemoryBound(to: Float.self)
        if run.pointee.plan.elements == .halves {
          depthwiseRow(run, BFloat16.self, Int(row), pointers, own)
        } else {
          depthwiseRow(run, Float.self, Int(row), pointers, own)
        }
      }
    }
    if let memory { run.pointee.scratch.giveBack(run.pointee.host, worker, memory) }
  }
  return run.failed ? fail(host, XFER_E_OUT_OF_MEMORY, "no memory for a worker's rows") : XFER_OK
}

/// `own`: with a multiplier above 1, room for the rows of a window, of what the image is of, or for one of a gradient, of floats.
@inline(__always) private func depthwiseRow<E: Element>(
  _ run: UnsafeMutablePointer<DepthwiseRun>, _ type: E.Type, _ row: Int, _ pointers: UnsafeMutablePointer<Source>, _ own: Target?
) {
  if run.pointee.plan.isGradient { gradientRow(run, type, row, pointers, own) } else { forwardRow(run, type, row, pointers, own) }
}

private func epilogue<E: Element>(_ run: UnsafeMutablePointer<DepthwiseRun>, _ at: Int, _ type: E.Type) -> PixelEpilogue<E> {
  let activation = run.pointee.plan.activation
  return PixelEpilogue(
    bias: run.pointee.bias, residual: run.pointee.residual.map { elements($0, type) + at }, clamps: isClamp(activation),
    high: activation.max_value)
}

private func activateRow<E: Element>(_ run: UnsafeMutablePointer<DepthwiseRun>, _ y: UnsafeMutablePointer<E>) {
  let plan = run.pointee.plan
  if plan.activation.kind == Int32(XFER_ACTIVATION_LINEAR) || isClamp(plan.activation) { return }
  activate(y, plan.outWidth &* plan.channels, plan.activation)
}

/// The taps t with 0 <= origin + t*dilation < size.
@inline(__always) private func inside(_ origin: Int, _ dilation: Int, _ taps: Int, _ size: Int) -> (first: Int, end: Int) {
  var first = origin < 0 ? ceilDivide(-origin, dilation) : 0
  var end = origin < size ? (size &- 1 &- origin) / dilation &+ 1 : 0
  if end > taps { end = taps }
  if first > end { first = end }
  return (first, end)
}

private func forwardRow<E: Element>(
  _ run: UnsafeMutablePointer<DepthwiseRun>, _ type: E.Type, _ row: Int, _ pointers: UnsafeMutablePointer<Source>, _ own: Target?
) {
  var plan = run.pointee.plan
  let at = row &* plan.outWidth &* plan.channels
  let rowFloats = plan.width &* plan.inChannels
  let result = elements(run.pointee.y, type) + at
  var image = elements(run.pointee.x, type) + row / plan.outHeight &* plan.height &* rowFloats
  var y = row % plan.outHeight
  if let own = own.map({ elements($0, type) }) {
    // The window's rows within the image become an image of their own.
    let origin = y &* plan.strideH &- plan.top
    let rows = inside(origin, plan.dilationH, plan.kernelHeight, plan.height)
    for ky in rows.first..<rows.end {
      repeatEach(
        image + (origin &+ ky &* plan.dilationH) &* rowFloats, rowFloats, plan.multiplier,
        to: own + (ky &- rows.first) &* plan.width &* plan.channels)
    }
    image = UnsafePointer(own)
    (y, plan.height, plan.top, plan.dilationH) = (0, rows.end &- rows.first, rows.first, 1)
  }
  withUnsafePointer(to: plan) {
    depthwiseRow(
      AsIs.self, $0, image, run.pointee.kernel, row: y, from: 0, to: plan.outWidth, channels: 0, plan.channels,
      result, epilogue(run, at, type), pointers)
  }
  activateRow(run, result)
}

private func gradientRow<E: Element>(
  _ run: UnsafeMutablePointer<DepthwiseRun>, _ type: E.Type, _ row: Int, _ pointers: UnsafeMutablePointer<Source>, _ own: Target?
) {
  let plan = run.pointee.plan
  let result = elements(run.pointee.y, type) + row &* plan.outWidth &* plan.outChannels
  let image = elements(run.pointee.x, type) + row / plan.outHeight &* plan.height &* plan.width &* plan.channels
  func write<Y: Element>(_ y: UnsafeMutablePointer<Y>) {
    if plan.isTransposed { return transposedRow(run, image, row % plan.outHeight, pointers, to: y) }
    withUnsafePointer(to: &run.pointee.plan) {
      depthwiseRow(
        AsIs.self, $0, image, run.pointee.kernel, row: row % plan.outHeight, from: 0, to: plan.outWidth, channels: 0, plan.channels,
        y, epilogue(run, 0, Y.self), pointers)
    }
  }
  guard let own else { return write(result) }
  write(own)
  sumEach(own, plan.outWidth &* plan.outChannels, plan.multiplier, to: result)
}

/// Output pixels [from, to) of one row, `count` of their channels from `first` on, into y: one pixel every `count` floats. `epilogue` is that of
/// the pixel `from` and of channel `first`; `pointers` has room for two times `mostTaps`.
@inline(__always) func depthwiseRow<M: InputMap, X: Element, Y: Element>(
  _ map: M.Type, _ plan: UnsafePointer<Depthwise>, _ image: UnsafePointer<X>, _ kernel: Source, row: Int, from begin: Int, to end: Int,
  channels first: Int, _ count: Int, _ y: UnsafeMutablePointer<Y>, _ epilogue: PixelEpilogue<Y>, _ pointers: UnsafeMutablePointer<Source>
) {
  let plan = plan.pointee
  let sources = pointersToPixels(pointers, X.self)
  let channels = plan.channels
  let image = image + first
  let kernel = kernel + first
  let originY = row &* plan.strideH &- plan.top
  let rows = inside(originY, plan.dilationH, plan.kernelHeight, plan.height)
  let firstRow = (originY &+ rows.first &* plan.dilationH) &* plan.width
  let window = kernel + rows.first &* plan.kernelWidth &* channels
  let strides = WindowStrides(
    row: plan.dilationH &* plan.width &* channels, kernelRow: plan.kernelWidth &* channels, rows: rows.end &- rows.first,
    tap: plan.dilationW &* channels, pixel: plan.strideW &* channels, taps: plan.kernelWidth, channels: channels, output: count)
  let slides = plan.kernelWidth == 3 && plan.strideW == 1 && plan.dilationW == 1
  // Pixels whose window lies within the row.
  let reach = plan.width &- 1 &+ plan.left &- (plan.kernelWidth &- 1) &* plan.dilationW
  var firstWhole = plan.left > 0 ? ceilDivide(plan.left, plan.strideW) : 0
  var endWhole = reach >= 0 ? reach / plan.strideW &+ 1 : 0
  if firstWhole < begin { firstWhole = begin }
  if endWhole > end { endWhole = end }
  if endWhole &- firstWhole < 4 || count < lanes || strides.rows == 0 {
    firstWhole = end
    endWhole = end
  }
  func finish(_ x: Int) -> (y: UnsafeMutablePointer<Y>, epilogue: PixelEpilogue<Y>) {
    let at = (x &- begin) &* count
    var own = epilogue
    if let residual = own.residual { own.residual = residual + at }
    return (y + at, own)
  }
  var x = begin
  while x < end {
    if x >= firstWhole && x < endWhole {
      // The last four overlap those before.
      if x &+ 4 > endWhole { x = endWhole &- 4 }
      let from = image + (firstRow &+ x &* plan.strideW &- plan.left) &* channels
      let place = finish(x)
      if slides {
        depthwiseFour3(map, from, window, strides, count: count, place.y, place.epilogue)
      } else {
        depthwiseFour(map, from, window, strides, count: count, place.y, place.epilogue)
      }
      x &+= 4
      continue
    }
    let originX = x &* plan.strideW &- plan.left
    let columns = inside(originX, plan.dilationW, plan.kernelWidth, plan.width)
    var taps = 0
    for ky in rows.first..<rows.end {
      for kx in columns.first..<columns.end {
        let pixel = (originY &+ ky &* plan.dilationH) &* plan.width &+ originX &+ kx &* plan.dilationW
        sources[taps] = image + pixel &* channels
        pointers[mostTaps &+ taps] = kernel + (ky &* plan.kernelWidth &+ kx) &* channels
        taps &+= 1
      }
    }
    let place = finish(x)
    depthwisePixel(map, sources, pointers + mostTaps, taps, count: count, place.y, place.epilogue)
    x &+= 1
  }
}

/// The first `mostTaps` of the pointers, those to pixels.
@inline(__always) private func pointersToPixels<E: Element>(
  _ pointers: UnsafeMutablePointer<Source>, _: E.Type
) -> UnsafeMutablePointer<UnsafePointer<E>> {
  UnsafeMutableRawPointer(pointers).assumingMemoryBound(to: UnsafePointer<E>.self)
}

private func transposedRow<X: Element, Y: Element>(
  _ run: UnsafeMutablePointer<DepthwiseRun>, _ image: UnsafePointer<X>, _ row: Int, _ pointers: UnsafeMutablePointer<Source>,
  to result: UnsafeMutablePointer<Y>
) {
  let plan = run.pointee.plan
  let sources = pointersToPixels(pointers, X.self)
  let channels = plan.channels
  let originY = row &+ plan.top
  for x in 0..<plan.outWidth {
    var taps = 0
    for ky in 0..<plan.kernelHeight {
      let y = originY &- ky &* plan.dilationH
      if y < 0 || y % plan.strideH != 0 || y / plan.strideH >= plan.height { continue }
      for kx in 0..<plan.kernelWidth {
        let column = x &+ plan.left &- kx &* plan.dilationW
        if column < 0 || column % plan.strideW != 0 || column / plan.strideW >= plan.width { continue }
        sources[taps] = image + (y / plan.strideH &* plan.width &+ column / plan.strideW) &* channels
        pointers[mostTaps &+ taps] = run.pointee.kernel + (ky &* plan.kernelWidth &+ kx) &* channels
        taps &+= 1
      }
    }
    depthwisePixel(
      AsIs.self, sources, pointers + mostTaps, taps, count: channels, result + x &* channels, epilogue(run, 0, Y.self))
  }
}

extension ConvOp {
  /// A depthwise convolution, or one of as many groups as channels, which is the same.
  static func depthwise(_ desc: Desc) -> ConvOp? {
    if let op = mixing(desc), op.isDepthwise { return op }
    guard let op = ConvOp(desc), op.isDepthwise else { return nil }
    let isKernelGradient = desc.pointee.op == Int32(XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL)
    let kernel = isKernelGradient ? desc.pointee.output(0) : desc.pointee.input(1)
    guard op.shape.outChannels == op.shape.channels &* kernel[3], op.shape.taps <= mostTaps, op.takesHalves else { return nil }
    return op
  }
}

func prepareDepthwise(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let op = ConvOp.depthwise(desc) else { return nil }
  let s = op.shape
  let forward = desc.pointee.op == Int32(XFER_OP_DEPTHWISE_CONV2D) || desc.pointee.op == Int32(XFER_OP_CONV2D)
  var plan = Depthwise(s, forward ? op.attributes.activation : xfer_activation())
  plan.workers = threads(host)
  plan.elements = op.read
  if forward {
    plan.hasBias = op.attributes.has_bias != 0
    plan.hasResidual = op.attributes.has_residual != 0
  } else {
    plan.isGradient = true
    (plan.height, plan.width, plan.outHeight, plan.outWidth) = (s.outHeight, s.outWidth, s.height, s.width)
    if s.strideH == 1 && s.strideW == 1 {
      plan.turnsKernel = true
      plan.top = (s.kernelHeight &- 1) &* s.dilationH &- s.top
      plan.left = (s.kernelWidth &- 1) &* s.dilationW &- s.left
    } else {
      plan.isTransposed = true
    }
  }
  workspace?.pointee = plan.turnedBytes &+ plan.workers &* plan.rowBytes
  return makeKernel(host, plan, run: runDepthwise).map { handle($0) }
}
