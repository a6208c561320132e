/// Register tiles that read A where it lies: rows at equal distances, as the pixels of an image's row are.

/// Tiles whose rows of A are `pitch` floats apart.
protocol StridedRows: TileRows {
  mutating func multiplyAdd(_ a: Source, pitch: Int, _ b: Row.Columns)
}

extension One: StridedRows {
  @inline(__always) mutating func multiplyAdd(_ a: Source, pitch: Int, _ b: Row.Columns) { r.multiplyAdd(a.pointee, b) }
}

extension Stack: StridedRows where Top: StridedRows, Bottom: StridedRows {
  @inline(__always) mutating func multiplyAdd(_ a: Source, pitch: Int, _ b: Row.Columns) {
    top.multiplyAdd(a, pitch: pitch, b)
    bottom.multiplyAdd(a + Top.count &* pitch, pitch: pitch, b)
  }
}

/// Stretches of the summed dimension: each in B, and where the first row of A has it, in floats from a place of the row's own.
struct WindowSegments {
  var segments: UnsafeMutablePointer<Segment>
  var offsets: UnsafeMutablePointer<Int>
  var count = 0

  /// Appends a stretch, or lengthens the last one where both A and B go on.
  mutating func append(_ segment: Segment, at offset: Int) {
    if count > 0 {
      let last = segments[count &- 1]
      if offsets[count &- 1] &+ last.length == offset && last.offset &+ last.length &* panelWidth == segment.offset {
        segments[count &- 1].length &+= segment.length
        return
      }
    }
    segments[count] = segment
    offsets[count] = offset
    count &+= 1
  }
}

/// One register tile of neighbouring pixels.
struct WindowCall {
  /// `a` is the place the offsets count from.
  var tile: TileCall
  var offsets: UnsafePointer<Int>
  /// From one row of A to the next.
  var pitch: Int
}

/// One register tile whose steps lie anywhere, the rows of a step side by side.
struct ScatteredCall {
  /// Of one segment.
  var tile: TileCall
  /// Where each step begins; `column` is added.
  var rows: UnsafePointer<Source>
  var column: Int
}

/// A call that sums one tile, of whatever height.
protocol InPlaceCall {
  var tile: TileCall { get set }
  static func sum<T: StridedRows>(_ tile: inout T, _ call: UnsafePointer<Self>)
}

extension WindowCall: InPlaceCall {
  @inline(__always) static func sum<T: StridedRows>(_ tile: inout T, _ call: UnsafePointer<WindowCall>) {
    if call.pointee.tile.segmentCount == 0 { return }
    let pitch = call.pointee.pitch
    var segment = call.pointee.tile.segments
    var offset = call.pointee.offsets
    let end = segment + call.pointee.tile.segmentCount
    var a = call.pointee.tile.a + offset.pointee
    var b = call.pointee.tile.b + segment.pointee.offset
    var left = segment.pointee.length
    while true {
      tile.multiplyAdd(a, pitch: pitch, T.Row.columns(b))
      a += 1
      b += panelWidth
      left &-= 1
      if left == 0 {
        segment += 1
        if segment == end { break }
        offset += 1
        a = call.pointee.tile.a + offset.pointee
        b = call.pointee.tile.b + segment.pointee.offset
        left = segment.pointee.length
      }
    }
  }
}

extension ScatteredCall: InPlaceCall {
  @inline(__always) static func sum<T: StridedRows>(_ tile: inout T, _ call: UnsafePointer<ScatteredCall>) {
    var b = call.pointee.tile.b
    for k in 0..<call.pointee.tile.segments.pointee.length {
      tile.multiplyAdd(call.pointee.rows[k] + call.pointee.column, T.Row.columns(b))
      b += panelWidth
    }
  }
}

@inline(never) private func runInPlace<T: StridedRows, C: InPlaceCall>(_ type: T.Type, _ call: UnsafePointer<C>) {
  T.prefetch(call.pointee.tile.c, 0, call.pointee.tile.column)
  var tile = T()
  C.sum(&tile, call)
  finishTile(&tile, call.pointee.tile)
}

@inline(__always) private func runInPlace<R: TileRow, C: InPlaceCall>(_ row: R.Type, rows: Int, _ call: UnsafePointer<C>) {
  switch rows {
  case 1: runInPlace(Rows1<R>.self, call)
  case 2: runInPlace(Rows2<R>.self, call)
  case 3: runInPlace(Rows3<R>.self, call)
  case 4: runInPlace(Rows4<R>.self, call)
  case 5: runInPlace(Rows5<R>.self, call)
  #if XFER_ISA_AVX512
    case 6: runInPlace(Rows6<R>.self, call)
    case 7: runInPlace(Rows7<R>.self, call)
    case 8: runInPlace(Rows8<R>.self, call)
    case 9: runInPlace(Rows9<R>.self, call)
    case 10: runInPlace(Rows10<R>.self, call)
    case 11: runInPlace(Rows11<R>.self, call)
    case 12: runInPlace(Rows12<R>.self, call)
    case 13: runInPlace(Rows13<R>.self, call)
    default: runInPlace(Rows14<R>.self, call)
  #else
    default: runInPlace(Rows6<R>.self, call)
  #endif
  }
}

/// A tile with `columns` columns left to the right edge of C; see `runTile`.
@inline(__always) func runInPlace<C: InPlaceCall>(
  rows: Int, columns: Int, _ call: UnsafeMutablePointer<C>, spillRows: UnsafePointer<Target>
) {
  if columns >= panelWidth { return runInPlace(Row2<Floats>.self, rows: rows, call) }
  if columns == lanes { return runInPlace(Row1<Floats>.self, rows: rows, call) }
  let asked = call.pointee.tile
  call.pointee.tile.spill(to: spillRows)
  if columns > lanes { runInPlace(Row2<Floats>.self, rows: rows, call) } else { runInPlace(Row1<Floats>.self, rows: rows, call) }
  call.pointee.tile = asked
  finishSpilled(rows: rows, columns: columns, asked, spillRows: spillRows)
}
