import CPluginSupport
import CXfer

/// Every activation as a type, so that a loop over a tensor is compiled for each with nothing to decide inside.
protocol Curve {
  static func value(_ x: Vec, _ a: CurveParameters) -> Vec
  /// dy/dx at the input x. At a kink it is that of the left side.
  static func slope(_ x: Vec, _ a: CurveParameters) -> Vec
}

struct CurveParameters {
  var alpha: Vec
  var maximum: Vec
  var threshold: Vec

  @inline(__always) init(_ a: xfer_activation) {
    alpha = splat(a.alpha)
    maximum = splat(a.max_value)
    threshold = splat(a.threshold)
  }
}

private let seluAlpha: Float = 1.6732632423543772
private let seluScale: Float = 1.0507009873554805
private let geluRoot: Float = 0.7978845608028654
private let geluCubic: Float = 0.044715

enum LinearCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec { x }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec { splat(1) }
}

enum ReluCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec {
    xfer_vec_min(a.maximum, xfer_vec_if_less(x, a.threshold, a.alpha * (x - a.threshold), x))
  }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec {
    xfer_vec_if_less(a.threshold, x, xfer_vec_if_less(x, a.maximum, splat(1), splat(0)), a.alpha)
  }
}

enum SigmoidCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec { sigmoid(x) }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec {
    let e = decay(xfer_vec_abs(x))
    let d = splat(1) + e
    return e / (d * d)
  }
}

enum TanhCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec { hyperbolicTangent(x) }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec {
    let e = decay(splat(2) * xfer_vec_abs(x))
    let d = splat(1) + e
    return splat(4) * e / (d * d)
  }
}

enum EluCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec {
    xfer_vec_if_less(splat(0), x, x, a.alpha * exponentialMinusOne(x))
  }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec {
    xfer_vec_if_less(splat(0), x, splat(1), a.alpha * exponential(x))
  }
}

enum SeluCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec {
    splat(seluScale) * xfer_vec_if_less(splat(0), x, x, splat(seluAlpha) * exponentialMinusOne(x))
  }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec {
    splat(seluScale) * xfer_vec_if_less(splat(0), x, splat(1), splat(seluAlpha) * exponential(x))
  }
}

enum SiluCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec { x * sigmoid(x) }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec {
    let s = sigmoids(x)
    return s.of * (splat(1) + x * s.ofMinus)
  }
}

enum GeluCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec {
    splat(0.5) * x * onePlusErrorFunction(x * splat(0.7071067811865476))
  }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec {
    let density = splat(0.3989422804014327) * decay(splat(0.5) * x * x)
    return xfer_vec_multiply_add(splat(0.5) * onePlusErrorFunction(x * splat(0.7071067811865476)), x, density)
  }
}

/// 1+tanh(u) is 2 sigmoid(2u), which keeps its digits on the left.
enum GeluTanhCurve: Curve {
  @inline(__always) private static func gate(_ x: Vec) -> Vec {
    splat(2 * geluRoot) * xfer_vec_multiply_add(x, splat(geluCubic) * x * x, x)
  }
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec { x * sigmoid(gate(x)) }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec {
    let g = gate(x)
    let s = sigmoids(g)
    let inner = splat(2 * geluRoot) * xfer_vec_multiply_add(splat(1), splat(3 * geluCubic) * x, x)
    return s.of * xfer_vec_multiply_add(splat(1), x * s.ofMinus, inner)
  }
}

enum SoftplusCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec {
    xfer_vec_max(splat(0), x) + logOnePlusExpMinus(xfer_vec_abs(x))
  }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec { sigmoid(x) }
}

enum SoftsignCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec { x / (splat(1) + xfer_vec_abs(x)) }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec {
    let d = splat(1) + xfer_vec_abs(x)
    return splat(1) / (d * d)
  }
}

enum ExponentialCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec { exponential(x) }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec { exponential(x) }
}

enum HardSigmoidCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec {
    clamped(x + splat(3), splat(0), splat(6)) * splat(1 / 6)
  }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec {
    xfer_vec_if_less(xfer_vec_abs(x), splat(3), splat(1 / 6), splat(0))
  }
}

enum HardSiluCurve: Curve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec {
    x * clamped(x + splat(3), splat(0), splat(6)) * splat(1 / 6)
  }
  @inline(__always) static func slope(_ x: Vec, _ a: CurveParameters) -> Vec {
    let inner = xfer_vec_multiply_add(splat(0.5), x, splat(1 / 3))
    return xfer_vec_if_less(splat(-3), x, xfer_vec_if_less(x, splat(3), inner, splat(1)), splat(0))
  }
}

/// Curves whose slope is taken from the output: `x` is y there, and `value` is not used.
protocol OutputCurve: Curve {}

extension OutputCurve {
  @inline(__always) static func value(_ x: Vec, _ a: CurveParameters) -> Vec { x }
}

enum ReluOutput: OutputCurve {
  @inline(__always) static func slope(_ y: Vec, _ a: CurveParameters) -> Vec {
    xfer_vec_if_less(splat(0), y, xfer_vec_if_less(y, a.maximum, splat(1), splat(0)), splat(0))
  }
}

enum SigmoidOutput: OutputCurve {
  @inline(__always) static func slope(_ y: Vec, _ a: CurveParameters) -> Vec { y * (splat(1) - y) }
}

enum TanhOutput: OutputCurve {
  @inline(__always) static func slope(_ y: Vec, _ a: CurveParameters) -> Vec { (splat(1) - y) * (splat(1) + y) }
}

enum ExponentialOutput: OutputCurve {
  @inline(__always) static func slope(_ y: Vec, _ a: CurveParameters) -> Vec { y }
}

/// Whether an activation is a pair of bounds: relu, with or without a maximum.
@inline(__always) func isClamp(_ a: xfer_activation) -> Bool {
  a.kind == Int32(XFER_ACTIVATION_RELU) && a.alpha == 0 && a.threshold == 0 && a.max_value >= 0
}

func isKnown(_ a: xfer_activation) -> Bool {
  a.kind >= Int32(XFER_ACTIVATION_LINEAR) && a.kind <= Int32(XFER_ACTIVATION_HARD_SILU)
}

/// What is done with a curve once its type is known.
protocol CurveBody {
  mutating func run<C: Curve>(_ curve: C.Type)
}

@inline(__always) func withCurve<Body: CurveBody>(_ kind: Int32, _ body: inout Body) {
  switch Int(kind) {
  case XFER_ACTIVATION_RELU: body.run(ReluCurve.self)
  case XFER_ACTIVATION_SIGMOID: body.run(SigmoidCurve.self)
  case XFER_ACTIVATION_TANH: body.run(TanhCurve.self)
  case XFER_ACTIVATION_ELU: body.run(EluCurve.self)
  case XFER_ACTIVATION_SELU: body.run(SeluCurve.self)
  case XFER_ACTIVATION_SILU: body.run(SiluCurve.self)
  case XFER_ACTIVATION_GELU: body.run(GeluCurve.self)
  case XFER_ACTIVATION_GELU_TANH: body.run(GeluTanhCurve.self)
  case XFER_ACTIVATION_SOFTPLUS: body.run(SoftplusCurve.self)
  case XFER_ACTIVATION_SOFTSIGN: body.run(SoftsignCurve.self)
  case XFER_ACTIVATION_EXPONENTIAL: body.run(ExponentialCurve.self)
  case XFER_ACTIVATION_HARD_SIGMOID: body.run(HardSigmoidCurve.self)
  case XFER_ACTIVATION_HARD_SILU: body.run(HardSiluCurve.self)
  default: body.run(LinearCurve.self)
  }
}

/// Whether the output tells the slope.
func hasOutputSlope(_ a: xfer_activation) -> Bool {
  switch Int(a.kind) {
  case XFER_ACTIVATION_LINEAR, XFER_ACTIVATION_SIGMOID, XFER_ACTIVATION_TANH, XFER_ACTIVATION_EXPONENTIAL: true
  case XFER_ACTIVATION_RELU: a.alpha == 0 && a.threshold == 0
  default: false
  }
}

@inline(__always) func withOutputCurve<Body: CurveBody>(_ kind: Int32, _ body: inout Body) {
  switch Int(kind) {
  case XFER_ACTIVATION_RELU: body.run(ReluOutput.self)
  case XFER_ACTIVATION_SIGMOID: body.run(SigmoidOutput.self)
  case XFER_ACTIVATION_TANH: body.run(TanhOutput.self)
  case XFER_ACTIVATION_EXPONENTIAL: body.run(ExponentialOutput.self)
  default: body.run(LinearCurve.self)
  }
}
