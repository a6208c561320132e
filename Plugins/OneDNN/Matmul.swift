import COneDNN
import CXfer

extension Op {
  /// Constant weights are left to the library's layout where they come packed; others it reads as they are, turned or not.
  func matmulProblem(_ rows: Int?, _ packed: Bool) throws(Refusal) -> Problem {
    try validateMatmul(self)
    let s = MatmulShape(self)
    let m = rows ?? s.m
    let batched = inputs[0].rank == 3
    func matrix(_ rows: Int, _ columns: Int, transposed: Bool, batch: Int) -> xfer_dnnl_tensor {
      let (down, right) = transposed ? (1, rows) : (columns, 1)
      return batched
        ? tensor([batch, rows, columns, 0, 0], [rows * columns, down, right, 0, 0], rank: 3)
        : tensor([rows, columns, 0, 0, 0], [down, right, 0, 0, 0], rank: 2)
    }
    var p = xfer_dnnl_problem()
    p.kind = Int32(XFER_DNNL_MATMUL)
    p.direction = Int32(XFER_DNNL_FORWARD)
    p.src = matrix(m, s.k, transposed: s.transposedA, batch: s.batch)
    p.dst = matrix(m, s.n, transposed: false, batch: s.batch)
    if s.hasBias { p.bias = matrix(1, s.n, transposed: false, batch: 1) }
    try setEpilogue(&p, residual: s.hasResidual, attributes(xfer_matmul_attributes.self).activation)
    let weights = matrix(s.k, s.n, transposed: s.transposedB, batch: s.batch)
    p.weights = weights
    p.weights.any = packed ? 1 : 0
    return Problem(described: p, weights: weights, weightsInput: 1)
  }
}
