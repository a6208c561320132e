import CXfer

/// One check a differentiable op, by the op's name.
let gradientMakers: [(name: String, make: @Sendable (inout Random) -> GradientCheck)] = [
  ("matmul", matmulGradient),
  ("conv2d", { convolutionGradient(&$0, depthwise: false) }),
  ("depthwise_conv2d", { convolutionGradient(&$0, depthwise: true) }),
  ("pool2d", poolGradient),
  ("reduce", reduceGradient),
  ("activation", activationGradient),
  ("softmax", softmaxGradient),
  ("dropout", dropoutGradient),
  ("scale_shift", batchNormGradient),
  ("binary_crossentropy", { crossentropyGradient(&$0, sparse: false) }),
  ("sparse_categorical_crossentropy", { crossentropyGradient(&$0, sparse: true) }),
  ("transpose", transposeGradient),
  ("gather", gatherGradient),
  ("select", selectGradient),
]

/// The gradients of a product are products: da = dy·bᵀ and db = aᵀ·dy, turned where a or b are.
@Sendable private func matmulGradient(_ random: inout Random) -> GradientCheck {
  let (m, n, k) = (random.int(1...12), random.int(1...12), random.int(1...12))
  let (ta, tb) = (random.chance(50), random.chance(50))
  func product(_ a: CaseTensor, _ b: CaseTensor, _ ta: Bool, _ tb: Bool, _ shape: [Int]) -> Case {
    let attributes = xfer_matmul_attributes(
      struct_size: sized(xfer_matmul_attributes.self), transpose_a: ta ? 1 : 0, transpose_b: tb ? 1 : 0, has_bias: 0, has_residual: 0,
      activation: linearActivation)
    return Case(XFER_OP_MATMUL, [a, b], [floats(shape)], attributeBytes(attributes), .sums)
  }
  let a = CaseTensor(random: &random, ta ? [k, m] : [m, k])
  let b = CaseTensor(random: &random, tb ? [n, k] : [k, n])
  return GradientCheck(
    product(a, b, ta, tb, [m, n]), step: 0.125,
    backward: [
      0: { _, dy in ta ? product(b, dy, tb, true, [k, m]) : product(dy, b, false, !tb, [m, k]) },
      1: { _, dy in tb ? product(dy, a, true, ta, [n, k]) : product(a, dy, !ta, false, [k, n]) },
    ])
}

private func convolutionGradient(_ random: inout Random, depthwise: Bool) -> GradientCheck {
  var shapes = RandomConvolution(&random, depthwise: depthwise)
  while shapes.x.reduce(1, *) * shapes.kernel.reduce(1, *) > 2_000_000 { shapes = RandomConvolution(&random, depthwise: depthwise) }
  let attributes = attributeBytes(shapes.attributes)
  let (x, kernel) = (CaseTensor(random: &random, shapes.x), CaseTensor(random: &random, shapes.kernel))
  var forward = Case(depthwise ? XFER_OP_DEPTHWISE_CONV2D : XFER_OP_CONV2D, [x, kernel], [floats(shapes.y)], attributes, .sums)
  forward.detail = shapes.detail
  let toInput = depthwise ? XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT : XFER_OP_CONV2D_BACKWARD_INPUT
  let toKernel = depthwise ? XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL : XFER_OP_CONV2D_BACKWARD_KERNEL
  return GradientCheck(
    forward, step: 0.125,
    backward: [
      0: { _, dy in Case(toInput, [dy, kernel], [x.desc], attributes, .sums) },
      1: { _, dy in Case(toKernel, [x, dy], [kernel.desc], attributes, .sums) },
    ])
}

/// Values at least 0.04 apart, so that a step of 0.01 does not change which is the largest of a window.
@Sendable private func poolGradient(_ random: inout Random) -> GradientCheck {
  let average = random.chance(50)
  var shapes = RandomPool(&random, average: average)
  while shapes.x.reduce(1, *) > 3000 { shapes = RandomPool(&random, average: average) }
  let count = shapes.x.reduce(1, *)
  let x = CaseTensor(shapes.x, (0..<count).shuffled(using: &random).map { (Float($0) - Float(count) / 2) * 0.04 })
  let attributes = attributeBytes(shapes.attributes)
  var forward = Case(XFER_OP_POOL2D, [x], [floats(shapes.y)], attributes, .sums)
  forward.detail = shapes.detail
  return GradientCheck(
    forward, backward: [0: { y, dy in Case(XFER_OP_POOL2D_BACKWARD, average ? [dy] : [x, y[0], dy], [x.desc], attributes, .sums) }])
}

/// The gradient of a mean is a broadcast.
@Sendable private func reduceGradient(_ random: inout Random) -> GradientCheck {
  let shape = random.shape(rank: 3, elements: 2000)
  let mean = random.chance(50)
  let reduce = xfer_reduce_attributes(
    struct_size: sized(xfer_reduce_attributes.self), kind: Int32(mean ? XFER_REDUCE_MEAN : XFER_REDUCE_SUM))
  let broadcast = xfer_broadcast_attributes(struct_size: sized(xfer_broadcast_attributes.self), scale: mean ? 1 / Float(shape[1]) : 1)
  let x = CaseTensor(random: &random, shape)
  return GradientCheck(
    Case(XFER_OP_REDUCE, [x], [floats([shape[0], shape[2]])], attributeBytes(reduce), .sums), step: 0.125,
    backward: [0: { _, dy in Case(XFER_OP_BROADCAST, [dy], [x.desc], attributeBytes(broadcast), .sums) }])
}
