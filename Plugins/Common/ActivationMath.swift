import CPluginMath
import CXfer

private let seluAlpha = 1.6732632423543772
private let seluScale = 1.0507009873554805
/// √(2/π) and the cubic coefficient of the tanh form of GELU (Hendrycks & Gimpel 2016).
private let geluRoot = 0.7978845608028654
private let geluCubic = 0.044715
private let inverseRoot2 = 0.7071067811865476
private let inverseRoot2Pi = 0.3989422804014327

/// 1/(1+exp(-x)) without overflow on either side.
func sigmoid(_ x: Double) -> Double {
  if x >= 0 { return 1 / (1 + xfer_exp(-x)) }
  let e = xfer_exp(x)
  return e / (1 + e)
}

/// log(1+exp(x)) without overflow.
func softplus(_ x: Double) -> Double { max(x, 0) + xfer_log1p(xfer_exp(-xfer_fabs(x))) }

private func hardSigmoid(_ x: Double) -> Double { min(max(x + 3, 0), 6) / 6 }

@inline(__always)
func activate(_ x: Double, _ activation: xfer_activation) -> Double {
  if activation.kind == Int32(XFER_ACTIVATION_LINEAR) { return x }
  if activation.kind == Int32(XFER_ACTIVATION_RELU) {
    if x >= Double(activation.max_value) { return Double(activation.max_value) }
    return x >= Double(activation.threshold) || x.isNaN ? x : Double(activation.alpha) * (x - Double(activation.threshold))
  }
  return curved(x, activation)
}

private func curved(_ x: Double, _ activation: xfer_activation) -> Double {
  switch Int(activation.kind) {
  case XFER_ACTIVATION_SIGMOID: return sigmoid(x)
  case XFER_ACTIVATION_TANH: return xfer_tanh(x)
  case XFER_ACTIVATION_ELU: return x > 0 ? x : Double(activation.alpha) * xfer_expm1(x)
  case XFER_ACTIVATION_SELU: return seluScale * (x > 0 ? x : seluAlpha * xfer_expm1(x))
  case XFER_ACTIVATION_SILU: return x * sigmoid(x)
  case XFER_ACTIVATION_GELU: return 0.5 * x * (1 + xfer_erf(x * inverseRoot2))
  case XFER_ACTIVATION_GELU_TANH: return 0.5 * x * (1 + xfer_tanh(geluRoot * (x + geluCubic * x * x * x)))
  case XFER_ACTIVATION_SOFTPLUS: return softplus(x)
  case XFER_ACTIVATION_SOFTSIGN: return x / (1 + xfer_fabs(x))
  case XFER_ACTIVATION_EXPONENTIAL: return xfer_exp(x)
  case XFER_ACTIVATION_HARD_SIGMOID: return hardSigmoid(x)
  case XFER_ACTIVATION_HARD_SILU: return x * hardSigmoid(x)
  default: return x
  }
}

/// dy/dx at the input x. At a kink the gradient is that of the left side, as in TensorFlow's and PyTorch's ReLU.
func slope(_ x: Double, _ activation: xfer_activation) -> Double {
  switch Int(activation.kind) {
  case XFER_ACTIVATION_RELU:
    if x >= Double(activation.max_value) { return 0 }
    return x > Double(activation.threshold) ? 1 : Double(activation.alpha)
  case XFER_ACTIVATION_SIGMOID:
    let s = sigmoid(x)
    return s * (1 - s)
  case XFER_ACTIVATION_TANH:
    let t = xfer_tanh(x)
    return 1 - t * t
  case XFER_ACTIVATION_ELU: return x > 0 ? 1 : Double(activation.alpha) * xfer_exp(x)
  case XFER_ACTIVATION_SELU: return seluScale * (x > 0 ? 1 : seluAlpha * xfer_exp(x))
  case XFER_ACTIVATION_SILU:
    let s = sigmoid(x)
    return s * (1 + x * (1 - s))
  case XFER_ACTIVATION_GELU:
    return 0.5 * (1 + xfer_erf(x * inverseRoot2)) + x * inverseRoot2Pi * xfer_exp(-0.5 * x * x)
  case XFER_ACTIVATION_GELU_TANH:
    let t = xfer_tanh(geluRoot * (x + geluCubic * x * x * x))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * geluRoot * (1 + 3 * geluCubic * x * x)
  case XFER_ACTIVATION_SOFTPLUS: return sigmoid(x)
  case XFER_ACTIVATION_SOFTSIGN:
    let d = 1 + xfer_fabs(x)
    return 1 / (d * d)
  case XFER_ACTIVATION_EXPONENTIAL: return xfer_exp(x)
  case XFER_ACTIVATION_HARD_SIGMOID: return x > -3 && x < 3 ? 1.0 / 6 : 0
  case XFER_ACTIVATION_HARD_SILU: return x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6
  default: return 1
  }
}

/// dy/dx from the output y, for the activations whose output tells it.
func slopeFromOutput(_ y: Double, _ activation: xfer_activation) -> Double {
  switch Int(activation.kind) {
  case XFER_ACTIVATION_RELU: y > 0 && y < Double(activation.max_value) ? 1 : 0
  case XFER_ACTIVATION_SIGMOID: y * (1 - y)
  case XFER_ACTIVATION_TANH: 1 - y * y
  case XFER_ACTIVATION_EXPONENTIAL: y
  default: 1
  }
}
