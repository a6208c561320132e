import CPluginSupport
import CXfer

/// NORMALIZE_PARAMETERS: a vector of channels, in double and rounded once.

struct NormalizeParameters {
  var channels: Int
  var epsilon: Float
}

private let runNormalizeParameters: Run = { kernel, inputs, outputs, _ in
  let plan = payload(kernel, NormalizeParameters.self).pointee
  let (gamma, beta, mean, variance) = (floats(inputs[0]), floats(inputs[1]), floats(inputs[2]), floats(inputs[3]))
  let (scale, shift) = (floats(outputs[0]), floats(outputs[1]))
  let epsilon = wide(Double(plan.epsilon))
  var c = 0
  while c < plan.channels {
    let n = plan.channels &- c < lanes ? plan.channels &- c : lanes
    func get(_ p: Source) -> Vec { n == lanes ? load(p + c) : load(p + c, first: n) }
    func put(_ v: Vec, _ p: Target) { if n == lanes { storeVector(v, p + c) } else { storeVector(v, p + c, first: n) } }
    let (g, b, m, v) = (get(gamma), get(beta), get(mean), get(variance))
    let low = xfer_vec_low(g) / xfer_half_sqrt(xfer_vec_low(v) + epsilon)
    let high = xfer_vec_high(g) / xfer_half_sqrt(xfer_vec_high(v) + epsilon)
    put(xfer_vec_joined(low, high), scale)
    put(xfer_vec_joined(xfer_vec_low(b) - xfer_vec_low(m) * low, xfer_vec_high(b) - xfer_vec_high(m) * high), shift)
    c &+= lanes
  }
  return XFER_OK
}

private func normalizeParameters(_ desc: Desc) -> NormalizeParameters? {
  let d = desc.pointee
  guard d.has(4, 2), d.allFloats, let a = d.attributes(xfer_normalize_attributes.self)?.pointee, d.input(0).rank == 1 else { return nil }
  let channels = d.input(0)[0]
  for i in 1..<4 where !d.input(i).isVector(channels) { return nil }
  for i in 0..<2 where !d.output(i).isVector(channels) { return nil }
  return NormalizeParameters(channels: channels, epsilon: a.epsilon)
}

func isNormalizeParameters(_ desc: Desc) -> Bool { normalizeParameters(desc) != nil }

func prepareNormalizeParameters(_ host: Host, _ desc: Desc) -> OpaquePointer? {
  guard let plan = normalizeParameters(desc) else { return nil }
  return makeKernel(host, plan, run: runNormalizeParameters).map { handle($0) }
}
