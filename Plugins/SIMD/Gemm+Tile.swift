import CPluginSupport

/// Register tiles, composed by type: a tile of 14 rows is two of 7, one of 7 is 4 and 3, and so on down to one
/// row of one or two registers. Everything inlines, so a tile is nothing but named registers: no array, no
/// loop that would have to be unrolled, and every height from 1 to `maxTileRows` comes for a line.
protocol TileRow {
  associatedtype Columns
  associatedtype Factors: Product
  static func columns(_ p: Source) -> Columns
  /// As many elements as the row has columns.
  static func elements<E: Element>(_ p: UnsafePointer<E>) -> Columns
  /// Of a step that holds two: the second.
  static func oddColumns(_ p: Source) -> Columns
  init()
  mutating func multiplyAdd(_ a: Float, _ b: Columns)
  mutating func add(_ b: Columns)
  mutating func clamp(_ low: Vec, _ high: Vec)
  static func prefetch(_ c: Target)
  func store<E: Element>(_ c: UnsafeMutablePointer<E>)
}

struct Row1<Factors: Product>: TileRow {
  var c0 = Vec.zero
  @inline(__always) static func columns(_ p: Source) -> Vec { Factors.even(load(p)) }
  @inline(__always) static func elements<E: Element>(_ p: UnsafePointer<E>) -> Vec { load(p) }
  @inline(__always) static func oddColumns(_ p: Source) -> Vec { Factors.odd(load(p)) }
  @inline(__always) init() {}
  @inline(__always) mutating func multiplyAdd(_ a: Float, _ b: Vec) {
    c0 = Factors.multiplyAdd(c0, splat(a), b)
  }
  @inline(__always) mutating func add(_ b: Vec) { c0 += b }
  @inline(__always) mutating func clamp(_ low: Vec, _ high: Vec) { c0 = clamped(c0, low, high) }
  @inline(__always) static func prefetch(_ c: Target) { xfer_prefetch_write(c) }
  @inline(__always) func store<E: Element>(_ c: UnsafeMutablePointer<E>) { storeVector(c0, c) }
}

struct Row2<Factors: Product>: TileRow {
  var c0 = Vec.zero
  var c1 = Vec.zero
  @inline(__always) static func columns(_ p: Source) -> (Vec, Vec) { (Factors.even(load(p)), Factors.even(load(p + lanes))) }
  @inline(__always) static func elements<E: Element>(_ p: UnsafePointer<E>) -> (Vec, Vec) { (load(p), load(p + lanes)) }
  @inline(__always) static func oddColumns(_ p: Source) -> (Vec, Vec) { (Factors.odd(load(p)), Factors.odd(load(p + lanes))) }
  @inline(__always) init() {}
  @inline(__always) mutating func multiplyAdd(_ a: Float, _ b: (Vec, Vec)) {
    let broadcast = splat(a)
    c0 = Factors.multiplyAdd(c0, broadcast, b.0)
    c1 = Factors.multiplyAdd(c1, broadcast, b.1)
  }
  @inline(__always) mutating func add(_ b: (Vec, Vec)) {
    c0 += b.0
    c1 += b.1
  }
  @inline(__always) mutating func clamp(_ low: Vec, _ high: Vec) {
    c0 = clamped(c0, low, high)
    c1 = clamped(c1, low, high)
  }
  @inline(__always) static func prefetch(_ c: Target) {
    xfer_prefetch_write(c)
    xfer_prefetch_write(c + (2 &* lanes &- 1))
  }
  @inline(__always) func store<E: Element>(_ c: UnsafeMutablePointer<E>) {
    storeVector(c0, c)
    storeVector(c1, c + lanes)
  }
}

/// A stack of rows. `row` counts from the top of the whole tile, a constant after inlining.
protocol TileRows {
  associatedtype Row: TileRow
  static var count: Int { get }
  init()
  mutating func multiplyAdd(_ a: Source, _ b: Row.Columns)
  mutating func addEach<E: Element>(_: E.Type, _ rows: UnsafePointer<Target>, _ row: Int, _ column: Int)
  mutating func addAll(_ b: Row.Columns)
  mutating func clamp(_ low: Vec, _ high: Vec)
  static func prefetch(_ rows: UnsafePointer<Target>, _ row: Int, _ column: Int)
  func store<E: Element>(_: E.Type, _ rows: UnsafePointer<Target>, _ row: Int, _ column: Int)
}

struct One<Row: TileRow>: TileRows {
  var r = Row()
  @inline(__always) static var count: Int { 1 }
  @inline(__always) init() {}
  @inline(__always) mutating func multiplyAdd(_ a: Source, _ b: Row.Columns) { r.multiplyAdd(a.pointee, b) }
  @inline(__always) mutating func addEach<E: Element>(_ type: E.Type, _ rows: UnsafePointer<Target>, _ row: Int, _ column: Int) {
    r.add(Row.elements(elements(Source(rows[row]), type) + column))
  }
  @inline(__always) mutating func addAll(_ b: Row.Columns) { r.add(b) }
  @inline(__always) mutating func clamp(_ low: Vec, _ high: Vec) { r.clamp(low, high) }
  @inline(__always) static func prefetch(_ rows: UnsafePointer<Target>, _ row: Int, _ column: Int) {
    Row.prefetch(rows[row] + column)
  }
  @inline(__always) func store<E: Element>(_ type: E.Type, _ rows: UnsafePointer<Target>, _ row: Int, _ column: Int) {
    r.store(elements(rows[row], type) + column)
  }
}

struct Stack<Top: TileRows, Bottom: TileRows>: TileRows where Top.Row == Bottom.Row {
  typealias Row = Top.Row
  var top = Top()
  var bottom = Bottom()
  @inline(__always) static var count: Int { Top.count &+ Bottom.count }
  @inline(__always) init() {}
  @inline(__always) mutating func multiplyAdd(_ a: Source, _ b: Row.Columns) {
    top.multiplyAdd(a, b)
    bottom.multiplyAdd(a + Top.count, b)
  }
  @inline(__always) mutating func addEach<E: Element>(_ type: E.Type, _ rows: UnsafePointer<Target>, _ row: Int, _ column: Int) {
    top.addEach(type, rows, row, column)
    bottom.addEach(type, rows, row &+ Top.count, column)
  }
  @inline(__always) mutating func addAll(_ b: Row.Columns) {
    top.addAll(b)
    bottom.addAll(b)
  }
  @inline(__always) mutating func clamp(_ low: Vec, _ high: Vec) {
    top.clamp(low, high)
    bottom.clamp(low, high)
  }
  @inline(__always) static func prefetch(_ rows: UnsafePointer<Target>, _ row: Int, _ column: Int) {
    Top.prefetch(rows, row, column)
    Bottom.prefetch(rows, row &+ Top.count, column)
  }
  @inline(__always) func store<E: Element>(_ type: E.Type, _ rows: UnsafePointer<Target>, _ row: Int, _ column: Int) {
    top.store(type, rows, row, column)
    bottom.store(type, rows, row &+ Top.count, column)
  }
}

typealias Rows1<R: TileRow> = One<R>
typealias Rows2<R: TileRow> = Stack<Rows1<R>, Rows1<R>>
typealias Rows3<R: TileRow> = Stack<Rows2<R>, Rows1<R>>
typealias Rows4<R: TileRow> = Stack<Rows2<R>, Rows2<R>>
typealias Rows5<R: TileRow> = Stack<Rows4<R>, Rows1<R>>
typealias Rows6<R: TileRow> = Stack<Rows4<R>, Rows2<R>>
#if XFER_ISA_AVX512
  typealias Rows7<R: TileRow> = Stack<Rows4<R>, Rows3<R>>
  typealias Rows8<R: TileRow> = Stack<Rows4<R>, Rows4<R>>
  typealias Rows9<R: TileRow> = Stack<Rows8<R>, Rows1<R>>
  typealias Rows10<R: TileRow> = Stack<Rows8<R>, Rows2<R>>
  typealias Rows11<R: TileRow> = Stack<Rows8<R>, Rows3<R>>
  typealias Rows12<R: TileRow> = Stack<Rows8<R>, Rows4<R>>
  typealias Rows13<R: TileRow> = Stack<Rows8<R>, Rows5<R>>
  typealias Rows14<R: TileRow> = Stack<Rows8<R>, Rows6<R>>
#endif

/// Rows of the largest tile: with two registers across, what the register file holds beside B and a broadcast.
#if XFER_ISA_AVX512
  @inline(__always) var maxTileRows: Int { 14 }
#else
  @inline(__always) var maxTileRows: Int { 6 }
#endif

/// Columns of a packed panel of B.
@inline(__always) var panelWidth: Int { 2 &* lanes }
