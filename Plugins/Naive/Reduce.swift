import CXfer

/// Neighbouring sums a task forms together: enough to use whole cache lines.
private let block = 32

func validateReduce(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 1, outputs: 1)
  let kind = try op.expectAttributes(xfer_reduce_attributes.self).kind
  try op.require((0...2).contains(kind), XFER_E_INVALID_ARGUMENT, "the kind is unknown")
  try op.expectFloat(op.inputs[0], "x", rank: 3)
  try op.expect(op.outputs[0], "y", f32(op.inputs[0][0], op.inputs[0][2]))
}

func reduce(_ call: Call) {
  let kind = Int(call.attributes(xfer_reduce_attributes.self).kind)
  let shape = call.op.inputs[0]
  let (n, inner) = (shape[1], shape[2])
  let (x, y) = (call.input(0), call.output(0))
  let blocks = (inner + block - 1) / block
  call.op.parallel(shape[0] * blocks, grain: max(1, elementGrain / max(1, n * block))) { range in
    for item in range {
      let outer = item / blocks
      let first = item % blocks * block
      let from = x + outer * n * inner
      withSums(count: min(block, inner - first), start: kind == XFER_REDUCE_MAX ? -.infinity : 0) { sums, count in
        for i in 0..<n {
          let values = from + i * inner + first
          if kind == XFER_REDUCE_MAX {
            for j in 0..<count where Double(values[j]) > sums[j] || values[j].isNaN { sums[j] = Double(values[j]) }
          } else {
            for j in 0..<count { sums[j] += Double(values[j]) }
          }
        }
        for j in 0..<count { y[outer * inner + first + j] = Float(kind == XFER_REDUCE_MEAN ? sums[j] / Double(n) : sums[j]) }
      }
    }
  }
}

/// Calls `body` with up to 32 sums on the stack.
func withSums(count: Int, start: Double, _ body: (_ sums: UnsafeMutablePointer<Double>, _ count: Int) -> Void) {
  var storage = (SIMD16<Double>(repeating: start), SIMD16<Double>(repeating: start))
  withUnsafeMutableBytes(of: &storage) {
    if let base = $0.baseAddress { body(base.assumingMemoryBound(to: Double.self), count) }
  }
}

func validateBroadcast(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 1, outputs: 1)
  _ = try op.expectAttributes(xfer_broadcast_attributes.self)
  try op.expectFloat(op.inputs[0], "x", rank: 2)
  try op.expect(op.outputs[0], "y", f32(op.inputs[0][0], op.outputs[0][1], op.inputs[0][1]))
}

func broadcast(_ call: Call) {
  let scale = call.attributes(xfer_broadcast_attributes.self).scale
  let shape = call.op.outputs[0]
  let (n, inner) = (shape[1], shape[2])
  let (x, y) = (call.input(0), call.output(0))
  call.op.parallel(shape[0] * n, grain: max(1, elementGrain / max(1, inner))) { range in
    for row in range {
      let from = x + row / n * inner
      for i in 0..<inner { y[row * inner + i] = from[i] * scale }
    }
  }
}
