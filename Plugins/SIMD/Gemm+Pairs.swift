import CPluginSupport

/// Packing in either kind of step. With pairs of bfloat16, an odd end has 0 for its partner.

/// A tile of A from rows that run along the steps; see packTransposed.
///
/// - Parameters:
///   - rows: of `elements`; may be changed.
///   - pairs: room for `count` rows of `pitch` pairs each, where rows are rounded before they are turned.
@inline(__always) func packTile(
  _ kind: StepKind, _ rows: UnsafeMutablePointer<Source>, _ elements: ElementKind, count: Int, length: Int, pairs: Target, pitch: Int,
  to out: Target
) {
  if kind == .floats { return packTransposed(rows, count: count, length: length, stride: count, to: out) }
  #if XFER_ISA_AMX
    if elements == .halves {
      packMatrixRows(pointers(rows, BFloat16.self), count: count, length: length, to: out)
    } else {
      packMatrixRows(rows, count: count, length: length, to: out)
    }
  #elseif XFER_ISA_AVX512BF16
    // Rows of bfloat16 are pairs already, unless one is left over at their end.
    if elements == .floats || length & 1 == 1 {
      for i in 0..<count {
        let to = pairs + i &* pitch
        if elements == .halves {
          roundToPairs(rows[i], BFloat16.self, length: length, to: to)
        } else {
          roundToPairs(rows[i], Float.self, length: length, to: to)
        }
        rows[i] = Source(to)
      }
    }
    packTransposed(rows, count: count, length: kind.steps(length), stride: count, to: out)
  #else
    if elements == .halves {
      packTransposed(pointers(rows, BFloat16.self), count: count, length: length, stride: count, to: out)
    } else {
      packTransposed(rows, count: count, length: length, stride: count, to: out)
    }
    if length & 1 == 1 { (out + length &* count).update(repeating: 0, count: count) }
  #endif
}

/// Pointers to rows as what these are made of.
@inline(__always) private func pointers<E: Element>(_ rows: UnsafePointer<Source>, _: E.Type) -> UnsafePointer<UnsafePointer<E>> {
  UnsafeRawPointer(rows).assumingMemoryBound(to: UnsafePointer<E>.self)
}

#if XFER_ISA_AVX512BF16 && !XFER_ISA_AMX
  /// Writes whole registers: 8 pairs for every 16 elements begun.
  @inline(never) private func roundToPairs<E: Element>(_ row: Source, _ type: E.Type, length: Int, to out: Target) {
    let row = elements(row, type)
    var k = 0
    while k &+ lanes <= length {
      xfer_store_pairs(out + k / 2, load(row + k))
      k &+= lanes
    }
    if k < length { xfer_store_pairs(out + k / 2, load(row + k, first: length &- k)) }
  }
#endif

/// Room for the pairs of a row of `length` floats.
@inline(__always) func pairPitch(_ length: Int) -> Int { (length &+ 15) / 16 &* 8 }

/// A tile of A whose rows lie across; see packAcross.
@inline(__always) func packTileAcross(
  _ kind: StepKind, _ rows: UnsafePointer<Source>, _ elements: ElementKind, column: Int, count: Int, width: Int, to out: Target
) {
  if elements == .halves {
    packPairTileAcross(pointers(rows, BFloat16.self), column: column, count: count, width: width, to: out)
  } else if kind == .floats {
    packAcross(rows, column: column, count: count, width: width, to: out)
  } else {
    packPairTileAcross(rows, column: column, count: count, width: width, to: out)
  }
}

@inline(__always) private func packPairTileAcross<E: Element>(
  _ rows: UnsafePointer<UnsafePointer<E>>, column: Int, count: Int, width: Int, to out: Target
) {
  #if XFER_ISA_AMX
    packMatrixRowsAcross(rows, column: column, count: count, width: width, to: out)
  #elseif XFER_ISA_AVX512BF16
    packPairsAcross(rows, column: column, count: count, width: width, to: out)
  #else
    packAcross(rows, column: column, count: count, width: width, to: out)
    if count & 1 == 1 { (out + count &* width).update(repeating: 0, count: width) }
  #endif
}

#if XFER_ISA_AVX512BF16 && !XFER_ISA_AMX
  /// out[k/2*width + i] = the pair of rows[k][column + i] and rows[k+1][column + i]; width <= lanes.
  @inline(never) private func packPairsAcross<E: Element>(
    _ rows: UnsafePointer<UnsafePointer<E>>, column: Int, count: Int, width: Int, to out: Target
  ) {
    var to = out
    var k = 0
    while k < count {
      let even = load(rows[k] + column, first: width)
      let odd = k &+ 1 < count ? load(rows[k &+ 1] + column, first: width) : Vec.zero
      storeVector(E.pairs(even, odd), to, first: width)
      to += width
      k &+= 2
    }
  }
#endif

/// A panel of B from a row-major matrix or the rows of its transpose; see packPanelRows and packPanelTransposed.
@inline(__always) func packPanelOfB(
  _ kind: StepKind, _ b: Source, stride: Int, transposed: Bool, count: Int, width: Int, to out: Target
) {
  switch (kind, transposed) {
  case (.floats, false): packPanelRows(b, stride: stride, count: count, width: width, to: out)
  case (.floats, true): packPanelTransposed(b, stride: stride, count: count, width: width, to: out)
  case (.pairs, false): packPairRows(b, stride: stride, count: count, width: width, to: out)
  case (.pairs, true): packPairsTransposed(b, stride: stride, count: count, width: width, to: out)
  }
  clearMissingSteps(kind, count, to: out)
}

/// Zeros for the steps beyond the last pair that a product takes with it.
@inline(__always) private func clearMissingSteps(_ kind: StepKind, _ count: Int, to out: Target) {
  if kind.depth == 1 { return }
  let pairs = (count &+ 1) / 2
  (out + pairs &* panelWidth).update(repeating: 0, count: (kind.steps(count) &- pairs) &* panelWidth)
}

/// `b` is of bfloat16: rows of its matrix, which is not turned.
@inline(__always) func packPanelOfHalves(_ b: Source, stride: Int, count: Int, width: Int, to out: Target) {
  packPairRows(elements(b, BFloat16.self), stride: stride, count: count, width: width, to: out)
  clearMissingSteps(.pairs, count, to: out)
}

@inline(never) private func packPairRows<E: Element>(_ b: UnsafePointer<E>, stride: Int, count: Int, width: Int, to out: Target) {
  let first = width < lanes ? width : lanes
  let second = width < panelWidth ? width &- first : lanes
  var to = out
  var k = 0
  while k < count {
    let row = b + k &* stride
    let hasNext = k &+ 1 < count
    let next = row + (hasNext ? stride : 0)
    let low = hasNext ? load(next, first: first) : Vec.zero
    let high = hasNext ? load(next + first, first: second) : Vec.zero
    storeVector(E.pairs(load(row, first: first), low), to)
    storeVector(E.pairs(load(row + first, first: second), high), to + lanes)
    to += panelWidth
    k &+= 2
  }
}

/// Steps turned at a time: what fits the stack.
private var turnedSteps: Int { 8 }

@inline(never) private func packPairsTransposed(_ b: Source, stride: Int, count: Int, width: Int, to out: Target) {
  withUnsafeTemporaryAllocation(of: Float.self, capacity: turnedSteps &* panelWidth) { turned in
    guard let turned = turned.baseAddress else { return }
    var k = 0
    while k < count {
      let n = count &- k < turnedSteps ? count &- k : turnedSteps
      packPanelTransposed(b + k, stride: stride, count: n, width: width, to: turned)
      packPairRows(Source(turned), stride: panelWidth, count: n, width: panelWidth, to: out + k / 2 &* panelWidth)
      k &+= n
    }
  }
}
