import CPluginSupport

/// A stretch of the summed dimension: `length` > 0 steps of the packed B panel from float `offset` on.
struct Segment {
  var offset: Int
  var length: Int
}

/// What happens to a tile between the last product and memory. Sums first, then the bounds.
struct Epilogue {
  /// Of C and the residual.
  var elements = ElementKind.floats
  /// Add what the output, of floats, holds: a later block of the summed dimension.
  var accumulates = false
  var clamps = false
  var low: Float = 0
  var high: Float = .infinity
  var bias: Source? = nil
}

/// One register tile: some rows by one or two registers of C, from a packed A tile and a packed B panel.
struct TileCall {
  /// [steps][rows], the steps of all segments one after another; for tile registers see Gemm+Matrix.
  var a: Source
  /// [steps][panelWidth]; segments say where.
  var b: Source
  var segments: UnsafePointer<Segment>
  var segmentCount: Int
  /// Where each row of C begins, whatever it is made of; `column` is added.
  var c: UnsafePointer<Target>
  var column: Int
  /// Where each row of the residual begins, or nil.
  var residual: UnsafePointer<Target>?
  var epilogue: Epilogue
  /// Steps are pairs of bfloat16.
  var pairs = false
  /// What is fetched while the products are made, `ahead` floats a step: a part of the B that comes next.
  var next: Source? = nil
  var ahead = 0
}

@inline(never) func runTile<T: TileRows>(_ type: T.Type, _ call: UnsafePointer<TileCall>) {
  // C comes from memory while the products are made.
  T.prefetch(call.pointee.c, 0, call.pointee.epilogue.elements == .halves ? call.pointee.column / 2 : call.pointee.column)
  var tile = T()
  var a = call.pointee.a
  var segment = call.pointee.segments
  let end = segment + call.pointee.segmentCount
  var b = call.pointee.b + segment.pointee.offset
  var left = segment.pointee.length
  var next = call.pointee.next ?? b
  let ahead = call.pointee.ahead
  // One loop over all segments: a nested one makes the compiler move the whole tile between registers and stack.
  while true {
    tile.multiplyAdd(a, T.Row.columns(b))
    a += T.count
    if T.Row.Factors.splitsPairs {
      tile.multiplyAdd(a, T.Row.oddColumns(b))
      a += T.count
    }
    b += panelWidth
    // Where tiles share a panel, several steps ask for one line: the requests meet, and memory is not asked for more at once than it gives.
    xfer_prefetch_later(next)
    next += ahead
    left &-= 1
    if left == 0 {
      segment += 1
      if segment == end { break }
      b = call.pointee.b + segment.pointee.offset
      left = segment.pointee.length
    }
  }
  finishTile(&tile, call.pointee)
}

/// From the registers to memory, by way of the epilogue.
@inline(__always) func finishTile<T: TileRows>(_ tile: inout T, _ call: TileCall) {
  if T.Row.Factors.storesHalves && call.epilogue.elements == .halves {
    finishTile(&tile, call, BFloat16.self)
  } else {
    if call.epilogue.accumulates { tile.addEach(Float.self, call.c, 0, call.column) }
    finishTile(&tile, call, Float.self)
  }
}

@inline(__always) private func finishTile<T: TileRows, E: Element>(_ tile: inout T, _ call: TileCall, _ type: E.Type) {
  let column = call.column
  if let bias = call.epilogue.bias { tile.addAll(T.Row.elements(bias + column)) }
  if let residual = call.residual { tile.addEach(type, residual, 0, column) }
  if call.epilogue.clamps { tile.clamp(splat(call.epilogue.low), splat(call.epilogue.high)) }
  tile.store(type, call.c, 0, column)
}

@inline(__always) func runTile<R: TileRow>(_ row: R.Type, rows: Int, _ call: UnsafePointer<TileCall>) {
  switch rows {
  case 1: runTile(Rows1<R>.self, call)
  case 2: runTile(Rows2<R>.self, call)
  case 3: runTile(Rows3<R>.self, call)
  case 4: runTile(Rows4<R>.self, call)
  case 5: runTile(Rows5<R>.self, call)
  #if XFER_ISA_AVX512
    case 6: runTile(Rows6<R>.self, call)
    case 7: runTile(Rows7<R>.self, call)
    case 8: runTile(Rows8<R>.self, call)
    case 9: runTile(Rows9<R>.self, call)
    case 10: runTile(Rows10<R>.self, call)
    case 11: runTile(Rows11<R>.self, call)
    case 12: runTile(Rows12<R>.self, call)
    case 13: runTile(Rows13<R>.self, call)
    default: runTile(Rows14<R>.self, call)
  #else
    default: runTile(Rows6<R>.self, call)
  #endif
  }
}

@inline(__always) private func runWideTile(rows: Int, _ call: UnsafePointer<TileCall>) {
  #if !XFER_ISA_AMX
    if call.pointee.pairs { return runTile(Row2<Pairs>.self, rows: rows, call) }
  #endif
  runTile(Row2<Floats>.self, rows: rows, call)
}

@inline(__always) private func runNarrowTile(rows: Int, _ call: UnsafePointer<TileCall>) {
  #if !XFER_ISA_AMX
    if call.pointee.pairs { return runTile(Row1<Pairs>.self, rows: rows, call) }
  #endif
  runTile(Row1<Floats>.self, rows: rows, call)
}

/// A tile with `columns` columns left to the right edge of C, which may be fewer than a panel has.
///
/// At the edge, and from tile registers, the tile goes to `spill` (rows * panelWidth floats, row pointers in `spillRows`) and is finished from there, so
/// that nothing outside C, the bias and the residual is touched.
@inline(__always) func runTile(
  rows: Int, columns: Int, _ call: UnsafeMutablePointer<TileCall>, spillRows: UnsafePointer<Target>
) {
  #if XFER_ISA_AMX
    if call.pointee.pairs { return runMatrixTile(rows: rows, columns: columns, call.pointee, spillRows: spillRows) }
  #endif
  if columns >= panelWidth { return runWideTile(rows: rows, call) }
  if columns == lanes { return runNarrowTile(rows: rows, call) }
  runEdgeTile(rows: rows, columns: columns, call, spillRows: spillRows)
}

@inline(never) func runEdgeTile(
  rows: Int, columns: Int, _ call: UnsafeMutablePointer<TileCall>, spillRows: UnsafePointer<Target>
) {
  let asked = call.pointee
  call.pointee.spill(to: spillRows)
  if columns > lanes { runWideTile(rows: rows, call) } else { runNarrowTile(rows: rows, call) }
  call.pointee = asked
  finishSpilled(rows: rows, columns: columns, asked, spillRows: spillRows)
}

extension TileCall {
  /// Sends the bare sums of the tile to `rows`.
  @inline(__always) mutating func spill(to rows: UnsafePointer<Target>) {
    c = rows
    column = 0
    residual = nil
    epilogue = Epilogue()
  }
}

/// From a spilled tile to memory, by way of the epilogue of `asked`.
func finishSpilled(rows: Int, columns: Int, _ asked: TileCall, spillRows: UnsafePointer<Target>) {
  if asked.epilogue.elements == .halves {
    finishSpilled(rows: rows, columns: columns, asked, BFloat16.self, spillRows: spillRows)
  } else {
    finishSpilled(rows: rows, columns: columns, asked, Float.self, spillRows: spillRows)
  }
}

private func finishSpilled<E: Element>(rows: Int, columns: Int, _ asked: TileCall, _ type: E.Type, spillRows: UnsafePointer<Target>) {
  for i in 0..<rows {
    let to = elements(asked.c[i], type) + asked.column
    let residual = asked.residual.map { elements(Source($0[i]), type) + asked.column }
    @inline(__always) func finish(_ j: Int, _ n: Int) {
      @inline(__always) func get<T: Element>(_ p: UnsafePointer<T>) -> Vec { n == lanes ? load(p + j) : load(p + j, first: n) }
      var v = load(Source(spillRows[i] + j))
      if asked.epilogue.accumulates { v += get(UnsafePointer(to)) }
      if let bias = asked.epilogue.bias { v += get(bias + asked.column) }
      if let residual { v += get(residual) }
      if asked.epilogue.clamps { v = clamped(v, splat(asked.epilogue.low), splat(asked.epilogue.high)) }
      if n == lanes { storeVector(v, to + j) } else { storeVector(v, to + j, first: n) }
    }
    var j = 0
    while j &+ lanes <= columns {
      finish(j, lanes)
      j &+= lanes
    }
    if j < columns { finish(j, columns &- j) }
  }
}
