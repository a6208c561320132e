import CPluginMath
import CXfer

func validateImageTransform(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 2, outputs: 1)
  let attributes = try op.expectAttributes(xfer_image_transform_attributes.self)
  try op.require((0...1).contains(attributes.interpolation), XFER_E_INVALID_ARGUMENT, "the interpolation is unknown")
  try op.require((0...3).contains(attributes.fill_mode), XFER_E_INVALID_ARGUMENT, "the fill mode is unknown")
  let (x, y) = (op.inputs[0], op.outputs[0])
  try op.expectFloat(x, "x", rank: 4)
  try op.expect(op.inputs[1], "m", f32(x[0], 8))
  try op.expect(y, "y", f32(x[0], y[1], y[2], x[3]))
  try op.require(x[1] > 0 && x[2] > 0 || y.count == 0, XFER_E_SHAPE, "an image without pixels cannot be transformed")
}

/// A position brought into the image, as TensorFlow's kernel does it.
private func inside(_ position: Double, _ length: Int, _ mode: Int) -> Double {
  let size = Double(length)
  var at = position
  switch mode {
  case XFER_FILL_REFLECT:
    if length <= 1 { return 0 }
    if at < 0 {
      if at < 2 * size { at += 2 * size * (-at / (2 * size)).rounded(.towardZero) }
      at = at < -size ? at + 2 * size : -at - 1
    } else if at > size - 1 {
      at -= 2 * size * (at / (2 * size)).rounded(.towardZero)
      if at >= size { at = 2 * size - at - 1 }
    }
  case XFER_FILL_WRAP:
    if length <= 1 { return 0 }
    if at < 0 {
      at += size * ((-at / (size - 1)).rounded(.towardZero) + 1)
    } else if at > size - 1 {
      at -= size * (at / (size - 1)).rounded(.towardZero)
    }
  case XFER_FILL_NEAREST: break
  default: return at
  }
  return min(max(at, 0), size - 1)
}

func imageTransform(_ call: Call) {
  let attributes = call.attributes(xfer_image_transform_attributes.self)
  let (x, y) = (call.op.inputs[0], call.op.outputs[0])
  let (h, w, c, oh, ow) = (x[1], x[2], x[3], y[1], y[2])
  let mode = Int(attributes.fill_mode)
  let bilinear = attributes.interpolation == Int32(XFER_INTERPOLATION_BILINEAR)
  let (from, matrices, to) = (call.input(0), call.input(1), call.output(0))
  call.op.parallel(x[0] * oh, grain: 1) { range in
    for line in range {
      let (image, row) = (line / oh, Double(line % oh))
      let (m, pixels) = (matrices + image * 8, from + image * h * w * c)
      func element(_ i: Int) -> Double { Double(m[i]) }
      /// Beyond the image is the fill value; a position that is no number is beyond it.
      func read(_ r: Double, _ q: Double, _ channel: Int) -> Double {
        guard r >= 0, q >= 0, r < Double(h), q < Double(w) else { return Double(attributes.fill_value) }
        return Double(pixels[(Int(r) * w + Int(q)) * c + channel])
      }
      for ox in 0..<ow {
        let column = Double(ox)
        let k = element(6) * column + element(7) * row + 1
        let target = to + (line * ow + ox) * c
        guard k != 0 else {
          for channel in 0..<c { target[channel] = attributes.fill_value }
          continue
        }
        let px = inside((element(0) * column + element(1) * row + element(2)) / k, w, mode)
        let py = inside((element(3) * column + element(4) * row + element(5)) / k, h, mode)
        for channel in 0..<c {
          guard bilinear else {
            target[channel] = Float(read(py.rounded(.toNearestOrAwayFromZero), px.rounded(.toNearestOrAwayFromZero), channel))
            continue
          }
          let (top, left) = (xfer_floor(py), xfer_floor(px))
          let upper = (left + 1 - px) * read(top, left, channel) + (px - left) * read(top, left + 1, channel)
          let lower = (left + 1 - px) * read(top + 1, left, channel) + (px - left) * read(top + 1, left + 1, channel)
          target[channel] = Float((top + 1 - py) * upper + (py - top) * lower)
        }
      }
    }
  }
}
