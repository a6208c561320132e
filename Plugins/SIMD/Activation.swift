import CPluginSupport
import CXfer

/// ACTIVATION, ACTIVATION_BACKWARD, and the second pass of epilogues whose activation is no pair of bounds.

private struct Map<E: Element>: CurveBody {
  var x: UnsafePointer<E>
  var y: UnsafeMutablePointer<E>
  var count: Int
  var activation: xfer_activation

  mutating func run<C: Curve>(_ curve: C.Type) { mapCurve(curve, x, y, count, activation) }
}

@inline(never) private func mapCurve<C: Curve, E: Element>(
  _ curve: C.Type, _ x: UnsafePointer<E>, _ y: UnsafeMutablePointer<E>, _ count: Int, _ a: xfer_activation
) {
  let parameters = CurveParameters(a)
  var i = 0
  while i &+ 2 &* lanes <= count {
    let (v, w) = (C.value(load(x + i), parameters), C.value(load(x + (i &+ lanes)), parameters))
    storeVector(v, y + i)
    storeVector(w, y + (i &+ lanes))
    i &+= 2 &* lanes
  }
  while i &+ lanes <= count {
    storeVector(C.value(load(x + i), parameters), y + i)
    i &+= lanes
  }
  if i < count { storeVector(C.value(load(x + i, first: count &- i), parameters), y + i, first: count &- i) }
}

private struct MapSlope<E: Element>: CurveBody {
  var x: UnsafePointer<E>
  var dy: UnsafePointer<E>
  var dx: UnsafeMutablePointer<E>
  var count: Int
  var activation: xfer_activation

  mutating func run<C: Curve>(_ curve: C.Type) { mapSlope(curve, x, dy, dx, count, activation) }
}

@inline(never) private func mapSlope<C: Curve, E: Element>(
  _ curve: C.Type, _ x: UnsafePointer<E>, _ dy: UnsafePointer<E>, _ dx: UnsafeMutablePointer<E>, _ count: Int, _ a: xfer_activation
) {
  let parameters = CurveParameters(a)
  var i = 0
  while i &+ lanes <= count {
    storeVector(load(dy + i) * C.slope(load(x + i), parameters), dx + i)
    i &+= lanes
  }
  if i < count {
    let n = count &- i
    storeVector(load(dy + i, first: n) * C.slope(load(x + i, first: n), parameters), dx + i, first: n)
  }
}

/// y = activation(y) in place.
func activate<E: Element>(_ y: UnsafeMutablePointer<E>, _ count: Int, _ a: xfer_activation) {
  var map = Map(x: UnsafePointer(y), y: y, count: count, activation: a)
  withCurve(a.kind, &map)
}

func activate<E: Element>(_ x: UnsafePointer<E>, _ y: UnsafeMutablePointer<E>, _ count: Int, _ a: xfer_activation) {
  var map = Map(x: x, y: y, count: count, activation: a)
  withCurve(a.kind, &map)
}

/// dx = dy * slope, from the input or the output of the activation.
func activationSlope<E: Element>(
  _ saved: UnsafePointer<E>, isOutput: Bool, _ dy: UnsafePointer<E>, _ dx: UnsafeMutablePointer<E>, _ count: Int, _ a: xfer_activation
) {
  var map = MapSlope(x: saved, dy: dy, dx: dx, count: count, activation: a)
  if isOutput { withOutputCurve(a.kind, &map) } else { withCurve(a.kind, &map) }
}
