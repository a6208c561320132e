import CXfer

func validateTranspose(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 1, outputs: 1)
  let attributes = try op.expectAttributes(xfer_transpose_attributes.self)
  let (x, y) = (op.inputs[0], op.outputs[0])
  try op.require(x.dtype == y.dtype, XFER_E_DTYPE, "input and output have different element types")
  try op.require(x.rank == y.rank, XFER_E_SHAPE, "input and output have different ranks")
  var seen = 0
  for axis in 0..<Int(y.rank) {
    let from = attributes.source(axis)
    try op.require(from >= 0 && from < Int(x.rank) && seen >> from & 1 == 0, XFER_E_INVALID_ARGUMENT, "the order is no permutation")
    seen |= 1 << from
    try op.require(y[axis] == x[from], XFER_E_SHAPE, "the output's sizes are not those of the input in this order")
  }
}

extension xfer_transpose_attributes {
  func source(_ axis: Int) -> Int { withUnsafeBytes(of: order) { Int($0.load(fromByteOffset: axis * 4, as: Int32.self)) } }
}

func transpose(_ call: Call) {
  let attributes = call.attributes(xfer_transpose_attributes.self)
  let (x, y) = (call.op.inputs[0], call.op.outputs[0])
  guard y.rank > 0 else { return call.rawOutput(0).copyMemory(from: call.raw(0), byteCount: dtypeSize(y.dtype) ?? 1) }
  let size = dtypeSize(y.dtype) ?? 1
  let (from, to) = (call.raw(0), call.rawOutput(0))
  let (last, length) = (Int(y.rank) - 1, y.channels)
  func stride(_ axis: Int) -> Int { x.product(from: attributes.source(axis) + 1) * size }
  let step = stride(last)
  call.op.parallel(y.rows, grain: max(1, elementGrain / max(1, length))) { range in
    for row in range {
      var (rest, offset, axis) = (row, 0, last - 1)
      while axis >= 0 {
        offset += rest % y[axis] * stride(axis)
        rest /= y[axis]
        axis -= 1
      }
      let (source, target) = (from + offset, to + row * length * size)
      if size == 4 {
        for i in 0..<length {
          target.storeBytes(of: source.loadUnaligned(fromByteOffset: i * step, as: UInt32.self), toByteOffset: i * 4, as: UInt32.self)
        }
      } else {
        for i in 0..<length { (target + i * size).copyMemory(from: source + i * step, byteCount: size) }
      }
    }
  }
}

private func validateIndexed(_ op: Op, whole: xfer_tensor_desc, picked: xfer_tensor_desc) throws(Refusal) {
  try op.expectCounts(inputs: 2, outputs: 1)
  try op.expectFloat(whole, "the table", rank: 3)
  let index = op.inputs[1]
  try op.require(index.dtype == XFER_I32 && index.rank == 1, XFER_E_DTYPE, "the index is no i32 vector")
  try op.expect(picked, "the rows", f32(whole[0], index[0], whole[2]))
}

func validateGather(_ op: Op) throws(Refusal) { try validateIndexed(op, whole: op.inputs[0], picked: op.outputs[0]) }
func validateGatherBackward(_ op: Op) throws(Refusal) { try validateIndexed(op, whole: op.outputs[0], picked: op.inputs[0]) }

func gather(_ call: Call) {
  let (x, y) = (call.op.inputs[0], call.op.outputs[0])
  let (n, m, inner) = (x[1], y[1], x[2])
  let (from, to) = (call.input(0), call.output(0))
  let index = call.raw(1).assumingMemoryBound(to: Int32.self)
  call.op.parallel(y[0] * m, grain: max(1, elementGrain / max(1, inner))) { range in
    for row in range {
      let source = Int(index[row % m])
      let target = to + row * inner
      if source >= 0, source < n {
        target.update(from: from + (row / m * n + source) * inner, count: inner)
      } else {
        target.update(repeating: .nan, count: inner)
      }
    }
  }
}

/// Tasks own columns, so that rows are summed in one order whatever the threads.
func gatherBackward(_ call: Call) {
  let (dy, dx) = (call.op.inputs[0], call.op.outputs[0])
  let (m, n, inner) = (dy[1], dx[1], dx[2])
  let (from, to) = (call.input(0), call.output(0))
  let index = call.raw(1).assumingMemoryBound(to: Int32.self)
  let width = 64
  let blocks = (inner + width - 1) / width
  call.op.parallel(dx[0] * blocks, grain: 1) { range in
    for item in range {
      let (outer, first) = (item / max(blocks, 1), item % max(blocks, 1) * width)
      let count = min(width, inner - first)
      for row in 0..<n { (to + (outer * n + row) * inner + first).update(repeating: 0, count: count) }
      for row in 0..<m {
        let target = Int(index[row])
        guard target >= 0, target < n else { continue }
        let (source, sum) = (from + (outer * m + row) * inner + first, to + (outer * n + target) * inner + first)
        for i in 0..<count { sum[i] += source[i] }
      }
    }
  }
}
