#if XFER_ISA_AMX
  import CPluginSupport

  /// Products of bfloat16 by tile registers (AMX; Intel's optimization manual, chapter 20): tiles of 32 by 32 sums, 32 products deep.
  ///
  /// A tile of A is [steps/16][rows][16 pairs] and a panel of B [steps][panelWidth], both with zeros for the steps that are missing. Rows that
  /// are missing are whatever follows in memory: their sums are computed and dropped.

  /// Pairs in a row of a tile register.
  @inline(__always) var tileDepth: Int { 16 }
  @inline(__always) var tallestMatrixTile: Int { 32 }

  /// Between these a worker has its tile registers set up.
  @inline(__always) func beginTiles(_ kind: StepKind) {
    if kind == .pairs { xfer_tiles_begin() }
  }
  @inline(__always) func endTiles(_ kind: StepKind) {
    if kind == .pairs { xfer_tiles_end() }
  }

  /// The sums go to `spillRows`, `tallestMatrixTile` rows one after another, and from there through the epilogue to C.
  func runMatrixTile(rows: Int, columns: Int, _ call: TileCall, spillRows: UnsafePointer<Target>) {
    let isTall = rows > tileDepth
    let isWide = columns > lanes
    switch (isTall, isWide) {
    case (true, true): addTiles(call, rows, 1, 1, spillRows[0])
    case (true, false): addTiles(call, rows, 1, 0, spillRows[0])
    case (false, true): addTiles(call, rows, 0, 1, spillRows[0])
    case (false, false): addTiles(call, rows, 0, 0, spillRows[0])
    }
    finishSpilled(rows: rows, columns: columns < panelWidth ? columns : panelWidth, call, spillRows: spillRows)
  }

  @inline(__always) private func addTiles(_ call: TileCall, _ rows: Int, _ tall: Int32, _ wide: Int32, _ sums: Target) {
    xfer_tiles_clear()
    var a = call.a
    for i in 0..<call.segmentCount {
      var b = call.b + call.segments[i].offset
      for _ in 0..<(call.segments[i].length / tileDepth) {
        xfer_tiles_add(a, b, tall, wide)
        a += rows &* tileDepth
        b += tileDepth &* panelWidth
      }
    }
    xfer_tiles_store(sums, tall, wide)
  }

  /// A tile of A from rows that run along the steps.
  @inline(never) func packMatrixRows<E: Element>(_ rows: UnsafePointer<UnsafePointer<E>>, count: Int, length: Int, to out: Target) {
    for i in 0..<count {
      var to = out + i &* tileDepth
      var k = 0
      while k &+ 2 &* lanes <= length {
        E.storePairs(rows[i] + k, to)
        to += count &* tileDepth
        k &+= 2 &* lanes
      }
      if k == length { continue }
      let left = length &- k
      let first = left < lanes ? left : lanes
      xfer_store_pairs(to, load(rows[i] + k, first: first))
      xfer_store_pairs(to + lanes / 2, load(rows[i] + k + first, first: left &- first))
    }
  }

  /// The same from rows that lie across: see packAcross.
  @inline(never) func packMatrixRowsAcross<E: Element>(
    _ rows: UnsafePointer<UnsafePointer<E>>, column: Int, count: Int, width: Int, to out: Target
  ) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: tileDepth &* lanes) { pairs in
      guard let pairs = pairs.baseAddress else { return }
      var to = out
      var k = 0
      while k < count {
        var i = 0
        while i < width {
          let n = width &- i < lanes ? width &- i : lanes
          for step in 0..<tileDepth {
            let (even, odd) = (k &+ 2 &* step, k &+ 2 &* step &+ 1)
            let a = even < count ? load(rows[even] + column + i, first: n) : Vec.zero
            let b = odd < count ? load(rows[odd] + column + i, first: n) : Vec.zero
            storeVector(E.pairs(a, b), pairs + step &* lanes)
          }
          xfer_turn_16(pairs)
          for row in 0..<n { storeVector(load(Source(pairs + row &* lanes)), to + (i &+ row) &* tileDepth) }
          i &+= lanes
        }
        to += width &* tileDepth
        k &+= 2 &* tileDepth
      }
    }
  }

  extension Float {
    @inline(__always) static func storePairs(_ p: Source, _ out: Target) {
      xfer_store_pairs(out, load(p))
      xfer_store_pairs(out + lanes / 2, load(p + lanes))
    }
  }

  extension BFloat16 {
    /// They are pairs already.
    @inline(__always) static func storePairs(_ p: UnsafePointer<BFloat16>, _ out: Target) {
      storeVector(UnsafeRawPointer(p).loadUnaligned(as: Vec.self), out)
    }
  }
#else
  @inline(__always) func beginTiles(_: StepKind) {}
  @inline(__always) func endTiles(_: StepKind) {}
#endif
