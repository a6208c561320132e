import CXfer

// Ops that move elements without looking at them serve every element type.

func validateConcat(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 1...op.inputCount, outputs: 1)
  let axis = Int(try op.expectAttributes(xfer_axis_attributes.self).axis)
  let y = op.outputs[0]
  try op.require(axis >= 0 && axis < Int(y.rank), XFER_E_INVALID_ARGUMENT, "the axis is outside the result's rank")
  var total = 0
  for i in 0..<op.inputCount {
    let x = op.inputs[i]
    var fits = x.rank == y.rank
    for other in 0..<Int(y.rank) where other != axis && x[other] != y[other] { fits = false }
    if !fits || x.dtype != y.dtype {
      throw op.refuse(x.dtype == y.dtype ? XFER_E_SHAPE : XFER_E_DTYPE) {
        $0.text("input ")
        $0.number(i)
        $0.text(" is ")
        $0.tensor(x)
        $0.text(" and cannot be part of ")
        $0.tensor(y)
        $0.text(" along axis ")
        $0.number(axis)
      }
    }
    total += x[axis]
  }
  if total != y[axis] {
    throw op.refuse(XFER_E_SHAPE) {
      $0.text("the inputs have ")
      $0.number(total)
      $0.text(" along axis ")
      $0.number(axis)
      $0.text(", the result ")
      $0.tensor(y)
      $0.text(" has ")
      $0.number(y[axis])
    }
  }
}

func concat(_ call: Call) {
  let axis = Int(call.attributes(xfer_axis_attributes.self).axis)
  let y = call.op.outputs[0]
  let size = dtypeSize(y.dtype) ?? 1
  let to = call.rawOutput(0)
  let pitch = y.product(from: axis) * size
  var outer = 1
  for i in 0..<axis { outer *= y[i] }
  var offset = 0
  for i in 0..<call.op.inputCount {
    let length = call.op.inputs[i].product(from: axis) * size
    let (from, start) = (call.raw(i), offset)
    call.op.parallel(outer, grain: max(1, elementGrain / max(1, length))) { range in
      for row in range { (to + row * pitch + start).copyMemory(from: from + row * length, byteCount: length) }
    }
    offset += length
  }
}

/// The box of `small` lies within `large`.
func validateBox(_ op: Op, large: xfer_tensor_desc, small: xfer_tensor_desc) throws(Refusal) {
  try op.expectCounts(inputs: 1, outputs: 1)
  let attributes = try op.expectAttributes(xfer_box_attributes.self)
  try op.require(large.dtype == small.dtype, XFER_E_DTYPE, "input and output have different element types")
  try op.require(large.rank == small.rank, XFER_E_SHAPE, "input and output have different ranks")
  for axis in 0..<Int(large.rank) {
    let begin = attributes.start(axis)
    if begin >= 0, begin + small[axis] <= large[axis] { continue }
    throw op.refuse(XFER_E_SHAPE) {
      $0.text("a box ")
      $0.tensor(small)
      $0.text(" that begins at ")
      $0.number(begin)
      $0.text(" of axis ")
      $0.number(axis)
      $0.text(" is not inside ")
      $0.tensor(large)
    }
  }
}

extension xfer_box_attributes {
  fileprivate func start(_ axis: Int) -> Int {
    withUnsafeBytes(of: begin) { Int($0.load(fromByteOffset: axis * 8, as: Int64.self)) }
  }
}

/// The first byte, within `large`, of row `row` (a line along the last axis) of the box.
private func place(_ row: Int, _ small: xfer_tensor_desc, _ large: xfer_tensor_desc, _ attributes: xfer_box_attributes, _ size: Int) -> Int
{
  guard small.rank > 0 else { return 0 }
  var axis = Int(small.rank) - 1
  var (rest, offset, stride) = (row, attributes.start(axis), large[axis])
  while axis > 0 {
    axis -= 1
    offset += (attributes.start(axis) + rest % small[axis]) * stride
    rest /= small[axis]
    stride *= large[axis]
  }
  return offset * size
}

func slice(_ call: Call) {
  let attributes = call.attributes(xfer_box_attributes.self)
  let (x, y) = (call.op.inputs[0], call.op.outputs[0])
  let size = dtypeSize(y.dtype) ?? 1
  let length = y.channels * size
  let (from, to) = (call.raw(0), call.rawOutput(0))
  call.op.parallel(y.rows, grain: max(1, elementGrain / max(1, length))) { range in
    for row in range { (to + row * length).copyMemory(from: from + place(row, y, x, attributes, size), byteCount: length) }
  }
}

func pad(_ call: Call) {
  let attributes = call.attributes(xfer_box_attributes.self)
  let (x, y) = (call.op.inputs[0], call.op.outputs[0])
  let size = dtypeSize(y.dtype) ?? 1
  let length = x.channels * size
  let (from, to) = (call.raw(0), call.rawOutput(0))
  let value = Number.real(Double(attributes.value))
  call.op.parallel(y.count, grain: elementGrain) { range in
    for i in range { write(value, to: to, i, y.dtype) }
  }
  guard length > 0 else { return }
  call.op.parallel(x.rows, grain: max(1, elementGrain / length)) { range in
    for row in range { (to + place(row, x, y, attributes, size)).copyMemory(from: from + row * length, byteCount: length) }
  }
}

func validatePermuteChannels(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 2, outputs: 1)
  let (x, index, y) = (op.inputs[0], op.inputs[1], op.outputs[0])
  try op.require(x.dtype == y.dtype, XFER_E_DTYPE, "input and output have different element types")
  try op.require(index.dtype == XFER_I32 && index.rank == 1, XFER_E_DTYPE, "the index is no i32 vector")
  try op.require(x.rank > 0 && x.rank == y.rank && x.rows == y.rows, XFER_E_SHAPE, "input and output differ before the last axis")
  try op.require(y.channels == index[0], XFER_E_SHAPE, "the index has not one number for each channel of the output")
}

/// An index outside the input's channels gives zero bytes: the values are known only now, and nothing may be read out of bounds.
func permuteChannels(_ call: Call) {
  let (x, y) = (call.op.inputs[0], call.op.outputs[0])
  let size = dtypeSize(x.dtype) ?? 1
  let (channels, results) = (x.channels, y.channels)
  let index = call.raw(1).assumingMemoryBound(to: Int32.self)
  let (from, to) = (call.raw(0), call.rawOutput(0))
  call.op.parallel(y.rows, grain: max(1, elementGrain / max(1, results))) { range in
    for row in range {
      for d in 0..<results {
        let source = Int(index[d])
        let target = to + (row * results + d) * size
        if source >= 0, source < channels {
          target.copyMemory(from: from + (row * channels + source) * size, byteCount: size)
        } else {
          for byte in 0..<size { target.storeBytes(of: 0, toByteOffset: byte, as: UInt8.self) }
        }
      }
    }
  }
}
