import CXfer

/// The numbers of a matrix product: `batch` times [m,k]·[k,n].
struct MatmulShape {
  let batch, m, n, k: Int
  let transposedA, transposedB, hasBias, hasResidual: Bool

  init(_ op: Op) {
    let attributes = op.attributes(xfer_matmul_attributes.self)
    let (a, b) = (op.inputs[0], op.inputs[1])
    let first = a.rank == 3 ? 1 : 0
    batch = first == 1 ? a[0] : 1
    transposedA = attributes.transpose_a != 0
    transposedB = attributes.transpose_b != 0
    m = a[transposedA ? first + 1 : first]
    k = a[transposedA ? first : first + 1]
    n = b[transposedB ? first : first + 1]
    hasBias = attributes.has_bias != 0
    hasResidual = attributes.has_residual != 0
  }
}

func validateMatmul(_ op: Op) throws(Refusal) {
  let attributes = try op.expectAttributes(xfer_matmul_attributes.self)
  try op.expectCounts(inputs: 2 + (attributes.has_bias != 0 ? 1 : 0) + (attributes.has_residual != 0 ? 1 : 0), outputs: 1)
  try op.expectActivation(attributes.activation)
  let rank = op.inputs[0].rank == 3 ? 3 : 2
  try op.expectFloat(op.inputs[0], "a", rank: rank)
  let shape = MatmulShape(op)
  let inner = shape.transposedB ? (shape.n, shape.k) : (shape.k, shape.n)
  let y = rank == 3 ? f32(shape.batch, shape.m, shape.n) : f32(shape.m, shape.n)
  try op.expectFloat(op.inputs[1], "b", rank: rank)
  try op.expect(op.inputs[1], "b", rank == 3 ? f32(shape.batch, inner.0, inner.1) : f32(inner.0, inner.1))
  if shape.hasBias { try op.expect(op.inputs[2], "bias", f32(shape.n)) }
  if shape.hasResidual { try op.expect(op.inputs[op.inputCount - 1], "residual", y) }
  try op.expect(op.outputs[0], "y", y)
}
