import CXfer

/// CONV2D and its input gradient as implicit GEMMs: the rows of A are gathered from the image while they are
/// packed, the kernel is B. A 1x1 convolution is the case of one tap; those of several come here in bfloat16 only (see `readsInPlace`).

extension ConvShape {
  /// With few channels the pixels of one kernel row are read as one run.
  var readsSpans: Bool { channels < 16 && kernelWidth > 1 && dilationW == 1 && kernelWidth &* channels <= 256 }

  /// Runs of the kernel that are read as one, and their length.
  var forwardTaps: (count: Int, length: Int) {
    readsSpans ? (kernelHeight, kernelWidth &* channels) : (taps, channels)
  }
}

struct ConvOp {
  var shape: ConvShape
  var kind: StepKind
  var attributes: xfer_conv_attributes
  /// Each output channel comes from one input channel: the depthwise ops, and a CONV2D of as many groups as channels.
  var isDepthwise: Bool
  /// Whether it is the gradient of the input.
  var isBackward: Bool
  var isForward: Bool
  var way: Int
  /// What the tensors are made of that the forward op, or a gradient, reads and writes: x or dy, y or dx; of the kernel's gradient x and dy.
  var read: ElementKind
  var written: ElementKind

  init?(_ desc: Desc) {
    guard let a = desc.pointee.attributes(xfer_conv_attributes.self)?.pointee else { return nil }
    attributes = a
    let d = desc.pointee
    kind = d.steps
    way = d.way
    isBackward = d.op == Int32(XFER_OP_CONV2D_BACKWARD_INPUT)
    isDepthwise = d.op >= Int32(XFER_OP_DEPTHWISE_CONV2D) && d.op <= Int32(XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL)
    let forward = d.op == Int32(XFER_OP_CONV2D) || d.op == Int32(XFER_OP_DEPTHWISE_CONV2D)
    isForward = forward
    let extras = forward ? (a.has_bias != 0 ? 1 : 0) + (a.has_residual != 0 ? 1 : 0) : 0
    guard d.has(2 + extras, 1), d.areImages(forward && a.has_residual != 0) else { return nil }
    read = d.input(0).elements
    written = d.isGradientOfKernel ? d.input(1).elements : d.output(0).elements
    let made: ConvShape?
    let groups = isDepthwise ? 1 : Int(a.groups)
    switch d.op {
    case Int32(XFER_OP_CONV2D_BACKWARD_INPUT), Int32(XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT):
      made = ConvShape(x: d.output(0), kernel: d.input(1), y: d.input(0), a, groups: groups)
    case Int32(XFER_OP_CONV2D_BACKWARD_KERNEL), Int32(XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL):
      made = ConvShape(x: d.input(0), kernel: d.output(0), y: d.input(1), a, groups: groups)
    default:
      made = ConvShape(x: d.input(0), kernel: d.input(1), y: d.output(0), a, groups: groups)
    }
    guard let made else { return nil }
    shape = made
    if forward && a.has_bias != 0 && !d.input(2).isVector(shape.outChannels) { return nil }
    if forward && a.has_residual != 0 && !d.input(1 + extras).isSame(d.output(0)) { return nil }
  }

  /// CONV2D or a gradient of it, whose kernel has the channels it needs.
  static func mixing(_ desc: Desc) -> ConvOp? {
    guard var op = ConvOp(desc), op.shape.channels % op.shape.groups == 0, op.shape.outChannels % op.shape.groups == 0 else { return nil }
    let kernel =
      desc.pointee.op == Int32(XFER_OP_CONV2D_BACKWARD_KERNEL) ? desc.pointee.output(0) : desc.pointee.input(1)
    guard kernel[3] == op.shape.outChannels else { return nil }
    // Groups are computed in float32: their products are too few to gain by rounding.
    if op.shape.groups > 1 { op.kind = .floats }
    // The kernel of one, [kh,kw,1,O], has the order of the other's, [kh,kw,C,O/C].
    op.isDepthwise = op.shape.groups > 1 && op.shape.groups == op.shape.channels && op.shape.taps <= mostTaps
    return op.takesHalves ? op : nil
  }

  /// Whether the tensors are of floats or there is a way for those that are not. Products of bfloat16 are made of pairs.
  var takesHalves: Bool {
    if read == .floats && written == .floats { return true }
    // What is put together of several pixels, summed in several goes or gone over a second time, is of floats.
    let activation = attributes.activation
    let finishes = activation.kind == Int32(XFER_ACTIVATION_LINEAR) || isClamp(activation)
    if isDepthwise { return read == written && finishes }
    guard kind == .pairs, read == .floats || isBackward || !shape.readsSpans else { return false }
    let isKernelGradient = !isBackward && !isForward
    return written == .floats || isKernelGradient || (writesAtOnce && finishes)
  }
  /// One block of steps makes a finished sum.
  private var writesAtOnce: Bool {
    let (count, length) = isBackward ? (shape.taps, shape.outChannels) : shape.forwardTaps
    return count &* kind.steps(length) <= kind.longestBlock
  }
}

func prepareConvForward(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let op = ConvOp.mixing(desc) else { return nil }
  if op.isDepthwise { return prepareDepthwise(host, desc, workspace) }
  let s = op.shape
  if op.readsInPlace { return prepareWindowForward(host, desc, op, workspace) }
  let spans = s.readsSpans
  let (tapCount, tapLength) = s.forwardTaps
  var gemm = RowGemm(
    batch: s.batch, columns: s.outChannels, steps: tapCount &* op.kind.steps(tapLength), kind: op.kind, depth: s.channels, way: op.way)
  gemm.sourceHeight = s.height
  gemm.sourceWidth = s.width
  gemm.span = spans ? s.kernelWidth : 1
  gemm.outHeight = s.outHeight
  gemm.outWidth = s.outWidth
  gemm.activation = op.attributes.activation
  (gemm.read, gemm.written) = (op.read, op.written)
  let workers = threads(host)
  let kernel = RowKernel(
    gemm: gemm, depth: tapLength, taps: tapCount, transposed: false, isPacked: desc.pointee.isPacked(1),
    hasBias: op.attributes.has_bias != 0, hasResidual: op.attributes.has_residual != 0, workers: workers)
  var grid = RowGrid()
  grid.height = s.outHeight
  grid.width = s.outWidth
  grid.stepY = s.strideH
  grid.stepX = s.strideW
  return withUnsafeTemporaryAllocation(of: Tap.self, capacity: tapCount) { taps in
    guard let taps = taps.baseAddress else { return nil }
    let perRow = spans ? 1 : s.kernelWidth
    for t in 0..<tapCount {
      taps[t] = Tap(y: t / perRow &* s.dilationH &- s.top, x: t % perRow &* s.dilationW &- s.left, number: t)
    }
    return makeRowKernel(host, kernel, grid, taps, tapCount: tapCount, tapLength: tapLength, workspace)
  }
}

extension ConvShape {
  /// The pixels of dx fall into strideH*strideW classes by which taps reach them; each class is a grid of its own with just these
  /// taps, so that no product with a zero is made.
  func eachPhase(_ body: (RowGrid, UnsafePointer<Tap>, Int) -> Void) {
    withUnsafeTemporaryAllocation(of: Tap.self, capacity: taps) { list in
      guard let list = list.baseAddress else { return }
      for phaseY in 0..<strideH where phaseY < height {
        for phaseX in 0..<strideW where phaseX < width {
          var count = 0
          for t in 0..<taps {
            let y = phaseY &+ top &- t / kernelWidth &* dilationH
            let x = phaseX &+ left &- t % kernelWidth &* dilationW
            if y % strideH != 0 || x % strideW != 0 { continue }
            list[count] = Tap(y: y / strideH, x: x / strideW, number: t)
            count += 1
          }
          var grid = RowGrid()
          grid.height = ceilDivide(height &- phaseY, strideH)
          grid.width = ceilDivide(width &- phaseX, strideW)
          grid.outStepY = strideH
          grid.outStepX = strideW
          grid.outY = phaseY
          grid.outX = phaseX
          body(grid, UnsafePointer(list), count)
        }
      }
    }
  }
}

/// dx = dy * transposed kernel.
func prepareConvBackwardInput(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let op = ConvOp.mixing(desc) else { return nil }
  if op.isDepthwise { return prepareDepthwise(host, desc, workspace) }
  let s = op.shape
  if op.readsInPlace { return prepareWindowBackwardInput(host, desc, op, workspace) }
  var gemm = RowGemm(
    batch: s.batch, columns: s.channels, steps: s.taps &* op.kind.steps(s.outChannels), kind: op.kind, depth: s.outChannels, way: op.way)
  gemm.sourceHeight = s.outHeight
  gemm.sourceWidth = s.outWidth
  gemm.outHeight = s.height
  gemm.outWidth = s.width
  (gemm.read, gemm.written) = (op.read, op.written)
  let workers = threads(host)
  let grids = s.strideH &* s.strideW
  let kernel = RowKernel(
    gemm: gemm, depth: s.outChannels, taps: s.taps, transposed: true, isPacked: desc.pointee.isPacked(1),
    hasBias: false, hasResidual: false, workers: workers)
  let bytes = gemm.tableBytes(grids: grids, taps: s.taps, tapLength: s.outChannels)
  guard let k = makeKernel(host, kernel, extra: bytes, run: runRowKernel) else { return nil }
  k.pointee.gemm.useTables(extraMemory(k), grids: grids, taps: s.taps, tapLength: s.outChannels)
  var pieceEnd = 0
  var blockEnd = 0
  s.eachPhase { grid, taps, count in
    k.pointee.gemm.addGrid(
      grid, taps: taps, tapCount: count, tapLength: s.outChannels, threads: workers, pieceEnd: &pieceEnd, blockEnd: &blockEnd)
  }
  k.pointee.gemm.chooseBlocking()
  workspace?.pointee = RowKernel.workspace(k)
  return handle(k)
}

/// B of a convolution, for packing it beforehand: forward [taps*C, O], backward the taps' transposes; of each group its own.
func convPanels(_ op: ConvOp, backward: Bool, _ kernel: Source) -> PanelSource {
  let s = op.shape
  let (channels, outChannels) = (s.channels / s.groups, s.outChannels / s.groups)
  let (count, length) = backward || s.groups > 1 ? (s.taps, backward ? outChannels : channels) : s.forwardTaps
  var panels = PanelSource(
    b: kernel, taps: count, depth: length, columns: backward ? channels : outChannels, transposed: backward, kind: op.kind,
    groups: s.groups)
  panels.merged = mergedGroups(s.groups, depth: length, columns: panels.columns)
  return panels
}
