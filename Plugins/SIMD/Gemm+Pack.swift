/// Packing: from matrices, or from rows gathered out of images, into what the register tiles read.
///
/// A tile of A is [steps][rows], exactly as high as the tile (for tile registers see Gemm+Matrix). A panel of B is [steps][panelWidth], zero beyond the
/// last column. Both are made by one of two motions: transposing rows that run along the steps, or copying
/// rows that run across them.

/// Floats that packing may write past the end of a tile, and a product of tile registers may read.
#if XFER_ISA_AMX
  let packSlack = 512
#else
  let packSlack = 16
#endif

/// out[k*stride + i] = rows[i][k] for i < count, k < length.
///
/// Works in blocks of four by four, the last group of rows first: where count is no multiple of four it writes up to three
/// floats too many, which the next group, the next step or the next tile overwrites, or the slack takes.
/// With stride > count the floats between are garbage.
@inline(never) func packTransposed<E: Element>(
  _ rows: UnsafePointer<UnsafePointer<E>>, count: Int, length: Int, stride: Int, to out: Target
) {
  let groups = (count &+ 3) / 4
  var k = 0
  while k &+ 4 <= length {
    var g = groups &- 1
    while g >= 0 {
      let i = g &* 4
      let last = count &- 1
      let a = E.loadFour(rows[i] + k)
      let b = E.loadFour(rows[i &+ 1 < count ? i &+ 1 : last] + k)
      let c = E.loadFour(rows[i &+ 2 < count ? i &+ 2 : last] + k)
      let d = E.loadFour(rows[i &+ 3 < count ? i &+ 3 : last] + k)
      let to = out + (k &* stride &+ i)
      storeQuad(SIMD4(a[0], b[0], c[0], d[0]), to)
      storeQuad(SIMD4(a[1], b[1], c[1], d[1]), to + stride)
      storeQuad(SIMD4(a[2], b[2], c[2], d[2]), to + 2 &* stride)
      storeQuad(SIMD4(a[3], b[3], c[3], d[3]), to + 3 &* stride)
      g &-= 1
    }
    k &+= 4
  }
  while k < length {
    for i in 0..<count { out[k &* stride &+ i] = rows[i][k].float }
    k &+= 1
  }
}

@inline(__always) func storeQuad(_ v: SIMD4<Float>, _ p: Target) {
  UnsafeMutableRawPointer(p).storeBytes(of: v, as: SIMD4<Float>.self)
}

/// out[k*width + i] = rows[k][column + i] for i < width <= maxTileRows: a tile of A whose rows lie across.
@inline(never) func packAcross<E: Element>(
  _ rows: UnsafePointer<UnsafePointer<E>>, column: Int, count: Int, width: Int, to out: Target
) {
  var to = out
  for k in 0..<count {
    let from = rows[k] + column
    var i = 0
    while i &+ lanes <= width {
      storeVector(load(from + i), to + i)
      i &+= lanes
    }
    if i < width { storeVector(load(from + i, first: width &- i), to + i, first: width &- i) }
    to += width
  }
}

/// One panel of B from a row-major matrix: out[k*panelWidth + j] = b[k*stride + j], zero from `width` on.
@inline(never) func packPanelRows(_ b: Source, stride: Int, count: Int, width: Int, to out: Target) {
  var from = b
  var to = out
  if width >= panelWidth {
    for _ in 0..<count {
      storeVector(load(from), to)
      storeVector(load(from + lanes), to + lanes)
      from += stride
      to += panelWidth
    }
    return
  }
  let first = width < lanes ? width : lanes
  for _ in 0..<count {
    storeVector(load(from, first: first), to)
    storeVector(load(from + first, first: width &- first), to + lanes)
    from += stride
    to += panelWidth
  }
}

/// One panel of B from the rows of its transpose: out[k*panelWidth + j] = b[j*stride + k], zero from `width` on.
@inline(never) func packPanelTransposed(_ b: Source, stride: Int, count: Int, width: Int, to out: Target) {
  if width < panelWidth {
    for k in 0..<count {
      for j in 0..<panelWidth { out[k &* panelWidth &+ j] = j < width ? b[j &* stride &+ k] : 0 }
    }
    return
  }
  withUnsafeTemporaryAllocation(of: Source.self, capacity: panelWidth) { rows in
    guard let rows = rows.baseAddress else { return }
    for j in 0..<panelWidth { rows[j] = b + j &* stride }
    packTransposed(UnsafePointer(rows), count: panelWidth, length: count, stride: panelWidth, to: out)
  }
}

/// Panels of a matrix with `columns` columns.
@inline(__always) func panelCount(_ columns: Int) -> Int { (columns &+ panelWidth &- 1) / panelWidth }

/// A whole B: `taps` matrices one after another along the steps. Panels lie one after another, those of a group together, each
/// [steps][panelWidth].
struct PanelSource {
  var b: Source
  var taps = 1
  /// Floats of one tap along the summed dimension.
  var depth: Int
  /// Of one group.
  var columns: Int
  /// The matrices are [columns][depth] instead of [depth][columns].
  var transposed: Bool
  var kind = StepKind.floats
  /// Matrices side by side in one of `groups` times the row.
  var groups = 1
  /// Above 1: a panel is one register wide, of floats, and holds the columns of so many groups; see Window+Narrow.
  var merged = 1

  var steps: Int { taps &* kind.steps(depth) }
  var panels: Int { merged > 1 ? ceilDivide(groups, merged) : groups &* panelCount(columns) }
  var packedFloats: Int { panels &* steps &* (merged > 1 ? lanes : panelWidth) }

  /// The float of one step of one tap of a group's column.
  private func element(_ tap: Int, _ step: Int, _ group: Int, _ column: Int) -> Float {
    let matrix = b + tap &* depth &* columns &* groups
    return transposed
      ? matrix[column &* depth &* groups &+ group &* depth &+ step] : matrix[step &* columns &* groups &+ group &* columns &+ column]
  }

  private func packMerged(_ panel: Int, to packed: Target) {
    let to = packed + panel &* steps &* lanes
    for step in 0..<steps {
      for lane in 0..<lanes {
        let group = panel &* merged &+ lane / columns
        let isColumn = lane < merged &* columns && group < groups
        to[step &* lanes &+ lane] = isColumn ? element(step / depth, step % depth, group, lane % columns) : 0
      }
    }
  }

  func packPanel(_ panel: Int, to packed: Target) {
    if merged > 1 { return packMerged(panel, to: packed) }
    let group = panel / panelCount(columns)
    let column = panel % panelCount(columns) &* panelWidth
    let width = columns &- column < panelWidth ? columns &- column : panelWidth
    for tap in 0..<taps {
      let from = b + (tap &* depth &* columns &* groups &+ group &* (transposed ? depth : columns))
      let stride = groups &* (transposed ? depth : columns)
      let to = packed + (panel &* steps &+ tap &* kind.steps(depth)) &* panelWidth
      packPanelOfB(
        kind, from + column &* (transposed ? stride : 1), stride: stride, transposed: transposed, count: depth, width: width, to: to)
    }
  }
}
