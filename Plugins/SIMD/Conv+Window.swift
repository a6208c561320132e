import CXfer

/// CONV2D and its input gradient by way of `WindowGemm`.

extension ConvOp {
  /// Whether the forward op and the input gradient read the image where it lies: in groups, and wherever each pixel serves several taps, so
  /// that packing would copy it as often. With one tap a packed block is read as often as in place, and in order. Pairs of bfloat16 have to be packed.
  var readsInPlace: Bool { shape.groups > 1 || (shape.taps > 1 && kind == .floats && !(canPack && way == packedWay)) }

  /// Whether packing would give the same bits: sums in place are one chain, sums of packed tiles one for each block of steps.
  var canPack: Bool { shape.groups == 1 && shape.taps &* (isBackward ? shape.outChannels : shape.channels) <= kind.longestBlock }
}

func prepareWindowForward(_ host: Host, _ desc: Desc, _ op: ConvOp, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  let s = op.shape
  var gemm = WindowGemm(
    batch: s.batch, groups: s.groups, depth: s.channels / s.groups, columns: s.outChannels / s.groups, taps: s.taps,
    sourceHeight: s.height, sourceWidth: s.width, outHeight: s.outHeight, outWidth: s.outWidth, isPacked: desc.pointee.isPacked(1),
    workers: threads(host))
  gemm.activation = op.attributes.activation
  gemm.hasBias = op.attributes.has_bias != 0
  gemm.hasResidual = op.attributes.has_residual != 0
  return makeWindow(host, gemm, grids: 1, workspace) { gemm in
    for t in 0..<s.taps {
      gemm.tapTable[t] = Tap(y: t / s.kernelWidth &* s.dilationH &- s.top, x: t % s.kernelWidth &* s.dilationW &- s.left, number: t)
    }
    var grid = WindowGrid()
    grid.height = s.outHeight
    grid.width = s.outWidth
    grid.stepY = s.strideH
    grid.stepX = s.strideW
    grid.tapCount = s.taps
    gemm.addGrid(grid)
  }
}

/// dx = dy * transposed kernel, in grids of pixels that the same taps reach; see prepareConvBackwardInput.
func prepareWindowBackwardInput(_ host: Host, _ desc: Desc, _ op: ConvOp, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  let s = op.shape
  var gemm = WindowGemm(
    batch: s.batch, groups: s.groups, depth: s.outChannels / s.groups, columns: s.channels / s.groups, taps: s.taps,
    sourceHeight: s.outHeight, sourceWidth: s.outWidth, outHeight: s.height, outWidth: s.width, isPacked: desc.pointee.isPacked(1),
    workers: threads(host))
  gemm.transposed = true
  return makeWindow(host, gemm, grids: s.strideH &* s.strideW, workspace) { gemm in
    var tap = 0
    s.eachPhase { grid, taps, count in
      var window = WindowGrid()
      window.height = grid.height
      window.width = grid.width
      window.outStepY = grid.outStepY
      window.outStepX = grid.outStepX
      window.outY = grid.outY
      window.outX = grid.outX
      window.firstTap = tap
      window.tapCount = count
      for t in 0..<count { gemm.tapTable[tap &+ t] = taps[t] }
      tap &+= count
      gemm.addGrid(window)
    }
  }
}

private func makeWindow(
  _ host: Host, _ gemm: WindowGemm, grids: Int, _ workspace: UnsafeMutablePointer<Int>?, _ fill: (inout WindowGemm) -> Void
) -> OpaquePointer? {
  var gemm = gemm
  gemm.merged = mergedGroups(gemm.groups, depth: gemm.depth, columns: gemm.columns)
  guard let k = makeKernel(host, gemm, extra: gemm.tableBytes(grids: grids), run: runWindowGemm) else { return nil }
  k.pointee.useTables(extraMemory(k), grids: grids)
  fill(&k.pointee)
  workspace?.pointee = k.pointee.workspaceBytes
  return handle(k)
}
