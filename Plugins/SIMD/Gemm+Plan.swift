import CXfer

/// How the plans of Gemm+Rows are made: which pieces of which pixels the summed dimension is made of.

/// A tap of a window: where it reads, relative to a row's own pixel, and its number in B.
struct Tap {
  var y: Int
  var x: Int
  var number: Int
}

extension RowGemm {
  /// Room for the tables of `grids` grids that share `taps` taps.
  func tableBytes(grids: Int, taps: Int, tapLength: Int) -> Int {
    let pieces = taps &* ceilDivide(kind.steps(tapLength), kind.longestBlock)
    return aligned(grids &* MemoryLayout<RowGrid>.stride) &+ aligned(pieces &* MemoryLayout<Piece>.stride)
      &+ aligned((pieces &+ 2 &* grids &+ 1) &* 8)
      &+ aligned((tapLength < kind.longestBlock &* kind.unit ? tapLength : kind.longestBlock &* kind.unit) &* 4)
  }

  /// Lays the tables out in memory of `tableBytes`, all zero.
  mutating func useTables(_ memory: UnsafeMutableRawPointer, grids count: Int, taps: Int, tapLength: Int) {
    let capacity = taps &* ceilDivide(kind.steps(tapLength), kind.longestBlock)
    var p = memory
    grids = p.bindMemory(to: RowGrid.self, capacity: count)
    p += aligned(count &* MemoryLayout<RowGrid>.stride)
    pieces = p.bindMemory(to: Piece.self, capacity: capacity)
    p += aligned(capacity &* MemoryLayout<Piece>.stride)
    blocks = p.bindMemory(to: Int.self, capacity: capacity &+ 2 &* count &+ 1)
    p += aligned((capacity &+ 2 &* count &+ 1) &* 8)
    zeros = p.bindMemory(to: Float.self, capacity: 1)
  }

  /// Appends a grid whose rows sum over `taps` taps of `tapLength` floats each. `tap` tells the i-th; tables are filled in
  /// order, so `pieceEnd` and `blockEnd` are where the last grid ended.
  mutating func addGrid(
    _ grid: RowGrid, taps: UnsafePointer<Tap>, tapCount: Int, tapLength: Int, threads: Int, pieceEnd: inout Int, blockEnd: inout Int
  ) {
    var grid = grid
    grid.firstPiece = pieceEnd
    grid.firstBlock = blockEnd
    let tapSteps = kind.steps(tapLength)
    let parts = ceilDivide(tapSteps, kind.longestBlock)
    var inBlock = 0
    var length = 0
    blocks[blockEnd] = pieceEnd
    for t in 0..<tapCount {
      for part in 0..<parts {
        let begin = part &* (tapSteps / kind.depth) / parts &* kind.depth
        let count = (part &+ 1) &* (tapSteps / kind.depth) / parts &* kind.depth &- begin
        let floats = (begin &+ count) &* kind.unit < tapLength ? count &* kind.unit : tapLength &- begin &* kind.unit
        if length &+ count > kind.longestBlock && length > 0 {
          blockEnd &+= 1
          blocks[blockEnd] = pieceEnd
          inBlock = 0
          length = 0
        }
        pieces[pieceEnd] = Piece(
          y: taps[t].y, x: taps[t].x, begin: begin &* kind.unit, length: floats, steps: count,
          offset: (taps[t].number &* tapSteps &+ begin) &* panelWidth)
        pieceEnd &+= 1
        inBlock &+= 1
        length &+= count
        if inBlock > piecesPerBlock { piecesPerBlock = inBlock }
        if length > longestBlock { longestBlock = length }
        if floats > longestPiece { longestPiece = floats }
      }
    }
    if length > 0 { blockEnd &+= 1 }
    grid.blocks = blockEnd &- grid.firstBlock
    blocks[blockEnd] = pieceEnd
    blockEnd &+= 1
    divide(&grid, threads: threads)
    grids[gridCount] = grid
    gridCount &+= 1
  }

  /// After the last grid: how many tiles are packed before they meet B. 12 KB of them, for L1, when all of B stays in L2; otherwise
  /// as many as share L2 with a panel.
  mutating func chooseBlocking() {
    let isSmall = packedFloats &* 4 <= 256 * 1024
    let tileBytes = kind.tallest &* (longestBlock > 0 ? longestBlock : 1) &* kind.wordsOfA &* 4
    let fit = (isSmall == (way == RowWay.otherBlocks) ? 384 * 1024 : 12 * 1024) / tileBytes
    tilesPerBlock = fit < 1 ? 1 : (fit > 16 ? 16 : fit)
    fetchesPanels = !isSmall && tilesPerBlock > 1
  }
}

/// Packs a B that was not packed beforehand, its panels shared among the threads.
struct PanelPacking {
  var source: PanelSource
  var packed: Target

  mutating func execute(_ host: Host) {
    parallel(host, count: source.panels, grain: 1, &self) { context, begin, end, _ in
      let job = context.unsafelyUnwrapped.assumingMemoryBound(to: PanelPacking.self)
      for panel in begin..<end { job.pointee.source.packPanel(Int(panel), to: job.pointee.packed) }
    }
  }
}

/// A kernel around a RowGemm: C = A * B with a bias and a residual where the op has them.
struct RowKernel {
  var gemm: RowGemm
  /// With b = nil: what B is made of when it does not come packed.
  var depth: Int
  var taps: Int
  var transposed: Bool
  var isPacked: Bool
  var hasBias: Bool
  var hasResidual: Bool
  /// Of a separable convolution, whose first half has a kernel (input 1) and perhaps a bias (input 3) of its own.
  var hasWindow = false
  var hasWindowBias = false
  /// Equal products over leading batch dimensions, and the floats of one of A, B, residual and C.
  var repeats = 1
  var floatsA = 0
  var floatsB = 0
  var floatsC = 0
  var workers: Int

  var packedBytes: Int { isPacked ? 0 : aligned(gemm.packedFloats &* 4) }

  static func workspace(_ kernel: UnsafeMutablePointer<RowKernel>) -> Int {
    kernel.pointee.packedBytes &+ kernel.pointee.workers &* withGemm(kernel) { RowGemm.scratchBytes($0) }
  }

  @inline(__always) static func withGemm<R>(_ kernel: UnsafeMutablePointer<RowKernel>, _ body: (UnsafePointer<RowGemm>) -> R) -> R {
    withUnsafePointer(to: &kernel.pointee.gemm) { body($0) }
  }
}

/// The kernel of a product over one grid, with its tables.
func makeRowKernel(
  _ host: Host, _ kernel: RowKernel, _ grid: RowGrid, _ taps: UnsafePointer<Tap>, tapCount: Int = 1, tapLength: Int,
  _ workspace: UnsafeMutablePointer<Int>?
) -> OpaquePointer? {
  let bytes = kernel.gemm.tableBytes(grids: 1, taps: tapCount, tapLength: tapLength)
  guard let k = makeKernel(host, kernel, extra: bytes, run: runRowKernel) else { return nil }
  k.pointee.gemm.useTables(extraMemory(k), grids: 1, taps: tapCount, tapLength: tapLength)
  var pieceEnd = 0
  var blockEnd = 0
  k.pointee.gemm.addGrid(
    grid, taps: taps, tapCount: tapCount, tapLength: tapLength, threads: kernel.workers, pieceEnd: &pieceEnd, blockEnd: &blockEnd)
  k.pointee.gemm.chooseBlocking()
  workspace?.pointee = RowKernel.workspace(k)
  return handle(k)
}

let runRowKernel: Run = { kernel, inputs, outputs, workspace in
  let host = KernelHead.of(kernel).host
  let k = payload(kernel, RowKernel.self)
  guard let workspace else { return fail(host, XFER_E_INVALID_ARGUMENT, "the kernel was given no workspace") }
  return RowKernel.withGemm(k) { gemm in
    let scratch = Scratch(
      base: workspace + k.pointee.packedBytes, bytes: RowGemm.scratchBytes(gemm), workers: k.pointee.workers)
    let matrix = k.pointee.hasWindow ? 2 : 1
    var next = matrix &+ 1
    var windowBias: Source?
    if k.pointee.hasWindowBias {
      windowBias = floats(inputs[next])
      next += 1
    }
    var bias: Source?
    var residual: Source?
    if k.pointee.hasBias {
      bias = floats(inputs[next])
      next += 1
    }
    if k.pointee.hasResidual { residual = floats(inputs[next]) }
    for i in 0..<k.pointee.repeats {
      var b = floats(inputs[matrix]) + i &* k.pointee.floatsB
      if !k.pointee.isPacked {
        let packed = workspace.assumingMemoryBound(to: Float.self)
        let source = PanelSource(
          b: b, taps: k.pointee.taps, depth: k.pointee.depth, columns: gemm.pointee.columns, transposed: k.pointee.transposed,
          kind: gemm.pointee.kind)
        var packing = PanelPacking(source: source, packed: packed)
        packing.execute(host)
        b = Source(packed)
      }
      var run = RowRun(
        host: host, plan: gemm, grid: UnsafePointer(gemm.pointee.grids), source: floats(inputs[0]) + i &* k.pointee.floatsA,
        packed: b, bias: bias, residual: residual.map { $0 + i &* k.pointee.floatsC },
        output: floats(outputs[0]) + i &* k.pointee.floatsC, scratch: scratch,
        window: k.pointee.hasWindow ? floats(inputs[1]) : nil, windowBias: windowBias)
      if !run.execute() { return fail(host, XFER_E_OUT_OF_MEMORY, "no memory for a worker's packed tiles") }
    }
    return XFER_OK
  }
}
