import CXfer

extension Op {
  /// Inputs `tensors` all have the shape of the first, which `outputs` take too.
  fileprivate func expectAlike(_ tensors: Int) throws(Refusal) {
    try expectFloat(inputs[0], "w")
    for i in 1..<tensors { try expect(inputs[i], "a slot or gradient", inputs[0]) }
    for i in 0..<outputCount { try expect(outputs[i], "a result", inputs[0]) }
  }

  fileprivate func expectScalar(_ input: xfer_tensor_desc, _ name: StaticString) throws(Refusal) {
    try expectFloat(input, name)
    if input.count != 1 { try expect(input, name, f32(1)) }
  }
}

func validateSGD(_ op: Op) throws(Refusal) {
  _ = try op.expectAttributes(xfer_sgd_attributes.self)
  let withVelocity = op.inputCount == 4
  try op.expectCounts(inputs: 3...4, outputs: withVelocity ? 2 : 1)
  try op.expectAlike(withVelocity ? 3 : 2)
  try op.expectScalar(op.inputs[op.inputCount - 1], "lr")
}

func sgd(_ call: Call) {
  let attributes = call.attributes(xfer_sgd_attributes.self)
  let withVelocity = call.op.inputCount == 4
  let momentum = Double(attributes.momentum)
  let rate = Double(call.input(call.op.inputCount - 1)[0])
  let (w, g, result) = (call.input(0), call.input(withVelocity ? 2 : 1), call.output(0))
  let velocity = withVelocity ? (call.input(1), call.output(1)) : nil
  call.op.parallel(call.op.outputs[0].count, grain: elementGrain) { range in
    for i in range {
      let step = rate * Double(g[i])
      guard let (old, new) = velocity else {
        result[i] = Float(Double(w[i]) - step)
        continue
      }
      let v = momentum * Double(old[i]) - step
      result[i] = Float(Double(w[i]) + (attributes.nesterov != 0 ? momentum * v - step : v))
      new[i] = Float(v)
    }
  }
}

func validateAdam(_ op: Op) throws(Refusal) {
  _ = try op.expectAttributes(xfer_adam_attributes.self)
  try op.expectCounts(inputs: 5, outputs: 3)
  try op.expectAlike(4)
  try op.expectScalar(op.inputs[4], "alpha")
}

func adam(_ call: Call) {
  let attributes = call.attributes(xfer_adam_attributes.self)
  let (beta1, beta2, epsilon) = (Double(attributes.beta_1), Double(attributes.beta_2), Double(attributes.epsilon))
  let alpha = Double(call.input(4)[0])
  let (w, m, v, g) = (call.input(0), call.input(1), call.input(2), call.input(3))
  let (newW, newM, newV) = (call.output(0), call.output(1), call.output(2))
  call.op.parallel(call.op.outputs[0].count, grain: elementGrain) { range in
    for i in range {
      let gradient = Double(g[i])
      let first = Double(m[i]) + (gradient - Double(m[i])) * (1 - beta1)
      let second = Double(v[i]) + (gradient * gradient - Double(v[i])) * (1 - beta2)
      newW[i] = Float(Double(w[i]) - alpha * first / (second.squareRoot() + epsilon))
      newM[i] = Float(first)
      newV[i] = Float(second)
    }
  }
}

func validateLerp(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 2, outputs: 1)
  _ = try op.expectAttributes(xfer_lerp_attributes.self)
  try op.expectFloat(op.inputs[0], "a")
  try op.expect(op.inputs[1], "b", op.inputs[0])
  try op.expect(op.outputs[0], "y", op.inputs[0])
}

func lerp(_ call: Call) {
  let t = Double(call.attributes(xfer_lerp_attributes.self).t)
  let (a, b, y) = (call.input(0), call.input(1), call.output(0))
  call.op.parallel(call.op.outputs[0].count, grain: elementGrain) { range in
    for i in range { y[i] = Float(Double(a[i]) * t + Double(b[i]) * (1 - t)) }
  }
}
