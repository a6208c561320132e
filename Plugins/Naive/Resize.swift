import CPluginMath
import CXfer

func validateResize(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 1, outputs: 1)
  let (x, y) = (op.inputs[0], op.outputs[0])
  if x.dtype != XFER_U8 { try op.expectFloat(x, "x", rank: 4) }
  try op.require(x.rank == 4, XFER_E_SHAPE, "x has not rank 4")
  try op.expectFloat(y, "y", rank: 4)
  try op.require(x[1] > 0 && x[2] > 0 || y.count == 0, XFER_E_SHAPE, "an image without pixels cannot be resized")
  try op.expect(y, "y", f32(x[0], y[1], y[2], x[3]))
}

/// The two source positions an output position lies between, and how far it is from the first.
private struct Neighbours {
  let low, high: Int
  let fraction: Double

  init(_ position: Int, from size: Int, to result: Int) {
    let centre = (Double(position) + 0.5) * Double(size) / Double(result) - 0.5
    let floor = xfer_floor(centre)
    low = min(max(Int(floor), 0), size - 1)
    high = min(max(Int(floor) + 1, 0), size - 1)
    fraction = centre - floor
  }
}

func resizeBilinear(_ call: Call) {
  let (x, y) = (call.op.inputs[0], call.op.outputs[0])
  let (h, w, c, oh, ow) = (x[1], x[2], x[3], y[1], y[2])
  let bytes = x.dtype == XFER_U8
  let (from, to) = (call.raw(0), call.output(0))
  func pixel(_ index: Int) -> Double {
    bytes ? Double(from.load(fromByteOffset: index, as: UInt8.self)) : Double(from.load(fromByteOffset: index * 4, as: Float.self))
  }
  call.op.parallel(x[0] * oh, grain: 1) { range in
    for row in range {
      let vertical = Neighbours(row % oh, from: h, to: oh)
      let (top, bottom) = ((row / oh * h + vertical.low) * w, (row / oh * h + vertical.high) * w)
      for ox in 0..<ow {
        let horizontal = Neighbours(ox, from: w, to: ow)
        for channel in 0..<c {
          let a = pixel((top + horizontal.low) * c + channel)
          let b = pixel((top + horizontal.high) * c + channel)
          let d = pixel((bottom + horizontal.low) * c + channel)
          let e = pixel((bottom + horizontal.high) * c + channel)
          let upper = a + (b - a) * horizontal.fraction
          let lower = d + (e - d) * horizontal.fraction
          to[(row * ow + ox) * c + channel] = Float(upper + (lower - upper) * vertical.fraction)
        }
      }
    }
  }
}
