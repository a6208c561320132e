import CXfer

/// Reading descriptions. Nothing here trusts more than the header promises: an op is taken only when its tensors
/// are what the formula needs.

extension xfer_tensor_desc {
  var isFloat: Bool { dtype == XFER_F32 }
  var isHalf: Bool { dtype == XFER_BF16 }
  var elements: ElementKind { isHalf ? .halves : .floats }
  var count: Int {
    var n = 1
    for i in 0..<Int(rank) { n &*= self[i] }
    return n
  }
  subscript(_ axis: Int) -> Int {
    switch axis {
    case 0: return Int(dims.0)
    case 1: return Int(dims.1)
    case 2: return Int(dims.2)
    case 3: return Int(dims.3)
    case 4: return Int(dims.4)
    case 5: return Int(dims.5)
    case 6: return Int(dims.6)
    default: return Int(dims.7)
    }
  }
  var last: Int { rank == 0 ? 1 : self[Int(rank) - 1] }
  /// The product of all dimensions but the last.
  var outer: Int {
    var n = 1
    for i in 0..<(rank > 0 ? Int(rank) - 1 : 0) { n &*= self[i] }
    return n
  }
  func isSame(_ other: xfer_tensor_desc) -> Bool {
    if rank != other.rank { return false }
    for i in 0..<Int(rank) where self[i] != other[i] { return false }
    return true
  }
  func isVector(_ n: Int) -> Bool { rank == 1 && self[0] == n && isFloat }
}

extension xfer_op_desc {
  func input(_ i: Int) -> xfer_tensor_desc { inputs[i] }
  func output(_ i: Int) -> xfer_tensor_desc { outputs[i] }
  func has(_ inputCount: Int, _ outputCount: Int) -> Bool {
    n_inputs == UInt32(inputCount) && n_outputs == UInt32(outputCount) && inputs != nil && outputs != nil
  }
  /// Every tensor is of floats and none is empty.
  var allFloats: Bool {
    for i in 0..<Int(n_inputs) where !inputs[i].isFloat || inputs[i].count <= 0 { return false }
    for i in 0..<Int(n_outputs) where !outputs[i].isFloat || outputs[i].count <= 0 { return false }
    return true
  }
  /// What the tensors an op goes over are made of: all of the first `inputs` inputs and, with `output`, the first output alike. Every
  /// other tensor is of floats. nil where that is not so or one is empty.
  func elements(inputs count: Int, output: Bool = true) -> ElementKind? {
    let kind: ElementKind = inputs[0].isHalf ? .halves : .floats
    for i in 0..<Int(n_inputs) {
      let fits = i < count ? inputs[i].dtype == inputs[0].dtype : inputs[i].isFloat
      if !fits || inputs[i].count <= 0 { return nil }
    }
    for i in 0..<Int(n_outputs) {
      let fits = output && i == 0 ? outputs[i].dtype == inputs[0].dtype : outputs[i].isFloat
      if !fits || outputs[i].count <= 0 { return nil }
    }
    return inputs[0].isHalf || inputs[0].isFloat ? kind : nil
  }
  /// Of a convolution's description: images are of floats or of bfloat16, the residual is of what the result is of, everything else of
  /// floats; none is empty.
  func areImages(_ hasResidual: Bool) -> Bool {
    for i in 0..<Int(n_inputs) {
      let x = inputs[i]
      if x.count <= 0 { return false }
      let isResidual = hasResidual && i == Int(n_inputs) - 1
      let fits = isResidual ? x.dtype == outputs[0].dtype : x.isFloat || (x.isHalf && (i == 0 || isGradientOfKernel && i == 1))
      if !fits { return false }
    }
    return outputs[0].count > 0 && (outputs[0].isFloat || (outputs[0].isHalf && !isGradientOfKernel))
  }
  var isGradientOfKernel: Bool {
    op == Int32(XFER_OP_CONV2D_BACKWARD_KERNEL) || op == Int32(XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL)
  }
  func attributes<T>(_: T.Type) -> UnsafePointer<T>? {
    attributes?.assumingMemoryBound(to: T.self)
  }
  func isPacked(_ input: Int) -> Bool { packed_inputs >> UInt64(input) & 1 != 0 }
}

/// What tensors between layers are made of: see `Element`.
enum ElementKind {
  case floats
  case halves

  /// Bytes of an element, as a shift.
  @inline(__always) var shift: Int { self == .halves ? 1 : 2 }
}

/// A convolution's numbers. x is the image on the input side of the forward op, y on its output side.
struct ConvShape {
  var batch = 0
  var height = 0
  var width = 0
  var channels = 0
  var outHeight = 0
  var outWidth = 0
  var outChannels = 0
  var kernelHeight = 0
  var kernelWidth = 0
  var strideH = 1
  var strideW = 1
  var dilationH = 1
  var dilationW = 1
  var top = 0
  var left = 0
  var groups = 1

  var taps: Int { kernelHeight &* kernelWidth }

  /// From the image, the kernel, the result and the attributes, of which `groups` is not read; nil when they do not belong together.
  init?(x: xfer_tensor_desc, kernel: xfer_tensor_desc, y: xfer_tensor_desc, _ a: xfer_conv_attributes, groups: Int = 1) {
    guard x.rank == 4, kernel.rank == 4, y.rank == 4, x[0] == y[0], groups > 0, x[3] == kernel[2] &* groups else { return nil }
    guard a.stride_h > 0, a.stride_w > 0, a.dilation_h > 0, a.dilation_w > 0 else { return nil }
    guard a.pad_top >= 0, a.pad_bottom >= 0, a.pad_left >= 0, a.pad_right >= 0 else { return nil }
    batch = x[0]
    height = x[1]
    width = x[2]
    channels = x[3]
    outHeight = y[1]
    outWidth = y[2]
    outChannels = y[3]
    kernelHeight = kernel[0]
    kernelWidth = kernel[1]
    strideH = Int(a.stride_h)
    strideW = Int(a.stride_w)
    dilationH = Int(a.dilation_h)
    dilationW = Int(a.dilation_w)
    top = Int(a.pad_top)
    left = Int(a.pad_left)
    self.groups = groups
    let spanH = height &+ top &+ Int(a.pad_bottom) &- ((kernelHeight &- 1) &* dilationH &+ 1)
    let spanW = width &+ left &+ Int(a.pad_right) &- ((kernelWidth &- 1) &* dilationW &+ 1)
    guard spanH >= 0, spanW >= 0, spanH / strideH + 1 == outHeight, spanW / strideW + 1 == outWidth else { return nil }
  }
}
