import CXfer

func validateActivation(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 1, outputs: 1)
  try op.expectActivation(op.expectAttributes(xfer_activation_attributes.self).activation)
  try op.expectFloat(op.inputs[0], "x")
  try op.expect(op.outputs[0], "y", op.inputs[0])
}

func activation(_ call: Call) {
  let activation = call.attributes(xfer_activation_attributes.self).activation
  let (x, y) = (call.input(0), call.output(0))
  call.op.parallel(call.op.outputs[0].count, grain: elementGrain) { range in
    for i in range { y[i] = Float(activate(Double(x[i]), activation)) }
  }
}

func validateActivationBackward(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 2, outputs: 1)
  let attributes = try op.expectAttributes(xfer_activation_attributes.self)
  let activation = attributes.activation
  try op.expectActivation(activation)
  try op.expectFloat(op.inputs[0], "saved")
  try op.expect(op.inputs[1], "dy", op.inputs[0])
  try op.expect(op.outputs[0], "dx", op.inputs[0])
  guard attributes.saved_is_output != 0 else { return }
  switch Int(activation.kind) {
  case XFER_ACTIVATION_LINEAR, XFER_ACTIVATION_SIGMOID, XFER_ACTIVATION_TANH, XFER_ACTIVATION_EXPONENTIAL: break
  case XFER_ACTIVATION_RELU where activation.alpha == 0 && activation.threshold == 0: break
  default: throw op.refuse(XFER_E_INVALID_ARGUMENT, "the output of this activation does not tell its gradient: give the input")
  }
}

func activationBackward(_ call: Call) {
  let attributes = call.attributes(xfer_activation_attributes.self)
  let activation = attributes.activation
  let fromOutput = attributes.saved_is_output != 0
  let (saved, dy, dx) = (call.input(0), call.input(1), call.output(0))
  call.op.parallel(call.op.outputs[0].count, grain: elementGrain) { range in
    for i in range {
      let value = Double(saved[i])
      dx[i] = Float(Double(dy[i]) * (fromOutput ? slopeFromOutput(value, activation) : slope(value, activation)))
    }
  }
}
