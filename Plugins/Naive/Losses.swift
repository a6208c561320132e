import CPluginMath
import CXfer

/// The bounds of a probability, as the float32 numbers Keras clips with.
private let lowest = Double(Float(1e-7))
private let highest = Double(Float(1 - 1e-7))

func validateCrossentropy(_ op: Op, sparse: Bool, backward: Bool) throws(Refusal) {
  try op.expectCounts(inputs: backward ? 3 : 2, outputs: 1)
  _ = try op.expectAttributes(xfer_crossentropy_attributes.self)
  let prediction = op.inputs[1]
  try op.expectFloat(prediction, "y_pred", rank: 2)
  var truth = prediction
  if sparse {
    truth = f32(prediction[0])
    truth.dtype = XFER_I32
  }
  try op.expect(op.inputs[0], "y_true", truth)
  if backward { try op.expect(op.inputs[2], "dloss", f32(prediction[0])) }
  try op.expect(op.outputs[0], backward ? "dy_pred" : "loss", backward ? prediction : f32(prediction[0]))
}

private func smoothed(_ truth: Float, _ attributes: xfer_crossentropy_attributes) -> Double {
  let smoothing = Double(attributes.label_smoothing)
  return Double(truth) * (1 - smoothing) + smoothing / 2
}

func binaryCrossentropy(_ call: Call) {
  let attributes = call.attributes(xfer_crossentropy_attributes.self)
  let shape = call.op.inputs[1]
  let k = shape[1]
  let (truth, prediction, loss) = (call.input(0), call.input(1), call.output(0))
  call.op.parallel(shape[0], grain: max(1, 1024 / max(1, k))) { range in
    for row in range {
      var sum = 0.0
      for i in row * k..<(row + 1) * k {
        let (y, z) = (smoothed(truth[i], attributes), Double(prediction[i]))
        if attributes.from_logits != 0 {
          sum += max(z, 0) - z * y + xfer_log1p(xfer_exp(-xfer_fabs(z)))
        } else {
          let p = min(max(z, lowest), highest)
          sum -= y * xfer_log(p) + (1 - y) * xfer_log(1 - p)
        }
      }
      loss[row] = Float(sum / Double(k))
    }
  }
}

/// A clipped probability has no gradient, as in Keras.
func binaryCrossentropyBackward(_ call: Call) {
  let attributes = call.attributes(xfer_crossentropy_attributes.self)
  let shape = call.op.inputs[1]
  let k = shape[1]
  let (truth, prediction, dloss, dprediction) = (call.input(0), call.input(1), call.input(2), call.output(0))
  call.op.parallel(shape[0], grain: max(1, 1024 / max(1, k))) { range in
    for row in range {
      let factor = Double(dloss[row]) / Double(k)
      for i in row * k..<(row + 1) * k {
        let (y, z) = (smoothed(truth[i], attributes), Double(prediction[i]))
        if attributes.from_logits != 0 {
          dprediction[i] = Float(factor * (sigmoid(z) - y))
        } else {
          dprediction[i] = z < lowest || z > highest ? 0 : Float(factor * (z - y) / (z * (1 - z)))
        }
      }
    }
  }
}

/// The largest logit of a row and Σ exp(z − largest).
private func exponentials(_ z: UnsafePointer<Float>, _ k: Int) -> (largest: Double, sum: Double) {
  var largest = -Double.infinity
  for i in 0..<k { largest = max(largest, Double(z[i])) }
  var sum = 0.0
  for i in 0..<k { sum += xfer_exp(Double(z[i]) - largest) }
  return (largest, sum)
}

private func total(_ p: UnsafePointer<Float>, _ k: Int) -> Double {
  var sum = 0.0
  for i in 0..<k { sum += Double(p[i]) }
  return sum
}

func sparseCrossentropy(_ call: Call) {
  let fromLogits = call.attributes(xfer_crossentropy_attributes.self).from_logits != 0
  let shape = call.op.inputs[1]
  let k = shape[1]
  let labels = call.raw(0).assumingMemoryBound(to: Int32.self)
  let (prediction, loss) = (call.input(1), call.output(0))
  call.op.parallel(shape[0], grain: max(1, 1024 / max(1, k))) { range in
    for row in range {
      let (label, z) = (Int(labels[row]), prediction + row * k)
      guard label >= 0, label < k else {
        loss[row] = .nan
        continue
      }
      if fromLogits {
        let (largest, sum) = exponentials(z, k)
        loss[row] = Float(largest + xfer_log(sum) - Double(z[label]))
      } else {
        loss[row] = Float(-xfer_log(min(max(Double(z[label]) / total(z, k), lowest), highest)))
      }
    }
  }
}

func sparseCrossentropyBackward(_ call: Call) {
  let fromLogits = call.attributes(xfer_crossentropy_attributes.self).from_logits != 0
  let shape = call.op.inputs[1]
  let k = shape[1]
  let labels = call.raw(0).assumingMemoryBound(to: Int32.self)
  let (prediction, dloss, dprediction) = (call.input(1), call.input(2), call.output(0))
  call.op.parallel(shape[0], grain: max(1, 1024 / max(1, k))) { range in
    for row in range {
      let (label, z, to, factor) = (Int(labels[row]), prediction + row * k, dprediction + row * k, Double(dloss[row]))
      guard label >= 0, label < k else {
        for i in 0..<k { to[i] = .nan }
        continue
      }
      if fromLogits {
        let (largest, sum) = exponentials(z, k)
        for i in 0..<k { to[i] = Float(factor * (xfer_exp(Double(z[i]) - largest) / sum - (i == label ? 1 : 0))) }
      } else {
        // loss = log Σp − log p[label], constant where the quotient is clipped.
        let sum = total(z, k)
        let p = Double(z[label])
        let clipped = p / sum < lowest || p / sum > highest
        for i in 0..<k { to[i] = clipped ? 0 : Float(factor * (1 / sum - (i == label ? 1 / p : 0))) }
      }
    }
  }
}
