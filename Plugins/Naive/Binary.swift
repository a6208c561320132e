import CPluginMath
import CXfer

func validateBinary(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 2, outputs: 1)
  let kind = try op.expectAttributes(xfer_binary_attributes.self).kind
  try op.require((0...9).contains(kind), XFER_E_INVALID_ARGUMENT, "the kind is unknown")
  let (a, b) = (op.inputs[0], op.inputs[1])
  try op.expectFloat(a, "a")
  try op.expectFloat(b, "b", rank: Int(a.rank))
  try op.expectFloat(op.outputs[0], "y", rank: Int(a.rank))
  for axis in 0..<Int(a.rank) {
    let fits = a[axis] == b[axis] || a[axis] == 1 || b[axis] == 1
    if fits && op.outputs[0][axis] == (a[axis] == 1 ? b[axis] : a[axis]) { continue }
    throw op.refuse(XFER_E_SHAPE) {
      $0.text("a is ")
      $0.tensor(a)
      $0.text(", b is ")
      $0.tensor(b)
      $0.text(", y is ")
      $0.tensor(op.outputs[0])
      $0.text(": equal sizes or 1 are wanted, and y the larger")
    }
  }
}

func binary(_ call: Call) {
  let kind = Int(call.attributes(xfer_binary_attributes.self).kind)
  let (a, b, y) = (call.op.inputs[0], call.op.inputs[1], call.op.outputs[0])
  let (pa, pb, py) = (call.input(0), call.input(1), call.output(0))
  if a.hasShape(of: b) {
    call.op.parallel(y.count, grain: elementGrain) { range in
      for i in range { py[i] = combine(pa[i], pb[i], kind) }
    }
    return
  }
  let length = y.channels
  let (stepA, stepB) = (a.channels == 1 ? 0 : 1, b.channels == 1 ? 0 : 1)
  call.op.parallel(y.rows, grain: max(1, elementGrain / max(1, length))) { range in
    for row in range {
      let (fromA, fromB, to) = (pa + place(row, y, in: a), pb + place(row, y, in: b), py + row * length)
      for i in 0..<length { to[i] = combine(fromA[i * stepA], fromB[i * stepB], kind) }
    }
  }
}

/// Where row `row` of `whole` starts in a tensor some of whose dimensions are 1.
private func place(_ row: Int, _ whole: xfer_tensor_desc, in part: xfer_tensor_desc) -> Int {
  var (rest, offset, stride) = (row, 0, part.channels)
  var axis = Int(whole.rank) - 2
  while axis >= 0 {
    if part[axis] != 1 { offset += rest % whole[axis] * stride }
    rest /= whole[axis]
    stride *= part[axis]
    axis -= 1
  }
  return offset
}

/// In Float: rounding a Double result of one of these would give the same.
private func combine(_ a: Float, _ b: Float, _ kind: Int) -> Float {
  switch kind {
  case XFER_BINARY_ADD: a + b
  case XFER_BINARY_SUBTRACT: a - b
  case XFER_BINARY_MULTIPLY: a * b
  case XFER_BINARY_DIVIDE: a / b
  case XFER_BINARY_MAXIMUM: a > b || a.isNaN ? a : b
  case XFER_BINARY_MINIMUM: a < b || a.isNaN ? a : b
  case XFER_BINARY_POWER: Float(xfer_pow(Double(a), Double(b)))
  case XFER_BINARY_EQUAL: a == b ? 1 : 0
  case XFER_BINARY_GREATER: a > b ? 1 : 0
  default: a >= b ? 1 : 0
  }
}
