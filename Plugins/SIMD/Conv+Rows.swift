import CXfer

/// CONV2D and its input gradient as implicit GEMMs: the rows of A are gathered from the image while they are
/// packed, the kernel is B. A 1x1 convolution is the case of one tap.

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

  init?(_ desc: Desc) {
    guard let a = desc.pointee.attributes(xfer_conv_attributes.self)?.pointee else { return nil }
    attributes = a
    let d = desc.pointee
    kind = d.steps
    let forward = d.op == Int32(XFER_OP_CONV2D) || d.op == Int32(XFER_OP_DEPTHWISE_CONV2D)
    let extras = forward ? (a.has_bias != 0 ? 1 : 0) + (a.has_residual != 0 ? 1 : 0) : 0
    guard d.has(2 + extras, 1), d.allFloats else { return nil }
    let made: ConvShape?
    switch d.op {
    case Int32(XFER_OP_CONV2D_BACKWARD_INPUT), Int32(XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT):
      made = ConvShape(x: d.output(0), kernel: d.input(1), y: d.input(0), a)
    case Int32(XFER_OP_CONV2D_BACKWARD_KERNEL), Int32(XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL):
      made = ConvShape(x: d.input(0), kernel: d.output(0), y: d.input(1), a)
    default:
      made = ConvShape(x: d.input(0), kernel: d.input(1), y: d.output(0), a)
    }
    guard let made else { return nil }
    shape = made
    if forward && a.has_bias != 0 && !d.input(2).isVector(shape.outChannels) { return nil }
    if forward && a.has_residual != 0 && !d.input(1 + extras).isSame(d.output(0)) { return nil }
  }

  /// A dense convolution whose kernel has the channels it needs.
  static func dense(_ desc: Desc) -> ConvOp? {
    guard let op = ConvOp(desc), op.attributes.groups == 1 else { return nil }
    let kernel =
      desc.pointee.op == Int32(XFER_OP_CONV2D_BACKWARD_KERNEL) ? desc.pointee.output(0) : desc.pointee.input(1)
    return kernel[3] == op.shape.outChannels ? op : nil
  }
}

func prepareConvForward(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let op = ConvOp.dense(desc) else { return nil }
  let s = op.shape
  let spans = s.readsSpans
  let (tapCount, tapLength) = s.forwardTaps
  var gemm = RowGemm(
    batch: s.batch, columns: s.outChannels, steps: tapCount &* op.kind.steps(tapLength), kind: op.kind, depth: s.channels)
  gemm.sourceHeight = s.height
  gemm.sourceWidth = s.width
  gemm.span = spans ? s.kernelWidth : 1
  gemm.outHeight = s.outHeight
  gemm.outWidth = s.outWidth
  gemm.activation = op.attributes.activation
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

/// dx = dy * transposed kernel. The pixels of dx fall into strideH*strideW classes by which taps reach them; each class is a
/// grid of its own with just these taps, so that no product with a zero is made.
func prepareConvBackwardInput(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let op = ConvOp.dense(desc) else { return nil }
  let s = op.shape
  var gemm = RowGemm(
    batch: s.batch, columns: s.channels, steps: s.taps &* op.kind.steps(s.outChannels), kind: op.kind, depth: s.outChannels)
  gemm.sourceHeight = s.outHeight
  gemm.sourceWidth = s.outWidth
  gemm.outHeight = s.height
  gemm.outWidth = s.width
  let workers = threads(host)
  let grids = s.strideH &* s.strideW
  let kernel = RowKernel(
    gemm: gemm, depth: s.outChannels, taps: s.taps, transposed: true, isPacked: desc.pointee.isPacked(1),
    hasBias: false, hasResidual: false, workers: workers)
  let bytes = gemm.tableBytes(grids: grids, taps: s.taps, tapLength: s.outChannels)
  guard let k = makeKernel(host, kernel, extra: bytes, run: runRowKernel) else { return nil }
  k.pointee.gemm.useTables(extraMemory(k), grids: grids, taps: s.taps, tapLength: s.outChannels)
  withUnsafeTemporaryAllocation(of: Tap.self, capacity: s.taps) { taps in
    guard let taps = taps.baseAddress else { return }
    var pieceEnd = 0
    var blockEnd = 0
    for phaseY in 0..<s.strideH where phaseY < s.height {
      for phaseX in 0..<s.strideW where phaseX < s.width {
        var count = 0
        for t in 0..<s.taps {
          let y = phaseY &+ s.top &- t / s.kernelWidth &* s.dilationH
          let x = phaseX &+ s.left &- t % s.kernelWidth &* s.dilationW
          if y % s.strideH != 0 || x % s.strideW != 0 { continue }
          taps[count] = Tap(y: y / s.strideH, x: x / s.strideW, number: t)
          count += 1
        }
        var grid = RowGrid()
        grid.height = ceilDivide(s.height &- phaseY, s.strideH)
        grid.width = ceilDivide(s.width &- phaseX, s.strideW)
        grid.outStepY = s.strideH
        grid.outStepX = s.strideW
        grid.outY = phaseY
        grid.outX = phaseX
        k.pointee.gemm.addGrid(
          grid, taps: taps, tapCount: count, tapLength: s.outChannels, threads: workers, pieceEnd: &pieceEnd, blockEnd: &blockEnd)
      }
    }
  }
  k.pointee.gemm.chooseBlocking()
  workspace?.pointee = RowKernel.workspace(k)
  return handle(k)
}

/// B of a dense convolution, for packing it beforehand: forward [taps*C, O], backward the taps' transposes.
func convPanels(_ op: ConvOp, backward: Bool, _ kernel: Source) -> PanelSource {
  let s = op.shape
  if backward {
    return PanelSource(b: kernel, taps: s.taps, depth: s.outChannels, columns: s.channels, transposed: true, kind: op.kind)
  }
  let (count, length) = s.forwardTaps
  return PanelSource(b: kernel, taps: count, depth: length, columns: s.outChannels, transposed: false, kind: op.kind)
}
