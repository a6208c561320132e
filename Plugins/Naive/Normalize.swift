import CXfer

/// Channels a task works on: enough to use whole cache lines, at most what `withSums` holds.
private let block = 32

func validateScaleShift(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 2...3, outputs: 1)
  try op.expectActivation(op.expectAttributes(xfer_activation_attributes.self).activation)
  try op.expectFloat(op.inputs[0], "x")
  try op.expect(op.inputs[1], "scale", f32(op.inputs[0].channels))
  if op.inputCount == 3 { try op.expect(op.inputs[2], "shift", f32(op.inputs[0].channels)) }
  try op.expect(op.outputs[0], "y", op.inputs[0])
}

func scaleShift(_ call: Call) {
  let activation = call.attributes(xfer_activation_attributes.self).activation
  let shape = call.op.inputs[0]
  let channels = shape.channels
  let (x, scale, y) = (call.input(0), call.input(1), call.output(0))
  let shift = call.op.inputCount == 3 ? call.input(2) : nil
  call.op.parallel(shape.rows, grain: max(1, elementGrain / max(1, channels))) { range in
    for row in range {
      let (from, to) = (x + row * channels, y + row * channels)
      for c in 0..<channels {
        to[c] = Float(activate(Double(from[c]) * Double(scale[c]) + Double(shift?[c] ?? 0), activation))
      }
    }
  }
}

func validateMoments(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 1, outputs: 2)
  try op.expectFloat(op.inputs[0], "x")
  try op.expect(op.outputs[0], "mean", f32(op.inputs[0].channels))
  try op.expect(op.outputs[1], "variance", f32(op.inputs[0].channels))
}

/// The mean first and the squared distances from it then: no difference of large squares.
func moments(_ call: Call) {
  let shape = call.op.inputs[0]
  let (rows, channels) = (shape.rows, shape.channels)
  let (x, mean, variance) = (call.input(0), call.output(0), call.output(1))
  overChannels(call.op, channels) { first, count in
    withSums(count: count, start: 0) { sums, count in
      for row in 0..<rows { for c in 0..<count { sums[c] += Double(x[row * channels + first + c]) } }
      for c in 0..<count { sums[c] /= Double(rows) }
      withSums(count: count, start: 0) { squares, count in
        for row in 0..<rows {
          for c in 0..<count {
            let distance = Double(x[row * channels + first + c]) - sums[c]
            squares[c] += distance * distance
          }
        }
        for c in 0..<count {
          mean[first + c] = Float(sums[c])
          variance[first + c] = Float(squares[c] / Double(rows))
        }
      }
    }
  }
}

private func overChannels(_ op: Op, _ channels: Int, _ body: (_ first: Int, _ count: Int) -> Void) {
  op.parallel((channels + block - 1) / block, grain: 1) { range in
    for item in range { body(item * block, min(block, channels - item * block)) }
  }
}

extension Op {
  fileprivate func expectVectors(_ inputs: Range<Int>, _ names: StaticString, _ channels: Int) throws(Refusal) {
    for i in inputs { try expect(self.inputs[i], names, f32(channels)) }
  }
}

func validateNormalizeParameters(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 4, outputs: 2)
  _ = try op.expectAttributes(xfer_normalize_attributes.self)
  try op.expectFloat(op.inputs[0], "gamma", rank: 1)
  try op.expectVectors(1..<4, "one of beta, mean and variance", op.inputs[0][0])
  try op.expect(op.outputs[0], "scale", op.inputs[0])
  try op.expect(op.outputs[1], "shift", op.inputs[0])
}

func normalizeParameters(_ call: Call) {
  let epsilon = Double(call.attributes(xfer_normalize_attributes.self).epsilon)
  let (gamma, beta, mean, variance) = (call.input(0), call.input(1), call.input(2), call.input(3))
  let (scale, shift) = (call.output(0), call.output(1))
  for c in 0..<call.op.inputs[0].count {
    let s = Double(gamma[c]) / (Double(variance[c]) + epsilon).squareRoot()
    let t = Double(beta[c]) - Double(mean[c]) * s
    scale[c] = Float(s)
    shift[c] = Float(t)
  }
}

func validateBatchNormBackwardReduce(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 4, outputs: 2)
  _ = try op.expectAttributes(xfer_normalize_attributes.self)
  try op.expectFloat(op.inputs[0], "x")
  try op.expect(op.inputs[1], "dy", op.inputs[0])
  let channels = op.inputs[0].channels
  try op.expectVectors(2..<4, "one of mean and variance", channels)
  try op.expect(op.outputs[0], "dgamma", f32(channels))
  try op.expect(op.outputs[1], "dbeta", f32(channels))
}

func batchNormBackwardReduce(_ call: Call) {
  let epsilon = Double(call.attributes(xfer_normalize_attributes.self).epsilon)
  let shape = call.op.inputs[0]
  let (rows, channels) = (shape.rows, shape.channels)
  let (x, dy, mean, variance) = (call.input(0), call.input(1), call.input(2), call.input(3))
  let (dgamma, dbeta) = (call.output(0), call.output(1))
  overChannels(call.op, channels) { first, count in
    withSums(count: count, start: 0) { products, count in
      withSums(count: count, start: 0) { sums, count in
        for row in 0..<rows {
          for c in 0..<count {
            let gradient = Double(dy[row * channels + first + c])
            sums[c] += gradient
            products[c] += gradient * (Double(x[row * channels + first + c]) - Double(mean[first + c]))
          }
        }
        for c in 0..<count {
          dgamma[first + c] = Float(products[c] / (Double(variance[first + c]) + epsilon).squareRoot())
          dbeta[first + c] = Float(sums[c])
        }
      }
    }
  }
}

func validateBatchNormBackwardInput(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 7, outputs: 1)
  _ = try op.expectAttributes(xfer_normalize_attributes.self)
  try op.expectFloat(op.inputs[0], "x")
  try op.expect(op.inputs[1], "dy", op.inputs[0])
  try op.expectVectors(2..<7, "one of mean, variance, gamma, dgamma and dbeta", op.inputs[0].channels)
  try op.expect(op.outputs[0], "dx", op.inputs[0])
}

func batchNormBackwardInput(_ call: Call) {
  let epsilon = Double(call.attributes(xfer_normalize_attributes.self).epsilon)
  let shape = call.op.inputs[0]
  let channels = shape.channels
  let count = Double(shape.rows)
  let (x, dy, mean, variance) = (call.input(0), call.input(1), call.input(2), call.input(3))
  let (gamma, dgamma, dbeta, dx) = (call.input(4), call.input(5), call.input(6), call.output(0))
  call.op.parallel(shape.rows, grain: max(1, elementGrain / max(1, channels))) { range in
    for row in range {
      for c in 0..<channels {
        let at = row * channels + c
        let r = 1 / (Double(variance[c]) + epsilon).squareRoot()
        let centred = Double(x[at]) - Double(mean[c])
        let gradient = Double(dy[at]) - Double(dbeta[c]) / count - centred * r * Double(dgamma[c]) / count
        dx[at] = Float(Double(gamma[c]) * r * gradient)
      }
    }
  }
}
