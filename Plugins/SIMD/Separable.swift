import CXfer

/// SEPARABLE_CONV2D: the row GEMM of a 1x1 convolution whose rows come from a depthwise convolution as they are packed.

/// The first half. Its pixels are made a tile at a time, in L1, and packed at once.
struct SeparableHalf {
  var plan: Depthwise
  var rectifiesInput: Bool

  /// Pixels [from, to) of a row of the half's output, made of what its input is made of, as they would be in memory; see depthwiseRow.
  @inline(never) func convolve<E: Element>(
    _ image: UnsafePointer<E>, _ window: Source, _ bias: Source?, row: Int, from begin: Int, to end: Int, channels first: Int, _ count: Int,
    _ y: UnsafeMutablePointer<E>, _ pointers: UnsafeMutablePointer<Source>
  ) {
    let epilogue = PixelEpilogue<E>(
      bias: bias.map { $0 + first }, residual: nil, clamps: isClamp(plan.activation), high: plan.activation.max_value)
    withUnsafePointer(to: plan) { plan in
      if rectifiesInput {
        depthwiseRow(
          Rectified.self, plan, image, window, row: row, from: begin, to: end, channels: first, count, y, epilogue, pointers)
      } else {
        depthwiseRow(AsIs.self, plan, image, window, row: row, from: begin, to: end, channels: first, count, y, epilogue, pointers)
      }
    }
  }
}

extension RowGemm {
  /// Tiles that begin and end where rows of the image do, or divide them evenly: pixels side by side share what they read.
  func tilesOfWholeRows(_ grid: RowGrid) -> Int {
    let rows = batch &* grid.height
    if grid.width > kind.tallest { return rows &* ceilDivide(grid.width, kind.tallest) }
    var perTile = kind.tallest / grid.width
    while rows % perTile != 0 { perTile &-= 1 }
    return rows / perTile
  }
}

struct SeparableOp {
  var half: SeparableHalf
  var shape: ConvShape
  var outputs: Int
  var kind: StepKind
  var attributes: xfer_separable_conv_attributes
  /// What x is made of, and what y and the residual are.
  var read: ElementKind
  var written: ElementKind

  init?(_ desc: Desc) {
    guard let a = desc.pointee.attributes(xfer_separable_conv_attributes.self)?.pointee else { return nil }
    let extras = (a.has_depthwise_bias != 0 ? 1 : 0) + (a.has_bias != 0 ? 1 : 0) + (a.has_residual != 0 ? 1 : 0)
    let d = desc.pointee
    guard d.has(3 + extras, 1), d.areImages(a.has_residual != 0), d.output(0).rank == 4, d.input(2).rank == 4 else { return nil }
    var middle = d.output(0)
    middle.dims.3 = d.input(0).dims.3
    let conv = xfer_conv_attributes(
      struct_size: MemoryLayout<xfer_conv_attributes>.size, stride_h: a.stride_h, stride_w: a.stride_w, dilation_h: a.dilation_h,
      dilation_w: a.dilation_w, pad_top: a.pad_top, pad_bottom: a.pad_bottom, pad_left: a.pad_left, pad_right: a.pad_right, groups: 1,
      has_bias: a.has_depthwise_bias, has_residual: 0, activation: a.depthwise_activation)
    guard let s = ConvShape(x: d.input(0), kernel: d.input(1), y: middle, conv), d.input(1)[3] == 1, s.taps <= mostTaps else { return nil }
    let kernel = d.input(2)
    outputs = d.output(0)[3]
    guard kernel[0] == 1, kernel[1] == 1, kernel[2] == s.channels, kernel[3] == outputs else { return nil }
    var next = 3
    if a.has_depthwise_bias != 0 {
      guard d.input(next).isVector(s.channels) else { return nil }
      next += 1
    }
    if a.has_bias != 0 {
      guard d.input(next).isVector(outputs) else { return nil }
      next += 1
    }
    if a.has_residual != 0 && !d.input(next).isSame(d.output(0)) { return nil }
    let linear = Int32(XFER_ACTIVATION_LINEAR)
    let input = a.input_activation
    guard input.kind == linear || (isClamp(input) && input.max_value == .infinity),
      a.depthwise_activation.kind == linear || isClamp(a.depthwise_activation), isKnown(a.activation)
    else { return nil }
    shape = s
    kind = d.steps
    attributes = a
    (read, written) = (d.input(0).elements, d.output(0).elements)
    guard (read == .floats && written == .floats) || kind == .pairs else { return nil }
    let activation = a.activation
    guard
      written == .floats
        || (kind.steps(s.channels) <= kind.longestBlock && (activation.kind == linear || isClamp(activation)))
    else { return nil }
    half = SeparableHalf(plan: Depthwise(s, a.depthwise_activation), rectifiesInput: input.kind != linear)
  }

  func panels(_ kernel: Source) -> PanelSource {
    PanelSource(b: kernel, taps: 1, depth: shape.channels, columns: outputs, transposed: false, kind: kind)
  }
}

func prepareSeparable(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let op = SeparableOp(desc) else { return nil }
  let s = op.shape
  var gemm = RowGemm(
    batch: s.batch, columns: op.outputs, steps: op.kind.steps(s.channels), kind: op.kind, depth: s.channels,
    way: desc.pointee.way)
  gemm.sourceHeight = s.height
  gemm.sourceWidth = s.width
  gemm.outHeight = s.outHeight
  gemm.outWidth = s.outWidth
  gemm.activation = op.attributes.activation
  gemm.depthwise = op.half
  (gemm.read, gemm.written) = (op.read, op.written)
  let workers = threads(host)
  let kernel = RowKernel(
    gemm: gemm, depth: s.channels, taps: 1, transposed: false, isPacked: desc.pointee.isPacked(2),
    hasBias: op.attributes.has_bias != 0, hasResidual: op.attributes.has_residual != 0, hasWindow: true,
    hasWindowBias: op.attributes.has_depthwise_bias != 0, workers: workers)
  var grid = RowGrid()
  grid.height = s.outHeight
  grid.width = s.outWidth
  var tap = Tap(y: 0, x: 0, number: 0)
  return makeRowKernel(host, kernel, grid, &tap, tapLength: s.channels, workspace)
}
