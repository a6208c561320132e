import CXfer

func validateConvolution(_ op: Op) throws(Refusal) -> Int {
  try op.expectCounts(inputs: 2...4, outputs: 1)
  let s = try op.expectConvolution(x: op.inputs[0], kernel: op.inputs[1], y: op.outputs[0], depthwise: false)
  try op.expectEpilogue(s)
  return s.patchBytes
}

func convolution(_ call: Call) {
  let s = ConvolutionShape(
    x: call.op.inputs[0], kernel: call.op.inputs[1], y: call.op.outputs[0], call.attributes(xfer_conv_attributes.self), depthwise: false)
  let (x, kernel, y) = (call.input(0), call.input(1), call.output(0))
  forEachProduct(s) { group, image, images in
    let pixels = images * s.oh * s.ow
    var patches = Matrix(start: x + group * s.groupInput, pitch: s.c)
    if !s.isPointwise {
      let workspace = call.workspace.assumingMemoryBound(to: Float.self)
      gatherPatches(call.op, s, image: x + image * s.h * s.w * s.c, group: group, into: workspace)
      patches = Matrix(start: workspace, pitch: s.patch)
    }
    multiply(
      call.op, patches, Matrix(start: kernel + group * s.groupOutput, pitch: s.o), m: pixels, n: s.groupOutput, k: s.patch,
      into: y + image * s.oh * s.ow * s.o + group * s.groupOutput, pitch: s.o)
  }
  epilogue(
    call.op, y, rows: s.n * s.oh * s.ow, columns: s.o, bias: s.hasBias ? call.input(2) : nil,
    residual: s.hasResidual ? call.input(call.op.inputCount - 1) : nil, s.activation)
}

/// A pointwise convolution is one product a group for all images, another one a group and image.
private func forEachProduct(_ s: ConvolutionShape, _ body: (_ group: Int, _ image: Int, _ images: Int) -> Void) {
  for group in 0..<s.groups {
    if s.isPointwise {
      body(group, 0, s.n)
    } else {
      for image in 0..<s.n { body(group, image, 1) }
    }
  }
}

func validateConvolutionBackwardInput(_ op: Op) throws(Refusal) -> Int {
  try op.expectCounts(inputs: 2, outputs: 1)
  return try op.expectConvolution(x: op.outputs[0], kernel: op.inputs[1], y: op.inputs[0], depthwise: false).patchBytes
}

/// `dpatches = dy · kernelᵀ`, then every patch back to where it came from.
func convolutionBackwardInput(_ call: Call) {
  let s = ConvolutionShape(
    x: call.op.outputs[0], kernel: call.op.inputs[1], y: call.op.inputs[0], call.attributes(xfer_conv_attributes.self), depthwise: false)
  let (dy, kernel, dx) = (call.input(0), call.input(1), call.output(0))
  forEachProduct(s) { group, image, images in
    let gradient = Matrix(start: dy + image * s.oh * s.ow * s.o + group * s.groupOutput, pitch: s.o)
    let weights = Matrix(start: kernel + group * s.groupOutput, pitch: s.o, transposed: true)
    let pixels = images * s.oh * s.ow
    if s.isPointwise {
      multiply(call.op, gradient, weights, m: pixels, n: s.groupInput, k: s.groupOutput, into: dx + group * s.groupInput, pitch: s.c)
    } else {
      let patches = call.workspace.assumingMemoryBound(to: Float.self)
      multiply(call.op, gradient, weights, m: pixels, n: s.patch, k: s.groupOutput, into: patches, pitch: s.patch)
      scatterPatches(call.op, s, patches, group: group, image: dx + image * s.h * s.w * s.c)
    }
  }
}

func validateConvolutionBackwardKernel(_ op: Op) throws(Refusal) -> Int {
  try op.expectCounts(inputs: 2, outputs: 1)
  return try op.expectConvolution(x: op.inputs[0], kernel: op.outputs[0], y: op.inputs[1], depthwise: false).patchBytes
}

/// `dkernel = patchesᵀ · dy`, summed over the images.
func convolutionBackwardKernel(_ call: Call) {
  let s = ConvolutionShape(
    x: call.op.inputs[0], kernel: call.op.outputs[0], y: call.op.inputs[1], call.attributes(xfer_conv_attributes.self), depthwise: false)
  let (x, dy, dkernel) = (call.input(0), call.input(1), call.output(0))
  forEachProduct(s) { group, image, images in
    var patches = Matrix(start: x + group * s.groupInput, pitch: s.c, transposed: true)
    if !s.isPointwise {
      let workspace = call.workspace.assumingMemoryBound(to: Float.self)
      gatherPatches(call.op, s, image: x + image * s.h * s.w * s.c, group: group, into: workspace)
      patches = Matrix(start: workspace, pitch: s.patch, transposed: true)
    }
    multiply(
      call.op, patches, Matrix(start: dy + image * s.oh * s.ow * s.o + group * s.groupOutput, pitch: s.o), m: s.patch,
      n: s.groupOutput, k: images * s.oh * s.ow, into: dkernel + group * s.groupOutput, pitch: s.o, adding: image > 0)
  }
}
