import CXfer

private struct PoolShape {
  let n, h, w, c, oh, ow: Int
  let kh, kw, strideH, strideW, top, left: Int
  let average: Bool

  init(x: xfer_tensor_desc, y: xfer_tensor_desc, _ a: xfer_pool_attributes) {
    (n, h, w, c) = (x[0], x[1], x[2], x[3])
    (oh, ow) = (y[1], y[2])
    (kh, kw) = (Int(a.window_h), Int(a.window_w))
    (strideH, strideW) = (Int(a.stride_h), Int(a.stride_w))
    (top, left) = (Int(a.pad_top), Int(a.pad_left))
    average = a.kind == Int32(XFER_POOL_AVERAGE)
  }

  /// The rows and columns of the image under a window.
  func rows(_ oy: Int) -> Range<Int> { max(0, oy * strideH - top)..<min(h, oy * strideH - top + kh) }
  func columns(_ ox: Int) -> Range<Int> { max(0, ox * strideW - left)..<min(w, ox * strideW - left + kw) }

  /// The windows that cover row `iy`, column `ix`.
  func windows(row iy: Int) -> ClosedRange<Int>? { covering(iy + top, kh, strideH, oh) }
  func windows(column ix: Int) -> ClosedRange<Int>? { covering(ix + left, kw, strideW, ow) }
  private func covering(_ place: Int, _ window: Int, _ stride: Int, _ count: Int) -> ClosedRange<Int>? {
    let first = place < window ? 0 : (place - window) / stride + 1
    let last = min(count - 1, place / stride)
    return first <= last ? first...last : nil
  }
}

func pool(_ call: Call) {
  let s = PoolShape(x: call.op.inputs[0], y: call.op.outputs[0], call.attributes(xfer_pool_attributes.self))
  let (x, y) = (call.input(0), call.output(0))
  call.op.parallel(s.n * s.oh, grain: 1) { range in
    for row in range {
      let image = x + row / s.oh * s.h * s.w * s.c
      let rows = s.rows(row % s.oh)
      for ox in 0..<s.ow {
        let columns = s.columns(ox)
        let to = y + (row * s.ow + ox) * s.c
        for c in 0..<s.c {
          var sum = 0.0
          var largest = -Float.infinity
          for iy in rows {
            for ix in columns {
              let value = image[(iy * s.w + ix) * s.c + c]
              sum += Double(value)
              if value > largest || value.isNaN { largest = value }
            }
          }
          to[c] = s.average ? Float(sum / Double(rows.count * columns.count)) : largest
        }
      }
    }
  }
}

/// Every input pixel gathers from the windows that cover it.
func poolBackward(_ call: Call) {
  let dyIndex = call.op.inputCount - 1
  let s = PoolShape(x: call.op.outputs[0], y: call.op.inputs[dyIndex], call.attributes(xfer_pool_attributes.self))
  let (x, y, dy, dx) = (call.input(0), call.input(min(1, dyIndex)), call.input(dyIndex), call.output(0))
  call.op.parallel(s.n * s.h, grain: 1) { range in
    for row in range {
      let (imageIndex, iy) = (row / s.h, row % s.h)
      let image = x + imageIndex * s.h * s.w * s.c
      for ix in 0..<s.w {
        let to = dx + (row * s.w + ix) * s.c
        for c in 0..<s.c {
          var sum = 0.0
          if let rows = s.windows(row: iy), let columns = s.windows(column: ix) {
            for oy in rows {
              for ox in columns {
                let at = ((imageIndex * s.oh + oy) * s.ow + ox) * s.c + c
                if s.average {
                  sum += Double(dy[at]) / Double(s.rows(oy).count * s.columns(ox).count)
                } else if isFirstMaximum(s, image, y[at], oy, ox, iy, ix, c) {
                  sum += Double(dy[at])
                }
              }
            }
          }
          to[c] = Float(sum)
        }
      }
    }
  }
}

/// Whether pixel (iy, ix) is the first of its window, in row order, that has the window's maximum.
private func isFirstMaximum(
  _ s: PoolShape, _ image: UnsafePointer<Float>, _ maximum: Float, _ oy: Int, _ ox: Int, _ iy: Int, _ ix: Int, _ c: Int
) -> Bool {
  func has(_ row: Int, _ column: Int) -> Bool {
    let value = image[(row * s.w + column) * s.c + c]
    return value == maximum || (value.isNaN && maximum.isNaN)
  }
  guard has(iy, ix) else { return false }
  let columns = s.columns(ox)
  for row in s.rows(oy).lowerBound...iy {
    for column in columns {
      if row == iy && column == ix { return true }
      if has(row, column) { return false }
    }
  }
  return true
}
