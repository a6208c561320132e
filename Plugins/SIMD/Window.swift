import CXfer

/// Convolutions whose A is read where it lies: those in groups, whose pieces of a pixel are too short to be worth packing, and those of
/// several taps, which would pack every pixel as often. Forward, and to the input.
///
/// A tile is neighbouring pixels of one row and one panel of one group's columns, or of several narrow groups' (Window+Narrow). Taps above or below the image are left out; a tile that
/// reaches over the left or right edge reads a copy of its strip of the image with the zeros in place. Every sum is one chain in the order
/// of the taps, so neither the tiles nor the division among threads show in the bits.

/// Rows of output pixels that share their taps: see RowGrid.
struct WindowGrid {
  var height = 1
  var width = 1
  var stepY = 1
  var stepX = 1
  var outStepY = 1
  var outStepX = 1
  var outY = 0
  var outX = 0
  var firstTap = 0
  var tapCount = 0
  /// The least and the largest row and column a tap reads relative to its pixel's own.
  var top = 0
  var bottom = 0
  var left = 0
  var right = 0
  /// Rows of a task, and the parts the panels of all groups are in.
  var band = 1
  var parts = 1

  func rows(_ batch: Int) -> Int { batch &* height }
  func tasks(_ batch: Int) -> Int { ceilDivide(rows(batch), band) &* parts }
}

struct WindowGemm {
  var batch: Int
  var groups: Int
  /// Channels of one group on the side that is read, and on the side that is written.
  var depth: Int
  var columns: Int
  var taps: Int
  var sourceHeight: Int
  var sourceWidth: Int
  var outHeight: Int
  var outWidth: Int
  var activation = xfer_activation()
  /// B comes as rows of [columns][depth]: the kernel of the forward op, for its gradient.
  var transposed = false
  var isPacked: Bool
  var hasBias = false
  var hasResidual = false
  var workers: Int
  var gridCount = 0
  var grids: UnsafeMutablePointer<WindowGrid>! = nil
  /// Those of all grids.
  var tapTable: UnsafeMutablePointer<Tap>! = nil
  /// Of merged groups, for each step of a tap the channel each lane takes.
  var index: UnsafeMutablePointer<Int32>! = nil

  var sourceChannels: Int { groups &* depth }
  var outChannels: Int { groups &* columns }
  /// Groups computed together; above 1 they share the lanes of one register.
  var merged = 1
  var units: Int { ceilDivide(groups, merged) }
  fileprivate var width: Int { merged > 1 ? lanes : panelWidth }
  fileprivate var panelsOfUnit: Int { merged > 1 ? 1 : panelCount(columns) }
  fileprivate var tallestTile: Int { merged > 1 ? narrowPixels : maxTileRows }
  /// Channels of a pixel that a unit reads.
  fileprivate var slice: Int { merged &* depth }

  func panels(_ kernel: Source) -> PanelSource {
    PanelSource(b: kernel, taps: taps, depth: depth, columns: columns, transposed: transposed, groups: groups, merged: merged)
  }

  /// Bytes of the tables of `grids` grids, every tap in one of them.
  func tableBytes(grids: Int) -> Int {
    aligned(grids &* MemoryLayout<WindowGrid>.stride) &+ aligned(taps &* MemoryLayout<Tap>.stride)
      &+ (merged > 1 ? aligned(depth &* lanes &* 4) : 0)
  }

  mutating func useTables(_ memory: UnsafeMutableRawPointer, grids count: Int) {
    grids = memory.bindMemory(to: WindowGrid.self, capacity: count)
    let taps = memory + aligned(count &* MemoryLayout<WindowGrid>.stride)
    tapTable = taps.bindMemory(to: Tap.self, capacity: self.taps)
    if merged == 1 { return }
    index = (taps + aligned(self.taps &* MemoryLayout<Tap>.stride)).bindMemory(to: Int32.self, capacity: depth &* lanes)
    fillLaneChannels(index, depth: depth, columns: columns, merged: merged)
  }

  /// Appends a grid whose taps stand in the table from `grid.firstTap` on.
  mutating func addGrid(_ grid: WindowGrid) {
    var grid = grid
    for t in 0..<grid.tapCount {
      let tap = tapTable[grid.firstTap &+ t]
      if t == 0 || tap.y < grid.top { grid.top = tap.y }
      if t == 0 || tap.y > grid.bottom { grid.bottom = tap.y }
      if t == 0 || tap.x < grid.left { grid.left = tap.x }
      if t == 0 || tap.x > grid.right { grid.right = tap.x }
    }
    // The source rows of a task are read once a group, and should stay in L2 meanwhile.
    let rowBytes = sourceWidth &* sourceChannels &* grid.stepY &* 4
    let rows = grid.rows(batch)
    let fit = 384 * 1024 / rowBytes
    let fair = ceilDivide(rows, 4 &* workers)
    grid.band = fit < 1 ? 1 : (fit < fair ? fit : fair)
    let wanted = ceilDivide(4 &* workers, ceilDivide(rows, grid.band))
    let panels = units &* panelsOfUnit
    grid.parts = wanted < panels ? wanted : panels
    grids[gridCount] = grid
    gridCount &+= 1
  }

  /// Pixels in a row of the strip of a tile of `rows`.
  fileprivate func stripWidth(_ grid: WindowGrid, _ rows: Int) -> Int { (rows &- 1) &* grid.stepX &+ grid.right &- grid.left &+ 1 }

  /// Floats of the largest strip of any grid.
  fileprivate var stripFloats: Int {
    var most = 0
    for g in 0..<gridCount {
      var lines = 0
      for t in 0..<grids[g].tapCount where t == 0 || tapTable[grids[g].firstTap &+ t].y != tapTable[grids[g].firstTap &+ t &- 1].y {
        lines &+= 1
      }
      let tallest = grids[g].width < tallestTile ? grids[g].width : tallestTile
      let size = lines &* stripWidth(grids[g], tallest) &* slice
      if size > most { most = size }
    }
    return most
  }

  var packedBytes: Int { isPacked ? 0 : aligned(panels(Source(bitPattern: 64).unsafelyUnwrapped).packedFloats &* 4) }
  var workspaceBytes: Int { packedBytes &+ workers &* WindowScratch.bytes(self) }
}

private struct WindowScratch {
  var strip: Target
  var rows: UnsafeMutablePointer<Target>
  var residual: UnsafeMutablePointer<Target>
  var spill: UnsafeMutablePointer<Target>
  /// Segments of A in place, and in a strip.
  var inPlace: WindowSegments
  var inStrip: WindowSegments
  /// The rows of the source that a strip has, counted from the window's own.
  var stripY: UnsafeMutablePointer<Int>
  var stripRows = 0
  /// The segments are those of a row that none of the grid's taps leaves.
  var isWhole = false

  static func bytes(_ plan: WindowGemm) -> Int {
    aligned(plan.stripFloats &* 4) &+ 3 &* aligned(maxTileRows &* 8) &+ aligned(maxTileRows &* panelWidth &* 4)
      &+ 2 &* aligned(plan.taps &* MemoryLayout<Segment>.stride) &+ 3 &* aligned(plan.taps &* 8)
  }

  init(_ memory: UnsafeMutableRawPointer, _ plan: UnsafePointer<WindowGemm>) {
    var p = memory
    func take<T>(_ count: Int, _: T.Type) -> UnsafeMutablePointer<T> {
      let place = p.assumingMemoryBound(to: T.self)
      p += aligned(count &* MemoryLayout<T>.stride)
      return place
    }
    let taps = plan.pointee.taps
    strip = take(plan.pointee.stripFloats, Float.self)
    rows = take(maxTileRows, Target.self)
    residual = take(maxTileRows, Target.self)
    spill = take(maxTileRows, Target.self)
    let tile = take(maxTileRows &* panelWidth, Float.self)
    inPlace = WindowSegments(segments: take(taps, Segment.self), offsets: take(taps, Int.self))
    inStrip = WindowSegments(segments: take(taps, Segment.self), offsets: take(taps, Int.self))
    stripY = take(taps, Int.self)
    for i in 0..<maxTileRows { spill[i] = tile + i &* panelWidth }
  }
}

private struct WindowRun {
  var host: Host
  var plan: UnsafePointer<WindowGemm>
  var grid: UnsafePointer<WindowGrid>
  var source: Source
  var packed: Source
  var bias: Source?
  var residual: Source?
  var output: Target
  var scratch: Scratch
  var failed = false
}

let runWindowGemm: Run = { kernel, inputs, outputs, workspace in
  let host = KernelHead.of(kernel).host
  let plan = UnsafePointer(payload(kernel, WindowGemm.self))
  guard let workspace else { return fail(host, XFER_E_INVALID_ARGUMENT, "the kernel was given no workspace") }
  var packed = floats(inputs[1])
  if !plan.pointee.isPacked {
    var packing = PanelPacking(source: plan.pointee.panels(packed), packed: floats(workspace))
    packing.execute(host)
    packed = Source(floats(workspace))
  }
  var run = WindowRun(
    host: host, plan: plan, grid: UnsafePointer(plan.pointee.grids), source: floats(inputs[0]), packed: packed,
    bias: plan.pointee.hasBias ? floats(inputs[2]) : nil,
    residual: plan.pointee.hasResidual ? floats(inputs[plan.pointee.hasBias ? 3 : 2]) : nil, output: floats(outputs[0]),
    scratch: Scratch(base: workspace + plan.pointee.packedBytes, bytes: WindowScratch.bytes(plan.pointee), workers: plan.pointee.workers))
  for g in 0..<plan.pointee.gridCount {
    run.grid = UnsafePointer(plan.pointee.grids + g)
    parallel(host, count: run.grid.pointee.tasks(plan.pointee.batch), grain: 1, &run) { context, begin, end, worker in
      let run = context.unsafelyUnwrapped.assumingMemoryBound(to: WindowRun.self)
      guard let memory = run.pointee.scratch.take(run.pointee.host, worker) else {
        run.pointee.failed = true
        return
      }
      var scratch = WindowScratch(memory, run.pointee.plan)
      for task in begin..<end { runTask(run, Int(task), &scratch) }
      run.pointee.scratch.giveBack(run.pointee.host, worker, memory)
    }
  }
  return run.failed ? fail(host, XFER_E_OUT_OF_MEMORY, "no memory for a worker's strip of the image") : XFER_OK
}

private func runTask(_ run: UnsafePointer<WindowRun>, _ task: Int, _ scratch: inout WindowScratch) {
  let plan = run.pointee.plan
  let grid = run.pointee.grid
  let bands = ceilDivide(grid.pointee.rows(plan.pointee.batch), grid.pointee.band)
  let first = task % bands &* grid.pointee.band
  let end = first &+ grid.pointee.band
  let rows = grid.pointee.rows(plan.pointee.batch)
  let part = task / bands
  let perUnit = plan.pointee.panelsOfUnit
  let panels = plan.pointee.units &* perUnit
  for panel in (part &* panels / grid.pointee.parts)..<((part &+ 1) &* panels / grid.pointee.parts) {
    for row in first..<(end < rows ? end : rows) { runRow(run, row, panel / perUnit, panel % perUnit, &scratch) }
  }
}

/// One row of output pixels, one panel of one unit.
private func runRow(_ run: UnsafePointer<WindowRun>, _ row: Int, _ unit: Int, _ panel: Int, _ scratch: inout WindowScratch) {
  let plan = run.pointee.plan
  let grid = run.pointee.grid
  let channels = plan.pointee.sourceChannels
  let group = unit &* plan.pointee.merged
  let (n, y) = (row / grid.pointee.height, row % grid.pointee.height)
  let origin = n &* plan.pointee.sourceHeight &+ y &* grid.pointee.stepY
  let source = run.pointee.source + (origin &* plan.pointee.sourceWidth &* channels &+ group &* plan.pointee.depth)
  let tiles = ceilDivide(grid.pointee.width, plan.pointee.tallestTile)
  let stripWidth = plan.pointee.stripWidth(grid.pointee, ceilDivide(grid.pointee.width, tiles))
  findSegments(run, y, stripWidth, &scratch)
  let outY = (n &* plan.pointee.outHeight &+ y &* grid.pointee.outStepY &+ grid.pointee.outY) &* plan.pointee.outWidth
  let pitch = grid.pointee.stepX &* channels
  // Rows 4096 bytes apart all want the same few places of L1.
  let collides = pitch &* 4 % 4096 == 0
  for tile in 0..<tiles {
    let begin = tile &* grid.pointee.width / tiles
    let rows = (tile &+ 1) &* grid.pointee.width / tiles &- begin
    let x = begin &* grid.pointee.stepX
    let last = x &+ (rows &- 1) &* grid.pointee.stepX &+ grid.pointee.right
    var place = TilePlace(a: source + x &* channels, segments: scratch.inPlace, pitch: pitch, rows: rows)
    if collides || x &+ grid.pointee.left < 0 || last >= plan.pointee.sourceWidth {
      let count = plan.pointee.stripWidth(grid.pointee, rows)
      copyStrip(run, source, unit, from: x &+ grid.pointee.left, count: count, width: stripWidth, scratch)
      place.a = Source(scratch.strip)
      place.segments = scratch.inStrip
      place.pitch = grid.pointee.stepX &* plan.pointee.slice
    }
    let outX = begin &* grid.pointee.outStepX &+ grid.pointee.outX
    let at = (outY &+ outX) &* plan.pointee.outChannels &+ group &* plan.pointee.columns
    if plan.pointee.merged > 1 {
      runMerged(run, unit, place, at)
    } else {
      runPanel(run, unit, panel, place, at, scratch)
    }
  }
}

/// What a tile reads.
private struct TilePlace {
  var a: Source
  var segments: WindowSegments
  var pitch: Int
  var rows: Int
}

/// A tile of one group's panel whose first pixel is float `at` of y.
@inline(__always) private func runPanel(
  _ run: UnsafePointer<WindowRun>, _ group: Int, _ panel: Int, _ place: TilePlace, _ at: Int, _ scratch: WindowScratch
) {
  let plan = run.pointee.plan
  let columns = plan.pointee.columns
  let column = panel &* panelWidth
  let activation = plan.pointee.activation
  var epilogue = Epilogue()
  epilogue.bias = run.pointee.bias.map { $0 + group &* columns }
  epilogue.clamps = isClamp(activation)
  epilogue.high = activation.max_value
  let step = run.pointee.grid.pointee.outStepX &* plan.pointee.outChannels
  for i in 0..<place.rows { scratch.rows[i] = run.pointee.output + (at &+ i &* step) }
  if let residual = run.pointee.residual {
    for i in 0..<place.rows { scratch.residual[i] = Target(mutating: residual + (at &+ i &* step)) }
  }
  var call = WindowCall(
    tile: TileCall(
      a: place.a, b: run.pointee.packed + (group &* panelCount(columns) &+ panel) &* plan.pointee.taps &* plan.pointee.depth &* panelWidth,
      segments: UnsafePointer(place.segments.segments), segmentCount: place.segments.count, c: UnsafePointer(scratch.rows),
      column: column, residual: run.pointee.residual == nil ? nil : UnsafePointer(scratch.residual), epilogue: epilogue),
    offsets: UnsafePointer(place.segments.offsets), pitch: place.pitch)
  runInPlace(rows: place.rows, columns: columns &- column, &call, spillRows: scratch.spill)
  if !isClamp(activation) && activation.kind != Int32(XFER_ACTIVATION_LINEAR) {
    let width = columns &- column < panelWidth ? columns &- column : panelWidth
    for i in 0..<place.rows { activate(scratch.rows[i] + column, width, activation) }
  }
}

/// The same of merged groups.
@inline(__always) private func runMerged(_ run: UnsafePointer<WindowRun>, _ unit: Int, _ place: TilePlace, _ at: Int) {
  let plan = run.pointee.plan
  let first = unit &* plan.pointee.merged
  let groups = plan.pointee.groups &- first < plan.pointee.merged ? plan.pointee.groups &- first : plan.pointee.merged
  let activation = plan.pointee.activation
  let y = run.pointee.output + at
  var call = NarrowCall(
    a: place.a, pitch: place.pitch, segments: place.segments, channels: groups &* plan.pointee.depth, depth: plan.pointee.depth,
    b: run.pointee.packed + unit &* plan.pointee.taps &* plan.pointee.depth &* lanes, index: UnsafePointer(plan.pointee.index), y: y,
    outPitch: run.pointee.grid.pointee.outStepX &* plan.pointee.outChannels, columns: groups &* plan.pointee.columns,
    epilogue: PixelEpilogue(
      bias: run.pointee.bias.map { $0 + first &* plan.pointee.columns }, residual: run.pointee.residual.map { $0 + at },
      clamps: isClamp(activation), high: activation.max_value))
  runNarrow(pixels: place.rows, &call)
  if !isClamp(activation) && activation.kind != Int32(XFER_ACTIVATION_LINEAR) {
    for i in 0..<place.rows { activate(y + i &* call.outPitch, call.columns, activation) }
  }
}

/// Lists the taps that lie within the height of the image for row `y`, and the rows of a strip. Places count from the row's own source row.
private func findSegments(_ run: UnsafePointer<WindowRun>, _ y: Int, _ stripWidth: Int, _ scratch: inout WindowScratch) {
  let plan = run.pointee.plan
  let grid = run.pointee.grid
  let height = plan.pointee.sourceHeight
  let origin = y &* grid.pointee.stepY
  let isWhole = origin &+ grid.pointee.top >= 0 && origin &+ grid.pointee.bottom < height
  if isWhole && scratch.isWhole { return }
  scratch.isWhole = isWhole
  let depth = plan.pointee.depth
  let taps = plan.pointee.tapTable + grid.pointee.firstTap
  scratch.inPlace.count = 0
  scratch.inStrip.count = 0
  scratch.stripRows = 0
  for t in 0..<grid.pointee.tapCount {
    let tap = taps[t]
    if origin &+ tap.y < 0 || origin &+ tap.y >= height { continue }
    if scratch.stripRows == 0 || scratch.stripY[scratch.stripRows &- 1] != tap.y {
      scratch.stripY[scratch.stripRows] = tap.y
      scratch.stripRows &+= 1
    }
    let segment = Segment(offset: tap.number &* depth &* plan.pointee.width, length: depth)
    scratch.inPlace.append(segment, at: (tap.y &* plan.pointee.sourceWidth &+ tap.x) &* plan.pointee.sourceChannels)
    scratch.inStrip.append(
      segment, at: ((scratch.stripRows &- 1) &* stripWidth &+ tap.x &- grid.pointee.left) &* plan.pointee.slice)
  }
}

/// Columns [first, first + count) of the strip's rows, one unit's channels of them, zero outside the image. `source` is the row's own.
private func copyStrip(
  _ run: UnsafePointer<WindowRun>, _ source: Source, _ unit: Int, from first: Int, count: Int, width: Int, _ scratch: WindowScratch
) {
  let plan = run.pointee.plan
  let slice = plan.pointee.slice
  let channels = plan.pointee.sourceChannels
  let sourceWidth = plan.pointee.sourceWidth
  // The last of merged groups may be fewer.
  let left = channels &- unit &* slice
  let copied = left < slice ? left : slice
  var begin = first < 0 ? 0 : first
  var end = first &+ count < sourceWidth ? first &+ count : sourceWidth
  if begin > end {
    begin = first
    end = first
  }
  for r in 0..<scratch.stripRows {
    let to = scratch.strip + r &* width &* slice
    let from = source + scratch.stripY[r] &* sourceWidth &* channels
    clearRun(to, (begin &- first) &* slice)
    if slice == channels {
      copyRun(from + begin &* slice, (end &- begin) &* slice, to: to + (begin &- first) &* slice)
    } else {
      for x in begin..<end { copyRun(from + x &* channels, copied, to: to + (x &- first) &* slice) }
    }
    clearRun(to + (end &- first) &* slice, (first &+ count &- end) &* slice)
  }
}

/// A copy without a call.
@inline(__always) private func copyRun(_ from: Source, _ count: Int, to: Target) {
  var i = 0
  while i &+ lanes <= count {
    storeVector(load(from + i), to + i)
    i &+= lanes
  }
  if i < count { storeVector(load(from + i, first: count &- i), to + i, first: count &- i) }
}

@inline(__always) private func clearRun(_ to: Target, _ count: Int) {
  var i = 0
  while i &+ lanes <= count {
    storeVector(Vec.zero, to + i)
    i &+= lanes
  }
  if i < count { storeVector(Vec.zero, to + i, first: count &- i) }
}
