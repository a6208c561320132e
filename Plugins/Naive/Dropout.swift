import CXfer

func validateDropout(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 2, outputs: 1)
  let rate = try op.expectAttributes(xfer_dropout_attributes.self).rate
  try op.require(rate >= 0 && rate < 1, XFER_E_INVALID_ARGUMENT, "a rate of at least 0 and less than 1 is wanted")
  try op.expectFloat(op.inputs[0], "x")
  try op.require(op.inputs[1].dtype == XFER_I64 && op.inputs[1].count == 2, XFER_E_DTYPE, "the state is not two i64")
  try op.expect(op.outputs[0], "y", op.inputs[0])
}

func dropout(_ call: Call) {
  let rate = Double(call.attributes(xfer_dropout_attributes.self).rate)
  let state = call.raw(1).assumingMemoryBound(to: Int64.self)
  let key = randomKey(state)
  let (x, y) = (call.input(0), call.output(0))
  call.op.parallel(call.op.outputs[0].count, grain: elementGrain) { range in
    for i in range {
      let uniform = Double(mix(key &+ UInt64(i)) >> 40) * 0x1p-24
      y[i] = uniform >= rate ? Float(Double(x[i]) / (1 - rate)) : 0
    }
  }
}

/// What a random state's two numbers make: each key is a stream of its own.
func randomKey(_ state: UnsafePointer<Int64>) -> UInt64 { mix(UInt64(bitPattern: state[0]) ^ mix(UInt64(bitPattern: state[1]))) }

/// The finaliser of SplitMix64 (Steele, Lea & Flood 2014).
func mix(_ value: UInt64) -> UInt64 {
  var z = value &+ 0x9E37_79B9_7F4A_7C15
  z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
  z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
  return z ^ (z >> 31)
}
