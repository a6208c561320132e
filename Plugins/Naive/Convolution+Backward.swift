import CXfer

/// Input pixels of one row, or input channels, that one task computes at a time.
private let tile = 16

private func inputGradientShape(_ op: Op) -> ConvolutionShape {
  let attributes = op.attributes(xfer_conv_attributes.self)
  return ConvolutionShape(x: op.outputs[0], kernel: op.inputs[1], y: op.inputs[0], attributes, depthwise: false)
}

private func inputItems(_ s: ConvolutionShape) -> Int { s.n * s.h * ((s.w + tile - 1) / tile) * s.groups }
private func kernelBytes(_ s: ConvolutionShape) -> Int { (s.kh * s.kw * s.groupInput * s.o * 4 + 63) / 64 * 64 }

func validateConvolutionBackwardInput(_ op: Op) throws(Refusal) -> Int {
  try op.expectCounts(inputs: 2, outputs: 1)
  let s = try op.expectConvolution(x: op.outputs[0], kernel: op.inputs[1], y: op.inputs[0], depthwise: false)
  return kernelBytes(s) + op.slots(inputItems(s)) * tile * s.groupInput * 8
}

/// Every input pixel gathers from the output pixels that read it: `dx[iy,ix,c] = Σ_ky,kx,o dy[oy,ox,o] · kernel[ky,kx,c,o]`.
func convolutionBackwardInput(_ call: Call) {
  let s = inputGradientShape(call.op)
  let (dy, kernel, dx) = (call.input(0), call.input(1), call.output(0))
  let (inner, outer) = (s.groupInput, s.groupOutput)
  // [tap][c][group][o] → [tap][group][o][c], so that the inner loop runs over neighbours.
  let turned = call.workspace.assumingMemoryBound(to: Float.self)
  call.op.parallel(s.kh * s.kw * s.o, grain: max(1, elementGrain / max(inner, 1))) { range in
    for row in range {
      let (tap, o) = (row / s.o, row % s.o)
      for c in 0..<inner { turned[row * inner + c] = kernel[(tap * inner + c) * s.o + o] }
    }
  }
  let tiles = (s.w + tile - 1) / tile
  let scratch = (call.workspace + kernelBytes(s)).assumingMemoryBound(to: Double.self)
  let plain = xfer_activation(kind: Int32(XFER_ACTIVATION_LINEAR), alpha: 0, max_value: .infinity, threshold: 0)
  call.op.parallelSlots(inputItems(s)) { slot, item in
    let group = item % s.groups
    let first = item / s.groups % tiles * tile
    let row = item / s.groups / tiles
    let (image, iy) = (row / s.h, row % s.h)
    let pixels = first..<min(first + tile, s.w)
    let sums = scratch + slot * tile * inner
    sums.update(repeating: 0, count: pixels.count * inner)
    for ky in 0..<s.kh {
      guard let oy = s.outputRow(iy, ky) else { continue }
      for kx in 0..<s.kw {
        let reading = s.outputColumns(reading: pixels, kx)
        if reading.isEmpty { continue }
        Accumulation(
          sums: sums + (s.inputColumn(reading.lowerBound, kx) - first) * inner, sumRow: s.strideW * inner, rows: reading.count,
          x: dy + ((image * s.oh + oy) * s.ow + reading.lowerBound) * s.o + group * outer, xRow: s.o, xStep: 1,
          w: turned + ((ky * s.kw + kx) * s.o + group * outer) * inner, wStep: inner, depth: outer, columns: inner
        ).add()
      }
    }
    for ix in pixels {
      finish(
        sums + (ix - first) * inner, inner, bias: nil, residual: nil, plain, into: dx + (row * s.w + ix) * s.c + group * inner)
    }
  }
}

private func kernelGradientShape(_ op: Op) -> ConvolutionShape {
  let attributes = op.attributes(xfer_conv_attributes.self)
  return ConvolutionShape(x: op.inputs[0], kernel: op.outputs[0], y: op.inputs[1], attributes, depthwise: false)
}

private func kernelItems(_ s: ConvolutionShape) -> Int { s.kh * s.kw * s.groups * ((s.groupInput + tile - 1) / tile) }

func validateConvolutionBackwardKernel(_ op: Op) throws(Refusal) -> Int {
  try op.expectCounts(inputs: 2, outputs: 1)
  let s = try op.expectConvolution(x: op.inputs[0], kernel: op.outputs[0], y: op.inputs[1], depthwise: false)
  return op.slots(kernelItems(s)) * tile * s.groupOutput * 8
}

/// `dkernel[ky,kx,c,o] = Σ_n,oy,ox x[iy,ix,c] · dy[oy,ox,o]`: one kernel tap and some input channels a task.
func convolutionBackwardKernel(_ call: Call) {
  let s = kernelGradientShape(call.op)
  let (x, dy, dkernel) = (call.input(0), call.input(1), call.output(0))
  let (inner, outer) = (s.groupInput, s.groupOutput)
  let tiles = (inner + tile - 1) / tile
  let scratch = call.workspace.assumingMemoryBound(to: Double.self)
  call.op.parallelSlots(kernelItems(s)) { slot, item in
    let first = item % tiles * tile
    let group = item / tiles % s.groups
    let tap = item / tiles / s.groups
    let (ky, kx) = (tap / s.kw, tap % s.kw)
    let channels = min(tile, inner - first)
    let sums = scratch + slot * tile * outer
    sums.update(repeating: 0, count: channels * outer)
    let inside = s.columns(0..<s.ow, kx)
    for row in 0..<s.n * s.oh where !inside.isEmpty {
      let iy = s.inputRow(row % s.oh, ky)
      guard iy >= 0, iy < s.h else { continue }
      let pixel = (row / s.oh * s.h + iy) * s.w + s.inputColumn(inside.lowerBound, kx)
      Accumulation(
        sums: sums, sumRow: outer, rows: channels, x: x + pixel * s.c + group * inner + first, xRow: 1, xStep: s.strideW * s.c,
        w: dy + (row * s.ow + inside.lowerBound) * s.o + group * outer, wStep: s.o, depth: inside.count, columns: outer
      ).add()
    }
    for c in 0..<channels {
      let to = dkernel + (tap * inner + first + c) * s.o + group * outer
      for o in 0..<outer { to[o] = Float(sums[c * outer + o]) }
    }
  }
}
