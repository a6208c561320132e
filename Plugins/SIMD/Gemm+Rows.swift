import CPluginSupport
import CXfer

/// C[rows, columns] = epilogue(A[rows, steps] * packed B), where the rows of A are the rows of a matrix or are gathered from
/// an image: the forward convolutions and their input gradients, and every product whose A is not transposed.

/// A run of steps: `length` floats of one source pixel, times the rows of B from float `offset` of a panel on.
struct Piece {
  var y: Int
  var x: Int
  var begin: Int
  var length: Int
  var steps: Int
  var offset: Int
}

/// Where rows come from and go to: row (n, y, x) of a grid reads source pixels
/// (n, y*stepY + piece.y, x*stepX + piece.x) and writes output pixel (n, y*outStepY + outY, x*outStepX + outX).
struct RowGrid {
  var height = 1
  var width = 1
  var stepY = 1
  var stepX = 1
  var outStepY = 1
  var outStepX = 1
  var outY = 0
  var outX = 0
  /// Into the plan's tables.
  var firstPiece = 0
  var firstBlock = 0
  var blocks = 0
  /// Of all images together, and how they are divided.
  var rows = 0
  var tiles = 0
  /// rows / tiles and what is left over.
  var rowsPerTile = 0
  var rowsLeft = 0
  var rowParts = 1
  var panelParts = 1
}

struct RowGemm {
  var batch: Int
  var columns: Int
  /// All steps of B, which may be more than one grid reads.
  var steps: Int
  var kind = StepKind.floats
  /// Source image: height, width, floats of a pixel.
  var sourceHeight = 1
  var sourceWidth = 1
  var depth: Int
  /// See `RowWay`. Of a convolution in place it says nothing here.
  var way: Int
  /// Pieces span this many pixels side by side and may begin or end outside the image: for images of few channels.
  var span = 1
  var outHeight = 1
  var outWidth = 1
  var gridCount = 0
  var activation = xfer_activation()
  /// What the source is made of, and what C and the residual are.
  var read = ElementKind.floats
  var written = ElementKind.floats
  /// Tiles packed at a time.
  var tilesPerBlock = 1
  /// B is, as a rule, too large for the second level, so that panels are fetched there one ahead.
  var fetchesPanels = false
  /// In steps.
  var longestBlock = 0
  /// In floats.
  var longestPiece = 0
  var piecesPerBlock = 1
  var grids: UnsafeMutablePointer<RowGrid>! = nil
  var pieces: UnsafeMutablePointer<Piece>! = nil
  /// The first piece of each block of steps, and an end.
  var blocks: UnsafeMutablePointer<Int>! = nil
  /// longestPiece zeros: the pixels outside an image.
  var zeros: Target! = nil
  /// Rows of A are what this makes of the source: the first half of a separable convolution. `depth` is that of both.
  var depthwise: SeparableHalf? = nil

  var packedFloats: Int { panelCount(columns) &* steps &* panelWidth }
}

/// One execution.
struct RowRun {
  var host: Host
  var plan: UnsafePointer<RowGemm>
  var grid: UnsafePointer<RowGrid>
  var source: Source
  var packed: Source
  var bias: Source?
  var residual: Source?
  var output: Target
  var scratch: Scratch
  /// Kernel and bias of the first half of a separable convolution.
  var window: Source? = nil
  var windowBias: Source? = nil
  var failed = false
}

/// The parts of a worker's scratch.
private struct RowScratch {
  var panelA: Target
  var spans: Target
  var pairs: Target
  var taps: UnsafeMutablePointer<Source>
  var rows: UnsafeMutablePointer<Target>
  var residual: UnsafeMutablePointer<Target>
  var spill: UnsafeMutablePointer<Target>
  var source: UnsafeMutablePointer<Source>
  var image: UnsafeMutablePointer<Source>
  /// The first row of each tile of a block, counted from that of the block, and an end.
  var starts: UnsafeMutablePointer<Int>
  var y: UnsafeMutablePointer<Int>
  var x: UnsafeMutablePointer<Int>
  var segments: UnsafeMutablePointer<Segment>

  static func bytes(_ plan: UnsafePointer<RowGemm>) -> Int {
    let tallest = plan.pointee.kind.tallest
    let rows = plan.pointee.tilesPerBlock &* tallest
    return aligned((rows &* wordsOfA(plan) &+ packSlack) &* 4)
      &+ aligned(spanRows(plan) &* plan.pointee.longestPiece &* 4) &+ aligned(pairWords(plan) &* 4)
      &+ aligned(plan.pointee.depthwise == nil ? 0 : 2 &* mostTaps &* 8)
      &+ aligned(tallest &* panelWidth &* 4) &+ 5 &* aligned(rows &* 8) &+ 2 &* aligned(tallest &* 8)
      &+ aligned(plan.pointee.piecesPerBlock &* MemoryLayout<Segment>.stride) &+ aligned((plan.pointee.tilesPerBlock &+ 1) &* 8)
  }

  /// Of a row of the longest block.
  private static func wordsOfA(_ plan: UnsafePointer<RowGemm>) -> Int { plan.pointee.longestBlock &* plan.pointee.kind.wordsOfA }

  private static func pairWords(_ plan: UnsafePointer<RowGemm>) -> Int {
    let kind = plan.pointee.kind
    return kind == .pairs && !Pairs.splitsPairs && kind.depth == 1 ? kind.tallest &* pairPitch(plan.pointee.longestPiece) : 0
  }

  /// Rows that are put together before they are packed.
  private static func spanRows(_ plan: UnsafePointer<RowGemm>) -> Int {
    plan.pointee.span > 1 || plan.pointee.depthwise != nil ? plan.pointee.kind.tallest : 0
  }

  init(_ memory: UnsafeMutableRawPointer, _ plan: UnsafePointer<RowGemm>) {
    var p = memory
    func take<T>(_ count: Int, _: T.Type) -> UnsafeMutablePointer<T> {
      let place = p.assumingMemoryBound(to: T.self)
      p += aligned(count &* MemoryLayout<T>.stride)
      return place
    }
    let tallest = plan.pointee.kind.tallest
    let count = plan.pointee.tilesPerBlock &* tallest
    panelA = take(count &* Self.wordsOfA(plan) &+ packSlack, Float.self)
    spans = take(Self.spanRows(plan) &* plan.pointee.longestPiece, Float.self)
    pairs = take(Self.pairWords(plan), Float.self)
    taps = take(plan.pointee.depthwise == nil ? 0 : 2 &* mostTaps, Source.self)
    let tile = take(tallest &* panelWidth, Float.self)
    rows = take(count, Target.self)
    residual = take(count, Target.self)
    image = take(count, Source.self)
    y = take(count, Int.self)
    x = take(count, Int.self)
    spill = take(tallest, Target.self)
    source = take(tallest, Source.self)
    segments = take(plan.pointee.piecesPerBlock, Segment.self)
    starts = take(plan.pointee.tilesPerBlock &+ 1, Int.self)
    for i in 0..<tallest { spill[i] = tile + i &* panelWidth }
  }
}

extension RowGemm {
  /// Divides one grid's work among `threads`: the split with the shortest longest share, by a small model of what
  /// a tile, packing and the reading of B cost.
  func divide(_ grid: inout RowGrid, threads: Int) {
    grid.rows = batch &* grid.height &* grid.width
    grid.tiles = depthwise == nil ? ceilDivide(grid.rows, kind.tallest) : tilesOfWholeRows(grid)
    grid.rowsPerTile = grid.rows / grid.tiles
    grid.rowsLeft = grid.rows % grid.tiles
    let panels = panelCount(columns)
    var best = Int.max
    let least = ceilDivide(grid.tiles, 9)
    for panelParts in 1...(panels < 2 &* threads ? panels : 2 &* threads) {
      for extra in 0...threads {
        let rowParts = least &+ extra < grid.tiles ? least &+ extra : grid.tiles
        let waves = ceilDivide(rowParts &* panelParts, threads)
        let tiles = ceilDivide(grid.tiles, rowParts)
        // In units of one step of one tile: packing costs about a tenth of a panel, a panel of B read anew a fifth.
        let cost = waves &* (ceilDivide(tiles &* panels &* 10, panelParts) &+ tiles &+ 2 &* ceilDivide(panels, panelParts))
        if cost < best {
          best = cost
          grid.rowParts = rowParts
          grid.panelParts = panelParts
        }
      }
    }
    if way == RowWay.finerPieces { grid.rowParts = 2 &* grid.rowParts < grid.tiles ? 2 &* grid.rowParts : grid.tiles }
  }

  static func scratchBytes(_ plan: UnsafePointer<RowGemm>) -> Int { RowScratch.bytes(plan) }
}

extension RowRun {
  /// Runs all grids; false when a worker found no memory.
  mutating func execute() -> Bool {
    for g in 0..<plan.pointee.gridCount {
      grid = UnsafePointer(plan.pointee.grids + g)
      parallel(host, count: grid.pointee.rowParts &* grid.pointee.panelParts, grain: 1, &self) { context, begin, end, worker in
        let run = context.unsafelyUnwrapped.assumingMemoryBound(to: RowRun.self)
        guard let memory = run.pointee.scratch.take(run.pointee.host, worker) else {
          run.pointee.failed = true
          return
        }
        let scratch = RowScratch(memory, run.pointee.plan)
        beginTiles(run.pointee.plan.pointee.kind)
        for task in begin..<end { runPart(run, Int(task), scratch) }
        endTiles(run.pointee.plan.pointee.kind)
        run.pointee.scratch.giveBack(run.pointee.host, worker, memory)
      }
    }
    return !failed
  }
}

private func runPart(_ run: UnsafePointer<RowRun>, _ task: Int, _ scratch: RowScratch) {
  let plan = run.pointee.plan
  let grid = run.pointee.grid
  let rowPart = task % grid.pointee.rowParts
  let panelPart = task / grid.pointee.rowParts
  let panels = panelCount(plan.pointee.columns)
  let panelParts = grid.pointee.panelParts
  var tile = rowPart &* grid.pointee.tiles / grid.pointee.rowParts
  let endTile = (rowPart &+ 1) &* grid.pointee.tiles / grid.pointee.rowParts
  while tile < endTile {
    let count = endTile &- tile < plan.pointee.tilesPerBlock ? endTile &- tile : plan.pointee.tilesPerBlock
    let first = listTiles(grid, tile, count, scratch.starts)
    locate(run, first, scratch.starts[count], scratch)
    if grid.pointee.blocks == 0 {
      clear(
        run, scratch.starts[count], panelPart &* panels / panelParts, (panelPart &+ 1) &* panels / panelParts, scratch)
    }
    // Parts may meet within a panel: with few panels, some parts would have much more to do than others.
    let (begin, end) = (panelPart &* panels &* count / panelParts, (panelPart &+ 1) &* panels &* count / panelParts)
    for block in 0..<grid.pointee.blocks {
      let pieces = grid.pointee.firstBlock &+ block
      let steps = packBlock(run, plan.pointee.blocks[pieces], plan.pointee.blocks[pieces &+ 1], count, scratch)
      runBlock(run, block, steps, count, begin, end, scratch)
    }
    tile &+= count
  }
}

/// Where `count` tiles from `tile` on begin, and the first row of these. Tiles share the rows evenly: tile i begins at row i * rows / tiles.
private func listTiles(_ grid: UnsafePointer<RowGrid>, _ tile: Int, _ count: Int, _ starts: UnsafeMutablePointer<Int>) -> Int {
  let tiles = grid.pointee.tiles
  let first = tile &* grid.pointee.rows / tiles
  var left = tile &* grid.pointee.rows &- first &* tiles
  var start = 0
  // Summed up, not divided: for products of few steps a division a tile is much.
  for t in 0..<count {
    starts[t] = start
    start &+= grid.pointee.rowsPerTile
    left &+= grid.pointee.rowsLeft
    if left >= tiles {
      start &+= 1
      left &-= tiles
    }
  }
  starts[count] = start
  return first
}

/// Source image and corner, output and residual of each of `count` rows from `begin` on.
private func locate(_ run: UnsafePointer<RowRun>, _ begin: Int, _ count: Int, _ scratch: RowScratch) {
  let plan = run.pointee.plan
  let grid = run.pointee.grid
  let columns = plan.pointee.columns
  let perImage = grid.pointee.height &* grid.pointee.width
  var n = begin / perImage
  var y = (begin % perImage) / grid.pointee.width
  var x = begin % grid.pointee.width
  for i in 0..<count {
    let outY = y &* grid.pointee.outStepY &+ grid.pointee.outY
    let outX = x &* grid.pointee.outStepX &+ grid.pointee.outX
    let at = ((n &* plan.pointee.outHeight &+ outY) &* plan.pointee.outWidth &+ outX) &* columns
    scratch.rows[i] = place(run.pointee.output, at, plan.pointee.written)
    if let residual = run.pointee.residual { scratch.residual[i] = Target(mutating: place(residual, at, plan.pointee.written)) }
    scratch.image[i] = place(
      run.pointee.source, n &* plan.pointee.sourceHeight &* plan.pointee.sourceWidth &* plan.pointee.depth, plan.pointee.read)
    scratch.y[i] = y &* grid.pointee.stepY
    scratch.x[i] = x &* grid.pointee.stepX
    x &+= 1
    if x == grid.pointee.width {
      x = 0
      y &+= 1
      if y == grid.pointee.height {
        y = 0
        n &+= 1
      }
    }
  }
}

/// Packs `count` tiles for the pieces of a block and lists its segments of B. Returns the steps of the block.
private func packBlock(
  _ run: UnsafePointer<RowRun>, _ firstPiece: Int, _ endPiece: Int, _ count: Int, _ scratch: RowScratch
) -> Int {
  let plan = run.pointee.plan
  var steps = 0
  for p in firstPiece..<endPiece {
    scratch.segments[p &- firstPiece] = Segment(offset: plan.pointee.pieces[p].offset, length: plan.pointee.pieces[p].steps)
    steps &+= plan.pointee.pieces[p].steps
  }
  let kind = plan.pointee.kind
  for t in 0..<count {
    let begin = scratch.starts[t]
    let rows = scratch.starts[t &+ 1] &- begin
    var to = scratch.panelA + begin &* steps &* kind.wordsOfA
    for p in firstPiece..<endPiece {
      let piece = plan.pointee.pieces + p
      if plan.pointee.depthwise != nil {
        convolve(run, piece, begin, rows, scratch)
      } else {
        gather(run, piece, begin, rows, scratch)
      }
      packTile(
        kind, scratch.source, plan.pointee.read, count: rows, length: piece.pointee.length, pairs: scratch.pairs,
        pitch: pairPitch(plan.pointee.longestPiece), to: to)
      to += rows &* piece.pointee.steps &* kind.wordsOfA
    }
  }
  return steps
}

/// Where each row of a tile finds a piece: in the image, or in zeros.
@inline(__always) private func gather(
  _ run: UnsafePointer<RowRun>, _ piece: UnsafePointer<Piece>, _ begin: Int, _ rows: Int, _ scratch: RowScratch
) {
  let plan = run.pointee.plan
  let height = plan.pointee.sourceHeight
  let width = plan.pointee.sourceWidth
  let depth = plan.pointee.depth
  let span = plan.pointee.span
  let read = plan.pointee.read
  for i in 0..<rows {
    let y = scratch.y[begin &+ i] &+ piece.pointee.y
    let x = scratch.x[begin &+ i] &+ piece.pointee.x
    if y < 0 || y >= height || x >= width || x &+ span <= 0 {
      scratch.source[i] = UnsafePointer(plan.pointee.zeros)
    } else if x >= 0 && x &+ span <= width {
      scratch.source[i] = place(scratch.image[begin &+ i], (y &* width &+ x) &* depth &+ piece.pointee.begin, read)
    } else {
      // A span across the edge of the image is put together with its zeros.
      let to = scratch.spans + i &* plan.pointee.longestPiece
      let row = scratch.image[begin &+ i] + y &* width &* depth
      for s in 0..<span {
        let inside = x &+ s >= 0 && x &+ s < width
        for c in 0..<depth { to[s &* depth &+ c] = inside ? row[(x &+ s) &* depth &+ c] : 0 }
      }
      scratch.source[i] = Source(to)
    }
  }
}

/// Rows of a tile from the first half of a separable convolution, which so never goes to memory.
private func convolve(
  _ run: UnsafePointer<RowRun>, _ piece: UnsafePointer<Piece>, _ begin: Int, _ rows: Int, _ scratch: RowScratch
) {
  guard let window = run.pointee.window else { return }
  let width = run.pointee.grid.pointee.width
  let length = piece.pointee.length
  let read = run.pointee.plan.pointee.read
  var i = 0
  while i < rows {
    let x = scratch.x[begin &+ i]
    let count = width &- x < rows &- i ? width &- x : rows &- i
    @inline(__always) func convolve<E: Element>(_ type: E.Type) {
      run.pointee.plan.pointee.depthwise.unsafelyUnwrapped.convolve(
        elements(scratch.image[begin &+ i], type), window, run.pointee.windowBias, row: scratch.y[begin &+ i], from: x, to: x &+ count,
        channels: piece.pointee.begin, length, elements(scratch.spans, type) + i &* length, scratch.taps)
    }
    if read == .halves { convolve(BFloat16.self) } else { convolve(Float.self) }
    i &+= count
  }
  for i in 0..<rows { scratch.source[i] = Source(place(scratch.spans, i &* length, read)) }
}

/// Multiplies `count` tiles with panels: of all pairs of them, panel after panel, those in [begin, end).
private func runBlock(
  _ run: UnsafePointer<RowRun>, _ block: Int, _ steps: Int, _ count: Int, _ begin: Int, _ end: Int, _ scratch: RowScratch
) {
  let (firstPanel, endPanel) = (begin / count, ceilDivide(end, count))
  let plan = run.pointee.plan
  let grid = run.pointee.grid
  let isLast = block &+ 1 == grid.pointee.blocks
  let activation = plan.pointee.activation
  var epilogue = Epilogue()
  epilogue.elements = plan.pointee.written
  epilogue.accumulates = block > 0
  if isLast {
    epilogue.bias = run.pointee.bias
    epilogue.clamps = isClamp(activation)
    epilogue.high = activation.max_value
  }
  let pieces = plan.pointee.blocks + (grid.pointee.firstBlock &+ block)
  var call = TileCall(
    a: scratch.panelA, b: run.pointee.packed, segments: scratch.segments, segmentCount: pieces[1] &- pieces[0],
    c: scratch.rows, column: 0, residual: nil, epilogue: epilogue, pairs: plan.pointee.kind == .pairs)
  let activates = isLast && !isClamp(activation) && activation.kind != Int32(XFER_ACTIVATION_LINEAR)
  // Rows in place are followed in memory by those of the next block: they are fetched while these are multiplied.
  let read = plan.pointee.read
  let (rows, depth) = (scratch.starts[count], plan.pointee.depth)
  let next = place(scratch.image[0], (scratch.y[0] &* plan.pointee.sourceWidth &+ scratch.x[0] &+ rows) &* depth, read)
  // As many lines as L1 has room for beside what it is busy with.
  let wanted = plan.pointee.fetchesPanels || call.segmentCount > 1 ? 0 : rows &* depth &<< read.shift / 64
  let nextLines = wanted <= 512 ? wanted : 0
  let linesPerPanel = ceilDivide(nextLines, endPanel &- firstPanel)
  for panel in firstPanel..<endPanel {
    for line in 0..<linesPerPanel { xfer_prefetch(next + ((panel &- firstPanel) &* linesPerPanel &+ line) &* 16) }
    let column = panel &* panelWidth
    let columns = plan.pointee.columns &- column
    call.b = run.pointee.packed + panel &* plan.pointee.steps &* panelWidth
    call.column = column
    let firstOfPanel = panel == firstPanel ? begin &- panel &* count : 0
    let endOfPanel = (panel &+ 1) &* count > end ? end &- panel &* count : count
    if plan.pointee.fetchesPanels {
      // After the last one come further tiles with the first.
      let following = panel &+ 1 < endPanel ? panel &+ 1 : firstPanel
      call.ahead = ceilDivide(panelWidth, endOfPanel &- firstOfPanel)
      call.next = run.pointee.packed + following &* plan.pointee.steps &* panelWidth + scratch.segments[0].offset
    }
    for t in firstOfPanel..<endOfPanel {
      let row = scratch.starts[t]
      let rows = scratch.starts[t &+ 1] &- row
      call.a = Source(scratch.panelA + row &* steps &* plan.pointee.kind.wordsOfA)
      call.c = UnsafePointer(scratch.rows + row)
      call.residual = isLast && run.pointee.residual != nil ? UnsafePointer(scratch.residual + row) : nil
      runTile(rows: rows, columns: columns, &call, spillRows: scratch.spill)
      if let fetched = call.next { call.next = fetched + call.ahead &* steps }
      if activates {
        for i in 0..<rows { activate(call.c[i] + column, columns < panelWidth ? columns : panelWidth, activation) }
      }
    }
  }
}

/// Rows that nothing reaches: the pixels between those a strided convolution without overlap has read.
private func clear(_ run: UnsafePointer<RowRun>, _ rows: Int, _ firstPanel: Int, _ endPanel: Int, _ scratch: RowScratch) {
  let columns = run.pointee.plan.pointee.columns
  let begin = firstPanel &* panelWidth
  let end = endPanel &* panelWidth < columns ? endPanel &* panelWidth : columns
  let shift = run.pointee.plan.pointee.written.shift
  for i in 0..<rows {
    (UnsafeMutableRawPointer(scratch.rows[i]) + begin &<< shift).initializeMemory(
      as: UInt8.self, repeating: 0, count: (end &- begin) &<< shift)
  }
}
