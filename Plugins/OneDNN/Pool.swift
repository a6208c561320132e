import COneDNN
import CXfer

extension Op {
  /// An average counts what lies in the image alone.
  func poolProblem() throws(Refusal) -> Problem {
    let forward = Int(kind) == XFER_OP_POOL2D
    if forward { try validatePool(self) } else { try validatePoolBackward(self) }
    let a = attributes(xfer_pool_attributes.self)
    let (x, y) = forward ? (inputs[0], outputs[0]) : (outputs[0], inputs[inputCount - 1])
    var p = xfer_dnnl_problem()
    p.kind = Int32(XFER_DNNL_POOLING)
    p.direction = Int32(forward ? XFER_DNNL_FORWARD : XFER_DNNL_TO_SRC)
    p.algorithm = Int32(a.kind == Int32(XFER_POOL_MAX) ? XFER_DNNL_POOL_MAX : XFER_DNNL_POOL_AVERAGE)
    p.src = imageTensor(x[0], x[1], x[2], x[3])
    p.dst = imageTensor(y[0], y[1], y[2], y[3])
    p.strides = (Int64(a.stride_h), Int64(a.stride_w))
    p.window = (Int64(a.window_h), Int64(a.window_w))
    p.before = (Int64(a.pad_top), Int64(a.pad_left))
    p.after = (Int64(a.pad_bottom), Int64(a.pad_right))
    return Problem(described: p)
  }
}
