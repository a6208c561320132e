import CXfer

/// Batch normalization through its batch statistics: four forward ops and the two backward ones.
@Sendable func batchNormGradient(_ random: inout Random) -> GradientCheck {
  let shape = [random.int(1...3), random.int(2...6), random.int(1...5)]
  let channels = floats([shape[2]])
  let attributes = attributeBytes(xfer_normalize_attributes(struct_size: sized(xfer_normalize_attributes.self), epsilon: 1e-2))
  let activation = attributeBytes(
    xfer_activation_attributes(struct_size: sized(xfer_activation_attributes.self), activation: linearActivation, saved_is_output: 0))
  let inputs = [
    CaseTensor(random: &random, shape, -2, 2), CaseTensor(random: &random, [shape[2]], 0.5, 1.5), CaseTensor(random: &random, [shape[2]]),
  ]
  func moments(_ x: CaseTensor) -> Case { Case(XFER_OP_MOMENTS, [x], [channels, channels], [], .sums) }
  func parameters(_ vectors: [CaseTensor]) -> Case { Case(XFER_OP_NORMALIZE_PARAMETERS, vectors, [channels, channels], attributes, .sums) }
  func affine(_ x: CaseTensor, _ parameters: [CaseTensor]) -> Case {
    Case(XFER_OP_SCALE_SHIFT, [x] + parameters, [x.desc], activation, .sums)
  }
  func sums(_ statistics: [CaseTensor], _ dy: CaseTensor) -> Case {
    Case(XFER_OP_BATCHNORM_BACKWARD_REDUCE, [inputs[0], dy] + statistics, [channels, channels], attributes, .sums)
  }
  func toInput(_ statistics: [CaseTensor], _ sums: [CaseTensor], _ dy: CaseTensor) -> Case {
    Case(XFER_OP_BATCHNORM_BACKWARD_INPUT, [inputs[0], dy] + statistics + [inputs[1]] + sums, [inputs[0].desc], attributes, .sums)
  }
  let vectors = [inputs[1], inputs[2]]
  return GradientCheck(
    inputs: inputs, description: "batch normalization of \(shape)",
    needs: [
      moments(inputs[0]), parameters(vectors + vectors), affine(inputs[0], vectors), sums(vectors, inputs[0]),
      toInput(vectors, vectors, inputs[0]),
    ],
    forward: { runner, inputs throws(Failure) in
      let statistics = try runner.results(moments(inputs[0]))
      return try runner.results(affine(inputs[0], runner.results(parameters([inputs[1], inputs[2]] + statistics))))
    },
    gradients: { runner, _, dy throws(Failure) in
      let statistics = try runner.results(moments(inputs[0]))
      let both = try runner.results(sums(statistics, dy))
      return [0: try runner.results(toInput(statistics, both, dy))[0], 1: both[0], 2: both[1]]
    })
}
