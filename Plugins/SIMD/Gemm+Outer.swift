import CXfer

/// C[rows, columns] = sum over positions p of A[p, row] * B[p, column]: both operands have their rows along the summed
/// dimension. Weight gradients (positions are output pixels, rows are taps times channels), and products whose A is
/// transposed.
///
/// Positions are summed in blocks, blocks in order; where the output is too small to share among the threads, each
/// part of the positions has a sum of its own, and these are added in order.

/// Positions of a block: an A tile of them stays in L1, a chunk of B in L2.
private let positionBlock = 256
/// Panels of B packed at a time.
private let panelChunk = 24

struct OuterGemm {
  /// Positions form a grid over source pixels, as in RowGrid.
  var batch = 1
  var height = 1
  var width = 1
  var stepY = 1
  var stepX = 1
  var sourceHeight = 1
  var sourceWidth = 1
  var depth: Int
  /// Taps, each `pieceLength` rows of C; see RowGemm.span.
  var pieces: Int
  var pieceLength: Int
  var span = 1
  var perKernelRow = 1
  var dilationY = 1
  var dilationX = 1
  var top = 0
  var left = 0
  /// Of one group: so many pieces of a pixel of A times so many of B, each group for itself.
  var columns: Int
  var groups = 1
  var kind = StepKind.floats
  /// Of A and of B.
  var elementsA = ElementKind.floats
  var elementsB = ElementKind.floats
  var transposedB = false
  var hasBias = false
  var hasResidual = false
  var activation = xfer_activation()
  var repeats = 1
  var workers: Int
  var positionParts = 1
  var tileParts = 1
  var zeros: Target! = nil

  var positions: Int { batch &* height &* width }
  var rows: Int { pieces &* pieceLength }
  var tilesPerPiece: Int { ceilDivide(pieceLength, kind.tallest) }
  var tiles: Int { pieces &* tilesPerPiece }
  var sourceFloats: Int { batch &* sourceHeight &* sourceWidth &* depth }
  /// Floats of a row of B and of C, all groups side by side.
  var pitch: Int { groups &* columns }
  var partialBytes: Int { aligned((positionParts &- 1) &* rows &* columns &* 4) }
  var workspaceBytes: Int { partialBytes &+ workers &* OuterScratch.bytes(self) }

  /// How positions and tiles are shared: the least of a small model of tiles, packing and adding up.
  mutating func divide() {
    let panels = panelCount(columns)
    var best = Int.max
    for p in 1...(2 &* workers) where p == 1 || positions / p >= 128 {
      for t in 1...(2 &* workers) where t <= tiles {
        let share = ceilDivide(tiles, t)
        let waves = ceilDivide(p &* t, workers)
        let task = ceilDivide(positions, p) &* (share &* panels &* 20 &+ panels &* 6 &+ share &* 3)
        let adding = p > 1 ? tiles &* panels &* p &* 160 / workers : 0
        let cost = waves &* task &+ adding
        if cost < best {
          best = cost
          positionParts = p
          tileParts = t
        }
      }
    }
  }
}

private struct OuterRun {
  var host: Host
  var plan: UnsafePointer<OuterGemm>
  var a: Source
  var b: Source
  var bias: Source?
  var residual: Source?
  var output: Target
  var partials: Target
  var scratch: Scratch
  var failed = false

  /// Where row `row` of a part's sums begins: in C, or one after another in the workspace.
  func target(_ part: Int, row: Int) -> Target {
    part == 0
      ? output + row &* plan.pointee.pitch : partials + ((part &- 1) &* plan.pointee.rows &+ row) &* plan.pointee.columns
  }
}

private struct OuterScratch {
  var tile: Target
  var panels: Target
  var spans: Target
  var source: UnsafeMutablePointer<Source>
  var rows: UnsafeMutablePointer<Target>
  var spill: UnsafeMutablePointer<Target>

  static func bytes(_ plan: OuterGemm) -> Int {
    let panels = panelCount(plan.columns)
    let rows = plan.kind.tallest
    return aligned((positionBlock &* rows &+ packSlack) &* 4)
      &+ (panels < panelChunk ? panels : panelChunk) &* positionBlock &* panelWidth &* 4
      &+ aligned(plan.span > 1 ? positionBlock &* plan.pieceLength &* 4 : 0) &+ aligned(positionBlock &* 8)
      &+ 2 &* aligned(rows &* 8) &+ aligned(rows &* panelWidth &* 4)
  }

  init(_ memory: UnsafeMutableRawPointer, _ plan: UnsafePointer<OuterGemm>) {
    var p = memory
    func take<T>(_ count: Int, _: T.Type) -> UnsafeMutablePointer<T> {
      let place = p.assumingMemoryBound(to: T.self)
      p += aligned(count &* MemoryLayout<T>.stride)
      return place
    }
    let count = panelCount(plan.pointee.columns)
    let tallest = plan.pointee.kind.tallest
    tile = take(positionBlock &* tallest &+ packSlack, Float.self)
    panels = take((count < panelChunk ? count : panelChunk) &* positionBlock &* panelWidth, Float.self)
    spans = take(plan.pointee.span > 1 ? positionBlock &* plan.pointee.pieceLength : 0, Float.self)
    source = take(positionBlock, Source.self)
    rows = take(tallest, Target.self)
    spill = take(tallest, Target.self)
    let spilled = take(tallest &* panelWidth, Float.self)
    for i in 0..<tallest { spill[i] = spilled + i &* panelWidth }
  }
}

let runOuterGemm: Run = { kernel, inputs, outputs, workspace in
  let host = KernelHead.of(kernel).host
  let plan = UnsafePointer(payload(kernel, OuterGemm.self))
  guard let workspace else { return fail(host, XFER_E_INVALID_ARGUMENT, "the kernel was given no workspace") }
  let scratch = Scratch(
    base: workspace + plan.pointee.partialBytes, bytes: OuterScratch.bytes(plan.pointee), workers: plan.pointee.workers)
  let floatsC = plan.pointee.rows &* plan.pointee.columns
  let groups = plan.pointee.groups
  let bias = plan.pointee.hasBias ? floats(inputs[2]) : nil
  let residual = plan.pointee.hasResidual ? floats(inputs[plan.pointee.hasBias ? 3 : 2]) : nil
  for i in 0..<(plan.pointee.repeats &* groups) {
    // Products of their own one after another in memory, or groups side by side.
    let (product, group) = (i / groups, i % groups)
    var run = OuterRun(
      host: host, plan: plan,
      a: floats(inputs[0]) + (product &* plan.pointee.sourceFloats &+ group &* plan.pointee.pieceLength),
      b: floats(inputs[1]) + (product &* plan.pointee.positions &* plan.pointee.pitch &+ group &* plan.pointee.columns), bias: bias,
      residual: residual.map { $0 + product &* floatsC },
      output: floats(outputs[0]) + (product &* floatsC &+ group &* plan.pointee.columns),
      partials: workspace.assumingMemoryBound(to: Float.self), scratch: scratch)
    parallel(host, count: plan.pointee.positionParts &* plan.pointee.tileParts, grain: 1, &run) { context, begin, end, worker in
      let run = context.unsafelyUnwrapped.assumingMemoryBound(to: OuterRun.self)
      guard let memory = run.pointee.scratch.take(run.pointee.host, worker) else {
        run.pointee.failed = true
        return
      }
      beginTiles(run.pointee.plan.pointee.kind)
      for task in begin..<end { runPart(run, Int(task), OuterScratch(memory, run.pointee.plan)) }
      endTiles(run.pointee.plan.pointee.kind)
      run.pointee.scratch.giveBack(run.pointee.host, worker, memory)
    }
    if run.failed { return fail(host, XFER_E_OUT_OF_MEMORY, "no memory for a worker's packed tiles") }
    finish(&run)
  }
  return XFER_OK
}

private func runPart(_ run: UnsafePointer<OuterRun>, _ task: Int, _ scratch: OuterScratch) {
  let plan = run.pointee.plan
  let part = task % plan.pointee.positionParts
  let tilePart = task / plan.pointee.positionParts
  let end = (part &+ 1) &* plan.pointee.positions / plan.pointee.positionParts
  let firstTile = tilePart &* plan.pointee.tiles / plan.pointee.tileParts
  let endTile = (tilePart &+ 1) &* plan.pointee.tiles / plan.pointee.tileParts
  let panels = panelCount(plan.pointee.columns)
  let first = part &* plan.pointee.positions / plan.pointee.positionParts
  var begin = first
  while begin < end {
    let count = end &- begin < positionBlock ? end &- begin : positionBlock
    var panel = 0
    while panel < panels {
      let stop = panel &+ panelChunk < panels ? panel &+ panelChunk : panels
      for p in panel..<stop {
        packB(run, begin, count, p, to: scratch.panels + (p &- panel) &* positionBlock &* panelWidth)
      }
      runTiles(run, part, begin, count, isFirst: begin == first, panel, stop, firstTile, endTile, scratch)
      panel = stop
    }
    begin &+= count
  }
}

private func packB(_ run: UnsafePointer<OuterRun>, _ begin: Int, _ count: Int, _ panel: Int, to: Target) {
  let columns = run.pointee.plan.pointee.columns
  let column = panel &* panelWidth
  let width = columns &- column < panelWidth ? columns &- column : panelWidth
  let plan = run.pointee.plan
  let transposed = plan.pointee.transposedB
  let stride = transposed ? plan.pointee.positions : plan.pointee.pitch
  if plan.pointee.elementsB == .halves {
    return packPanelOfHalves(
      place(run.pointee.b, begin &* stride &+ column, .halves), stride: stride, count: count, width: width, to: to)
  }
  packPanelOfB(
    plan.pointee.kind, run.pointee.b + (transposed ? column &* stride &+ begin : begin &* stride &+ column), stride: stride,
    transposed: transposed, count: count, width: width, to: to)
}

private func runTiles(
  _ run: UnsafePointer<OuterRun>, _ part: Int, _ begin: Int, _ count: Int, isFirst: Bool, _ firstPanel: Int, _ endPanel: Int,
  _ firstTile: Int, _ endTile: Int, _ scratch: OuterScratch
) {
  let plan = run.pointee.plan
  let columns = plan.pointee.columns
  let perPiece = plan.pointee.tilesPerPiece
  let length = plan.pointee.pieceLength
  // Packing pays where a tile meets more than two panels.
  let kind = plan.pointee.kind
  let inPlace = kind == .floats && panelCount(columns) <= 2
  var epilogue = Epilogue()
  epilogue.accumulates = !isFirst
  var segment = Segment(offset: 0, length: kind.steps(count))
  var located = -1
  withUnsafePointer(to: &segment) { segment in
    var call = TileCall(
      a: Source(scratch.tile), b: Source(scratch.panels), segments: segment, segmentCount: 1, c: UnsafePointer(scratch.rows),
      column: 0, residual: nil, epilogue: epilogue, pairs: kind == .pairs)
    var scattered = ScatteredCall(tile: call, rows: UnsafePointer(scratch.source), column: 0)
    for tile in firstTile..<endTile {
      let piece = tile / perPiece
      if piece != located {
        locate(run, piece, begin, count, scratch)
        located = piece
      }
      let row = tile % perPiece &* length / perPiece
      let rows = (tile % perPiece &+ 1) &* length / perPiece &- row
      if !inPlace { packTileAcross(kind, scratch.source, plan.pointee.elementsA, column: row, count: count, width: rows, to: scratch.tile) }
      for i in 0..<rows { scratch.rows[i] = run.pointee.target(part, row: piece &* length &+ row &+ i) }
      for panel in firstPanel..<endPanel {
        call.b = Source(scratch.panels + (panel &- firstPanel) &* positionBlock &* panelWidth)
        call.column = panel &* panelWidth
        if inPlace {
          scattered.tile = call
          scattered.column = row
          runInPlace(rows: rows, columns: columns &- call.column, &scattered, spillRows: scratch.spill)
        } else {
          runTile(rows: rows, columns: columns &- call.column, &call, spillRows: scratch.spill)
        }
      }
    }
  }
}

/// Where each position of a block finds a piece: in the image, or in zeros.
private func locate(_ run: UnsafePointer<OuterRun>, _ piece: Int, _ begin: Int, _ count: Int, _ scratch: OuterScratch) {
  let plan = run.pointee.plan
  let sourceWidth = plan.pointee.sourceWidth
  let depth = plan.pointee.depth
  let span = plan.pointee.span
  let stepX = plan.pointee.stepX
  let elements = plan.pointee.elementsA
  let tapY = piece / plan.pointee.perKernelRow &* plan.pointee.dilationY &- plan.pointee.top
  let tapX = piece % plan.pointee.perKernelRow &* plan.pointee.dilationX &- plan.pointee.left
  // The columns whose piece lies wholly within a row of the image.
  let firstInside = tapX < 0 ? ceilDivide(-tapX, stepX) : 0
  let room = sourceWidth &- span &- tapX
  let endInside = room < 0 ? 0 : room / stepX &+ 1
  let perImage = plan.pointee.height &* plan.pointee.width
  var n = begin / perImage
  var y = (begin % perImage) / plan.pointee.width
  var x = begin % plan.pointee.width
  var i = 0
  while i < count {
    // The rest of this row, or of the block.
    let rest = plan.pointee.width &- x < count &- i ? plan.pointee.width &- x : count &- i
    let sourceY = y &* plan.pointee.stepY &+ tapY
    if sourceY < 0 || sourceY >= plan.pointee.sourceHeight {
      for k in 0..<rest { scratch.source[i &+ k] = UnsafePointer(plan.pointee.zeros) }
    } else {
      let row = place(run.pointee.a, (n &* plan.pointee.sourceHeight &+ sourceY) &* sourceWidth &* depth, elements)
      for k in 0..<rest {
        let column = x &+ k
        let sourceX = column &* stepX &+ tapX
        scratch.source[i &+ k] =
          column >= firstInside && column < endInside
          ? place(row, sourceX &* depth, elements) : edge(plan, row, sourceX, to: scratch.spans + (i &+ k) &* plan.pointee.pieceLength)
      }
    }
    i &+= rest
    x = 0
    y &+= 1
    if y == plan.pointee.height {
      y = 0
      n &+= 1
    }
  }
}

/// A piece that begins or ends outside its row of the image, put together with its zeros in `to`; or nothing but zeros.
@inline(never) private func edge(_ plan: UnsafePointer<OuterGemm>, _ row: Source, _ sourceX: Int, to: Target) -> Source {
  let (sourceWidth, depth, span) = (plan.pointee.sourceWidth, plan.pointee.depth, plan.pointee.span)
  if sourceX >= sourceWidth || sourceX &+ span <= 0 { return UnsafePointer(plan.pointee.zeros) }
  for s in 0..<span {
    let inside = sourceX &+ s >= 0 && sourceX &+ s < sourceWidth
    for c in 0..<depth { to[s &* depth &+ c] = inside ? row[(sourceX &+ s) &* depth &+ c] : 0 }
  }
  return Source(to)
}

/// Adds the parts in order, then bias, residual and activation.
private func finish(_ run: inout OuterRun) {
  let plan = run.plan
  let activates = plan.pointee.activation.kind != Int32(XFER_ACTIVATION_LINEAR)
  if plan.pointee.positionParts == 1 && run.bias == nil && run.residual == nil && !activates { return }
  let grain = ceilDivide(16384, plan.pointee.columns)
  parallel(run.host, count: plan.pointee.rows, grain: grain, &run) { context, begin, end, _ in
    let run = context.unsafelyUnwrapped.assumingMemoryBound(to: OuterRun.self)
    let plan = run.pointee.plan
    let columns = plan.pointee.columns
    for row in Int(begin)..<Int(end) {
      let at = row &* columns
      let to = run.pointee.target(0, row: row)
      for part in 1..<(plan.pointee.positionParts < 1 ? 1 : plan.pointee.positionParts) {
        addTo(to, Source(run.pointee.target(part, row: row)), columns)
      }
      if let bias = run.pointee.bias { addTo(to, bias, columns) }
      if let residual = run.pointee.residual { addTo(to, residual + at, columns) }
      if plan.pointee.activation.kind != Int32(XFER_ACTIVATION_LINEAR) { activate(to, columns, plan.pointee.activation) }
    }
  }
}

/// y += x
func addTo(_ y: Target, _ x: Source, _ count: Int) {
  var i = 0
  while i &+ lanes <= count {
    storeVector(load(Source(y + i)) + load(x + i), y + i)
    i &+= lanes
  }
  if i < count { storeVector(load(Source(y + i), first: count &- i) + load(x + i, first: count &- i), y + i, first: count &- i) }
}

private func finishPlan(_ host: Host, _ plan: OuterGemm, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  var plan = plan
  plan.divide()
  guard let k = makeKernel(host, plan, extra: aligned(plan.pieceLength &* 4), run: runOuterGemm) else { return nil }
  k.pointee.zeros = extraMemory(k).bindMemory(to: Float.self, capacity: plan.pieceLength)
  workspace?.pointee = plan.workspaceBytes
  return handle(k)
}

func prepareTransposedMatmul(_ host: Host, _ s: MatmulShape, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  var plan = OuterGemm(depth: s.m, pieces: 1, pieceLength: s.m, columns: s.n, workers: threads(host))
  plan.width = s.k
  plan.sourceWidth = s.k
  plan.kind = s.kind
  plan.transposedB = s.transposeB
  plan.hasBias = s.attributes.has_bias != 0
  plan.hasResidual = s.attributes.has_residual != 0
  plan.activation = s.attributes.activation
  plan.repeats = s.repeats
  return finishPlan(host, plan, workspace)
}

/// dkernel[tap, c, o] = sum over output pixels of x[pixel of the tap, c] * dy[pixel, o].
func prepareConvBackwardKernel(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let op = ConvOp.mixing(desc) else { return nil }
  if op.isDepthwise { return prepareDepthwiseBackwardKernel(host, desc, workspace) }
  let s = op.shape
  if mergedGroups(s.groups, depth: s.channels / s.groups, columns: s.outChannels / s.groups) > 1 {
    return prepareNarrowKernelGradient(host, s, workspace)
  }
  let spans = s.groups == 1 && s.readsSpans
  var plan = OuterGemm(
    depth: s.channels, pieces: spans ? s.kernelHeight : s.taps,
    pieceLength: spans ? s.kernelWidth &* s.channels : s.channels / s.groups, columns: s.outChannels / s.groups, groups: s.groups,
    workers: threads(host))
  plan.kind = op.kind
  (plan.elementsA, plan.elementsB) = (op.read, op.written)
  plan.batch = s.batch
  plan.height = s.outHeight
  plan.width = s.outWidth
  plan.stepY = s.strideH
  plan.stepX = s.strideW
  plan.sourceHeight = s.height
  plan.sourceWidth = s.width
  plan.span = spans ? s.kernelWidth : 1
  plan.perKernelRow = spans ? 1 : s.kernelWidth
  plan.dilationY = s.dilationH
  plan.dilationX = s.dilationW
  plan.top = s.top
  plan.left = s.left
  return finishPlan(host, plan, workspace)
}
