import CXfer

/// Output pixels of one row that one task computes at a time.
private let tile = 16

private func shape(_ op: Op) -> ConvolutionShape {
  let attributes = op.attributes(xfer_conv_attributes.self)
  return ConvolutionShape(x: op.inputs[0], kernel: op.inputs[1], y: op.outputs[0], attributes, depthwise: false)
}

private func items(_ s: ConvolutionShape) -> Int { s.n * s.oh * ((s.ow + tile - 1) / tile) * s.groups }

func validateConvolution(_ op: Op) throws(Refusal) -> Int {
  try op.expectCounts(inputs: 2...4, outputs: 1)
  let s = try op.expectConvolution(x: op.inputs[0], kernel: op.inputs[1], y: op.outputs[0], depthwise: false)
  try op.expectEpilogue(s)
  return op.slots(items(s)) * tile * s.groupOutput * 8
}

func convolution(_ call: Call) {
  let s = shape(call.op)
  let (x, kernel, y) = (call.input(0), call.input(1), call.output(0))
  let bias = s.hasBias ? call.input(2) : nil
  let residual = s.hasResidual ? call.input(call.op.inputCount - 1) : nil
  let (inner, outer) = (s.groupInput, s.groupOutput)
  let tiles = (s.ow + tile - 1) / tile
  let scratch = call.workspace.assumingMemoryBound(to: Double.self)
  call.op.parallelSlots(items(s)) { slot, item in
    let group = item % s.groups
    let first = item / s.groups % tiles * tile
    let row = item / s.groups / tiles
    let (image, oy) = (row / s.oh, row % s.oh)
    let pixels = first..<min(first + tile, s.ow)
    let sums = scratch + slot * tile * outer
    sums.update(repeating: 0, count: pixels.count * outer)
    for ky in 0..<s.kh {
      let iy = s.inputRow(oy, ky)
      guard iy >= 0, iy < s.h else { continue }
      for kx in 0..<s.kw {
        let inside = s.columns(pixels, kx)
        if inside.isEmpty { continue }
        let pixel = (image * s.h + iy) * s.w + s.inputColumn(inside.lowerBound, kx)
        Accumulation(
          sums: sums + (inside.lowerBound - first) * outer, sumRow: outer, rows: inside.count,
          x: x + pixel * s.c + group * inner, xRow: s.strideW * s.c, xStep: 1,
          w: kernel + (ky * s.kw + kx) * inner * s.o + group * outer, wStep: s.o, depth: inner, columns: outer
        ).add()
      }
    }
    for ox in pixels {
      let at = (row * s.ow + ox) * s.o + group * outer
      finish(
        sums + (ox - first) * outer, outer, bias: bias.map { $0 + group * outer }, residual: residual.map { $0 + at },
        s.activation, into: y + at)
    }
  }
}
