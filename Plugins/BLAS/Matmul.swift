import CXfer

func matmul(_ call: Call) {
  let shape = MatmulShape(call.op)
  let (m, n, k) = (shape.m, shape.n, shape.k)
  let y = call.output(0)
  for matrix in 0..<shape.batch {
    multiply(
      call.op,
      Matrix(start: call.input(0) + matrix * m * k, pitch: shape.transposedA ? m : k, transposed: shape.transposedA),
      Matrix(start: call.input(1) + matrix * k * n, pitch: shape.transposedB ? k : n, transposed: shape.transposedB),
      m: m, n: n, k: k, into: y + matrix * m * n, pitch: n)
  }
  epilogue(
    call.op, y, rows: shape.batch * m, columns: n, bias: shape.hasBias ? call.input(2) : nil,
    residual: shape.hasResidual ? call.input(call.op.inputCount - 1) : nil, call.attributes(xfer_matmul_attributes.self).activation)
}
