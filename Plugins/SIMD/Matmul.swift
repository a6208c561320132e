import CXfer

/// MATMUL: [M,K] x [K,N], either side transposed, with equal leading batch dimensions.
struct MatmulShape {
  var repeats = 1
  var m = 0
  var n = 0
  var k = 0
  var transposeA = false
  var transposeB = false
  var attributes: xfer_matmul_attributes
  var kind: StepKind

  init?(_ desc: Desc) {
    guard let a = desc.pointee.attributes(xfer_matmul_attributes.self)?.pointee else { return nil }
    let count = 2 + (a.has_bias != 0 ? 1 : 0) + (a.has_residual != 0 ? 1 : 0)
    guard desc.pointee.has(count, 1), desc.pointee.allFloats else { return nil }
    let left = desc.pointee.input(0)
    let right = desc.pointee.input(1)
    let y = desc.pointee.output(0)
    guard left.rank == right.rank, left.rank == y.rank, left.rank == 2 || left.rank == 3 else { return nil }
    let r = Int(left.rank)
    attributes = a
    kind = desc.pointee.steps
    transposeA = a.transpose_a != 0
    transposeB = a.transpose_b != 0
    repeats = r == 3 ? y[0] : 1
    m = y[r - 2]
    n = y[r - 1]
    k = left[transposeA ? r - 2 : r - 1]
    guard left[transposeA ? r - 1 : r - 2] == m, right[transposeB ? r - 1 : r - 2] == k,
      right[transposeB ? r - 2 : r - 1] == n, r == 2 || (left[0] == repeats && right[0] == repeats)
    else { return nil }
    if a.has_bias != 0 && !desc.pointee.input(2).isVector(n) { return nil }
    if a.has_residual != 0 && !desc.pointee.input(count - 1).isSame(y) { return nil }
  }

  /// Whether B as a constant has a packed form.
  var packs: Bool { !transposeA && repeats == 1 }
  var panels: (depth: Int, columns: Int) { (k, n) }
}

func prepareMatmul(_ host: Host, _ desc: Desc, _ workspace: UnsafeMutablePointer<Int>?) -> OpaquePointer? {
  guard let s = MatmulShape(desc) else { return nil }
  if s.transposeA { return prepareTransposedMatmul(host, s, workspace) }
  let workers = threads(host)
  var gemm = RowGemm(batch: 1, columns: s.n, steps: s.kind.steps(s.k), kind: s.kind, depth: s.k, way: desc.pointee.way)
  gemm.sourceWidth = s.m
  gemm.outWidth = s.m
  gemm.activation = s.attributes.activation
  let kernel = RowKernel(
    gemm: gemm, depth: s.k, taps: 1, transposed: s.transposeB, isPacked: desc.pointee.isPacked(1),
    hasBias: s.attributes.has_bias != 0, hasResidual: s.attributes.has_residual != 0, repeats: s.repeats,
    floatsA: s.repeats > 1 ? s.m &* s.k : 0, floatsB: s.repeats > 1 ? s.k &* s.n : 0, floatsC: s.repeats > 1 ? s.m &* s.n : 0,
    workers: workers)
  var grid = RowGrid()
  grid.width = s.m
  var tap = Tap(y: 0, x: 0, number: 0)
  return makeRowKernel(host, kernel, grid, &tap, tapLength: s.k, workspace)
}
