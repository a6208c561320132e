import CPluginMath
import CXfer

func validateSoftmax(_ op: Op, inputs: Int) throws(Refusal) {
  try op.expectCounts(inputs: inputs, outputs: 1)
  try op.expectFloat(op.inputs[0], inputs == 1 ? "x" : "y", rank: 3)
  if inputs == 2 { try op.expect(op.inputs[1], "dy", op.inputs[0]) }
  try op.expect(op.outputs[0], "the result", op.inputs[0])
}

/// `exp(x − max) / Σ exp(x − max)`: the maximum taken off, no exponential overflows.
func softmax(_ call: Call) {
  let (x, y) = (call.input(0), call.output(0))
  overFibres(call.op) { first, n, step in
    var largest = -Double.infinity
    for i in 0..<n { largest = max(largest, Double(x[first + i * step])) }
    var sum = 0.0
    for i in 0..<n { sum += xfer_exp(Double(x[first + i * step]) - largest) }
    for i in 0..<n { y[first + i * step] = Float(xfer_exp(Double(x[first + i * step]) - largest) / sum) }
  }
}

/// `dx = y · (dy − Σ y·dy)`.
func softmaxBackward(_ call: Call) {
  let (y, dy, dx) = (call.input(0), call.input(1), call.output(0))
  overFibres(call.op) { first, n, step in
    var dot = 0.0
    for i in 0..<n { dot += Double(y[first + i * step]) * Double(dy[first + i * step]) }
    for i in 0..<n {
      let at = first + i * step
      dx[at] = Float(Double(y[at]) * (Double(dy[at]) - dot))
    }
  }
}

/// Every line along the middle axis of [outer,n,inner]: its first element, its length, the distance of neighbours.
private func overFibres(_ op: Op, _ body: (_ first: Int, _ n: Int, _ step: Int) -> Void) {
  let shape = op.inputs[0]
  let (n, inner) = (shape[1], shape[2])
  op.parallel(shape[0] * inner, grain: max(1, 1024 / max(1, n))) { range in
    for fibre in range { body(fibre / inner * n * inner + fibre % inner, n, inner) }
  }
}
