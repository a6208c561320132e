import CXfer

extension Op {
  /// The shapes of x and y fit each other and the attributes; either may be a gradient of the same shape.
  func expectPool(x: xfer_tensor_desc, y: xfer_tensor_desc) throws(Refusal) {
    let a = try expectAttributes(xfer_pool_attributes.self)
    try require(a.kind == Int32(XFER_POOL_MAX) || a.kind == Int32(XFER_POOL_AVERAGE), XFER_E_INVALID_ARGUMENT, "the kind is unknown")
    try require(
      a.window_h > 0 && a.window_w > 0 && a.stride_h > 0 && a.stride_w > 0, XFER_E_INVALID_ARGUMENT,
      "windows and strides of at least 1 are wanted")
    // Otherwise a window could lie in the padding altogether and have no value.
    let (rows, columns) = (0..<a.window_h, 0..<a.window_w)
    try require(
      rows.contains(a.pad_top) && rows.contains(a.pad_bottom) && columns.contains(a.pad_left) && columns.contains(a.pad_right),
      XFER_E_INVALID_ARGUMENT, "padding of at least 0 and less than the window is wanted")
    try expectFloat(x, "the image", rank: 4)
    try expectFloat(y, "the result", rank: 4)
    let height = x[1] + Int(a.pad_top) + Int(a.pad_bottom) - Int(a.window_h)
    let width = x[2] + Int(a.pad_left) + Int(a.pad_right) - Int(a.window_w)
    try require(height >= 0 && width >= 0 && x[1] > 0 && x[2] > 0, XFER_E_SHAPE, "the window is larger than the padded image")
    try expect(y, "the result", f32(x[0], height / Int(a.stride_h) + 1, width / Int(a.stride_w) + 1, x[3]))
  }
}

func validatePool(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 1, outputs: 1)
  try op.expectPool(x: op.inputs[0], y: op.outputs[0])
}

func validatePoolBackward(_ op: Op) throws(Refusal) {
  let average = try op.expectAttributes(xfer_pool_attributes.self).kind == Int32(XFER_POOL_AVERAGE)
  try op.expectCounts(inputs: average ? 1 : 3, outputs: 1)
  try op.expectPool(x: op.outputs[0], y: op.inputs[op.inputCount - 1])
  if average { return }
  try op.expect(op.inputs[0], "x", op.outputs[0])
  try op.expect(op.inputs[1], "y", op.inputs[2])
}
