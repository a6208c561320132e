import CXfer

/// Rows of the result one task computes at a time.
private let tile = 8

extension MatmulShape {
  fileprivate var tiles: Int { batch * ((m + tile - 1) / tile) }
  fileprivate var transposeBytes: Int { transposedB ? (batch * k * n * 4 + 63) / 64 * 64 : 0 }
}

/// Room for a transposed b and for the sums of each slot.
func matmulWorkspace(_ op: Op) -> Int {
  let shape = MatmulShape(op)
  return shape.transposeBytes + op.slots(shape.tiles) * tile * shape.n * 8
}

func matmul(_ call: Call) {
  let shape = MatmulShape(call.op)
  let activation = call.attributes(xfer_matmul_attributes.self).activation
  let (a, y) = (call.input(0), call.output(0))
  let (m, n, k) = (shape.m, shape.n, shape.k)
  let bias = shape.hasBias ? call.input(2) : nil
  let residual = shape.hasResidual ? call.input(call.op.inputCount - 1) : nil
  var b = call.input(1)
  if shape.transposedB {
    // [N,K] → [K,N], so that the inner loop runs over neighbours.
    let (source, copy) = (b, call.workspace.assumingMemoryBound(to: Float.self))
    call.op.parallel(shape.batch * k, grain: max(1, elementGrain / max(n, 1))) { range in
      for row in range {
        let from = source + row / k * k * n + row % k
        for o in 0..<n { copy[row * n + o] = from[o * k] }
      }
    }
    b = UnsafePointer(copy)
  }
  let weights = b
  let scratch = (call.workspace + shape.transposeBytes).assumingMemoryBound(to: Double.self)
  let (aRow, aStep) = shape.transposedA ? (1, m) : (k, 1)
  let tilesPerMatrix = (m + tile - 1) / tile
  call.op.parallelSlots(shape.tiles) { slot, item in
    let matrix = item / tilesPerMatrix
    let first = item % tilesPerMatrix * tile
    let rows = min(tile, m - first)
    let sums = scratch + slot * tile * n
    sums.update(repeating: 0, count: rows * n)
    Accumulation(
      sums: sums, sumRow: n, rows: rows, x: a + matrix * m * k + first * aRow, xRow: aRow, xStep: aStep,
      w: weights + matrix * k * n, wStep: n, depth: k, columns: n
    ).add()
    for row in 0..<rows {
      let at = (matrix * m + first + row) * n
      finish(sums + row * n, n, bias: bias, residual: residual.map { $0 + at }, activation, into: y + at)
    }
  }
}
