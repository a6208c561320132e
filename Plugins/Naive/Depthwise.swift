import CXfer

private func shape(_ op: Op) -> ConvolutionShape {
  let attributes = op.attributes(xfer_conv_attributes.self)
  return ConvolutionShape(x: op.inputs[0], kernel: op.inputs[1], y: op.outputs[0], attributes, depthwise: true)
}

extension ConvolutionShape {
  /// Calls `body` with the number of each tap of an output pixel's window that lies inside the image, and with the pixel under it.
  @inline(__always)
  func forEachTap(
    of x: UnsafePointer<Float>, _ image: Int, _ oy: Int, _ ox: Int, _ body: (_ tap: Int, _ pixel: UnsafePointer<Float>) -> Void
  ) {
    for ky in 0..<kh {
      let iy = inputRow(oy, ky)
      guard iy >= 0, iy < h else { continue }
      for kx in 0..<kw {
        let ix = inputColumn(ox, kx)
        guard ix >= 0, ix < w else { continue }
        body(ky * kw + kx, x + ((image * h + iy) * w + ix) * c)
      }
    }
  }
}

func validateDepthwise(_ op: Op) throws(Refusal) -> Int {
  try op.expectCounts(inputs: 2...4, outputs: 1)
  let s = try op.expectConvolution(x: op.inputs[0], kernel: op.inputs[1], y: op.outputs[0], depthwise: true)
  try op.expectEpilogue(s)
  return op.slots(s.n * s.oh) * s.o * 8
}

func depthwise(_ call: Call) {
  let s = shape(call.op)
  let (x, kernel, y) = (call.input(0), call.input(1), call.output(0))
  let bias = s.hasBias ? call.input(2) : nil
  let residual = s.hasResidual ? call.input(call.op.inputCount - 1) : nil
  let scratch = call.workspace.assumingMemoryBound(to: Double.self)
  call.op.parallelSlots(s.n * s.oh) { slot, row in
    let (image, oy) = (row / s.oh, row % s.oh)
    let sums = scratch + slot * s.o
    for ox in 0..<s.ow {
      sums.update(repeating: 0, count: s.o)
      s.forEachTap(of: x, image, oy, ox) { tap, pixel in
        let weights = kernel + tap * s.o
        if s.multiplier == 1 {
          for c in 0..<s.c { sums[c] += Double(pixel[c]) * Double(weights[c]) }
        } else {
          for c in 0..<s.c {
            for m in c * s.multiplier..<(c + 1) * s.multiplier { sums[m] += Double(pixel[c]) * Double(weights[m]) }
          }
        }
      }
      let at = (row * s.ow + ox) * s.o
      finish(sums, s.o, bias: bias, residual: residual.map { $0 + at }, s.activation, into: y + at)
    }
  }
}

private func inputGradientShape(_ op: Op) -> ConvolutionShape {
  let attributes = op.attributes(xfer_conv_attributes.self)
  return ConvolutionShape(x: op.outputs[0], kernel: op.inputs[1], y: op.inputs[0], attributes, depthwise: true)
}

func validateDepthwiseBackwardInput(_ op: Op) throws(Refusal) -> Int {
  try op.expectCounts(inputs: 2, outputs: 1)
  let s = try op.expectConvolution(x: op.outputs[0], kernel: op.inputs[1], y: op.inputs[0], depthwise: true)
  return op.slots(s.n * s.h) * s.c * 8
}

/// Every input pixel gathers from the output pixels that read it.
func depthwiseBackwardInput(_ call: Call) {
  let s = inputGradientShape(call.op)
  let (dy, kernel, dx) = (call.input(0), call.input(1), call.output(0))
  let scratch = call.workspace.assumingMemoryBound(to: Double.self)
  call.op.parallelSlots(s.n * s.h) { slot, row in
    let (image, iy) = (row / s.h, row % s.h)
    let sums = scratch + slot * s.c
    for ix in 0..<s.w {
      sums.update(repeating: 0, count: s.c)
      for ky in 0..<s.kh {
        guard let oy = s.outputRow(iy, ky) else { continue }
        for kx in 0..<s.kw {
          for ox in s.outputColumns(reading: ix..<ix + 1, kx) {
            let pixel = dy + ((image * s.oh + oy) * s.ow + ox) * s.o
            let weights = kernel + (ky * s.kw + kx) * s.o
            if s.multiplier == 1 {
              for c in 0..<s.c { sums[c] += Double(pixel[c]) * Double(weights[c]) }
            } else {
              for c in 0..<s.c {
                for m in c * s.multiplier..<(c + 1) * s.multiplier { sums[c] += Double(pixel[m]) * Double(weights[m]) }
              }
            }
          }
        }
      }
      let to = dx + (row * s.w + ix) * s.c
      for c in 0..<s.c { to[c] = Float(sums[c]) }
    }
  }
}

private func kernelGradientShape(_ op: Op) -> ConvolutionShape {
  let attributes = op.attributes(xfer_conv_attributes.self)
  return ConvolutionShape(x: op.inputs[0], kernel: op.outputs[0], y: op.inputs[1], attributes, depthwise: true)
}

func validateDepthwiseBackwardKernel(_ op: Op) throws(Refusal) -> Int {
  try op.expectCounts(inputs: 2, outputs: 1)
  let s = try op.expectConvolution(x: op.inputs[0], kernel: op.outputs[0], y: op.inputs[1], depthwise: true)
  return op.slots(s.kh * s.kw) * s.o * 8
}

/// One kernel tap a task: `dkernel[ky,kx,c,m] = Σ_n,oy,ox x[iy,ix,c] · dy[oy,ox,c·mult+m]`.
func depthwiseBackwardKernel(_ call: Call) {
  let s = kernelGradientShape(call.op)
  let (x, dy, dkernel) = (call.input(0), call.input(1), call.output(0))
  let scratch = call.workspace.assumingMemoryBound(to: Double.self)
  call.op.parallelSlots(s.kh * s.kw) { slot, tap in
    let (ky, kx) = (tap / s.kw, tap % s.kw)
    let sums = scratch + slot * s.o
    sums.update(repeating: 0, count: s.o)
    for row in 0..<s.n * s.oh {
      let iy = s.inputRow(row % s.oh, ky)
      guard iy >= 0, iy < s.h else { continue }
      for ox in s.columns(0..<s.ow, kx) {
        let pixel = x + ((row / s.oh * s.h + iy) * s.w + s.inputColumn(ox, kx)) * s.c
        let gradient = dy + (row * s.ow + ox) * s.o
        if s.multiplier == 1 {
          for c in 0..<s.c { sums[c] += Double(pixel[c]) * Double(gradient[c]) }
        } else {
          for c in 0..<s.c {
            for m in c * s.multiplier..<(c + 1) * s.multiplier { sums[m] += Double(pixel[c]) * Double(gradient[m]) }
          }
        }
      }
    }
    for o in 0..<s.o { dkernel[tap * s.o + o] = Float(sums[o]) }
  }
}
