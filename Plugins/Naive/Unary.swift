import CPluginMath
import CXfer

func validateUnary(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 1, outputs: 1)
  let kind = try op.expectAttributes(xfer_unary_attributes.self).kind
  try op.require((0...Int32(XFER_UNARY_ROUND)).contains(kind), XFER_E_INVALID_ARGUMENT, "the kind is unknown")
  try op.expectFloat(op.inputs[0], "x")
  try op.expect(op.outputs[0], "y", op.inputs[0])
}

func unary(_ call: Call) {
  let kind = Int(call.attributes(xfer_unary_attributes.self).kind)
  let (x, y) = (call.input(0), call.output(0))
  call.op.parallel(call.op.outputs[0].count, grain: elementGrain) { range in
    for i in range { y[i] = Float(apply(Double(x[i]), kind)) }
  }
}

private func apply(_ x: Double, _ kind: Int) -> Double {
  switch kind {
  case XFER_UNARY_NEGATE: -x
  case XFER_UNARY_ABS: xfer_fabs(x)
  case XFER_UNARY_SIGN: x > 0 ? 1 : x < 0 ? -1 : x
  case XFER_UNARY_SQUARE: x * x
  case XFER_UNARY_SQRT: x.squareRoot()
  case XFER_UNARY_RSQRT: 1 / x.squareRoot()
  case XFER_UNARY_RECIPROCAL: 1 / x
  case XFER_UNARY_EXP: xfer_exp(x)
  case XFER_UNARY_EXPM1: xfer_expm1(x)
  case XFER_UNARY_LOG: xfer_log(x)
  case XFER_UNARY_LOG1P: xfer_log1p(x)
  case XFER_UNARY_SIN: xfer_sin(x)
  case XFER_UNARY_COS: xfer_cos(x)
  case XFER_UNARY_TANH: xfer_tanh(x)
  case XFER_UNARY_ERF: xfer_erf(x)
  case XFER_UNARY_FLOOR: xfer_floor(x)
  case XFER_UNARY_ROUND: xfer_rint(x)
  default: x
  }
}

func validateSelect(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 3, outputs: 1)
  try op.expectFloat(op.inputs[0], "condition")
  try op.expect(op.inputs[1], "a", op.inputs[0])
  try op.expect(op.inputs[2], "b", op.inputs[0])
  try op.expect(op.outputs[0], "y", op.inputs[0])
}

func select(_ call: Call) {
  let (condition, a, b, y) = (call.input(0), call.input(1), call.input(2), call.output(0))
  call.op.parallel(call.op.outputs[0].count, grain: elementGrain) { range in
    for i in range { y[i] = condition[i] != 0 ? a[i] : b[i] }
  }
}

func validateRandom(_ op: Op) throws(Refusal) {
  try op.expectCounts(inputs: 1, outputs: 1)
  let kind = try op.expectAttributes(xfer_random_attributes.self).kind
  try op.require((0...1).contains(kind), XFER_E_INVALID_ARGUMENT, "the kind is unknown")
  try op.require(op.inputs[0].dtype == XFER_I64 && op.inputs[0].count == 2, XFER_E_DTYPE, "the state is not two i64")
  try op.expectFloat(op.outputs[0], "y")
}

func random(_ call: Call) {
  let normal = call.attributes(xfer_random_attributes.self).kind == Int32(XFER_RANDOM_NORMAL)
  let key = randomKey(call.raw(0).assumingMemoryBound(to: Int64.self))
  let y = call.output(0)
  func uniform(_ index: Int) -> Double { Double(mix(key &+ UInt64(index)) >> 40) * 0x1p-24 }
  call.op.parallel(call.op.outputs[0].count, grain: elementGrain) { range in
    for i in range {
      guard normal else {
        y[i] = Float(uniform(i))
        continue
      }
      let radius = (-2 * xfer_log(uniform(2 * i) + 0x1p-24)).squareRoot()
      y[i] = Float(radius * xfer_cos(2 * Double.pi * uniform(2 * i + 1)))
    }
  }
}
