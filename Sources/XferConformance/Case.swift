import CXfer

/// A tensor with its contents.
struct CaseTensor {
  var desc: xfer_tensor_desc
  var bytes: [UInt8]

  init<T: BitwiseCopyable>(_ dtype: xfer_dtype, _ shape: [Int], _ values: [T]) {
    desc = describe(dtype, shape)
    bytes = values.withUnsafeBytes { Array($0) }
  }

  init(_ shape: [Int], _ values: [Float]) { self.init(XFER_F32, shape, values) }

  /// Floats evenly spread over [low, high].
  init(random: inout Random, _ shape: [Int], _ low: Float = -1, _ high: Float = 1) {
    self.init(shape, (0..<shape.reduce(1, *)).map { _ in random.float(low, high) })
  }

  var floats: [Float] {
    get { bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } }
    set { bytes = newValue.withUnsafeBytes { Array($0) } }
  }
}

func describe(_ dtype: xfer_dtype, _ shape: [Int]) -> xfer_tensor_desc {
  var desc = xfer_tensor_desc(dtype: dtype, rank: Int32(shape.count), dims: (1, 1, 1, 1, 1, 1, 1, 1))
  withUnsafeMutableBytes(of: &desc.dims) { dims in
    for (axis, size) in shape.enumerated() { dims.storeBytes(of: Int64(size), toByteOffset: axis * 8, as: Int64.self) }
  }
  return desc
}

func floats(_ shape: [Int]) -> xfer_tensor_desc { describe(XFER_F32, shape) }

extension xfer_tensor_desc {
  var shape: [Int] { withUnsafeBytes(of: dims) { dims in (0..<Int(rank)).map { Int(dims.load(fromByteOffset: $0 * 8, as: Int64.self)) } } }
  var elementCount: Int { shape.reduce(1, *) }
  var elementSize: Int {
    switch dtype {
    case XFER_F64, XFER_I64: 8
    case XFER_F32, XFER_I32: 4
    case XFER_BF16, XFER_F16: 2
    default: 1
    }
  }
  var byteCount: Int { elementCount * elementSize }
}

/// How far a result may be from the reference: `|got − want| ≤ relative·|want| + absolute + magnitude·M`.
///
/// M is the reference's result for the absolute values of all inputs, without an activation: the size of what was summed, which is what
/// rounding errors are proportional to (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2).
struct Tolerance {
  var relative = 0.0
  var absolute = 0.0
  var magnitude = 0.0

  static let exact = Tolerance()
  /// Sums in float, in whatever order.
  static let sums = Tolerance(relative: 1e-6, magnitude: 2e-6)
  /// A few roundings an element.
  static let elementwise = Tolerance(relative: 2e-6, absolute: 1e-30)
  /// Through an approximation of exp, log, tanh or erf.
  static let curves = Tolerance(relative: 1e-5, absolute: 2e-6)
}

/// One op with everything it needs to run.
struct Case {
  let op: Int
  var inputs: [CaseTensor]
  var outputs: [xfer_tensor_desc]
  /// The attribute structure's bytes; empty for an op without.
  var attributes: [UInt8]
  /// The attributes in plain words.
  var detail = ""
  var tolerance: Tolerance
  /// XFER_PRECISION_*.
  var precision = Int32(XFER_PRECISION_FLOAT32)
  /// Some tensors are of bfloat16, which the reference takes as floats.
  var hasHalves = false
  /// Attributes without an activation, for the run on absolute values.
  var linearAttributes: [UInt8]?
  /// Inputs a plan would hold constant: the weights.
  var constants: UInt64 = 0
  /// Each entry: outputs that share inputs' memory in one run, output number to input number.
  var aliases: [[Int: Int]] = []

  init(_ op: Int, _ inputs: [CaseTensor], _ outputs: [xfer_tensor_desc], _ attributes: [UInt8] = [], _ tolerance: Tolerance) {
    (self.op, self.inputs, self.outputs, self.attributes, self.tolerance) = (op, inputs, outputs, attributes, tolerance)
  }

  var description: String {
    let shapes = { (list: [xfer_tensor_desc]) in list.map { "\(dtypeWord($0.dtype))\($0.shape)" }.joined(separator: " ") }
    let rounding = precision == Int32(XFER_PRECISION_BFLOAT16) ? " bfloat16" : ""
    return "\(shapes(inputs.map(\.desc))) -> \(shapes(outputs))\(detail.isEmpty ? "" : " \(detail)")\(rounding)"
  }

  /// The same op with its factors rounded to bfloat16, or as it is where the op has no products or stretches their errors too far.
  ///
  /// Each of the two factors is off by 2^-9 of itself at most; twice that for the slope of an activation.
  func inBFloat16() -> Case {
    let products = [
      XFER_OP_MATMUL, XFER_OP_CONV2D, XFER_OP_CONV2D_BACKWARD_INPUT, XFER_OP_CONV2D_BACKWARD_KERNEL, XFER_OP_SEPARABLE_CONV2D,
    ]
    // A rectifier with a threshold jumps there.
    let jumps = detail.contains("threshold ") && !(detail + " ").contains("threshold 0.0 ")
    guard products.contains(op), !jumps, !detail.contains("activation \(XFER_ACTIVATION_EXPONENTIAL) ") else { return self }
    var test = self
    test.precision = Int32(XFER_PRECISION_BFLOAT16)
    test.tolerance.magnitude += 2 * 0x1p-8
    return test
  }
}

func dtypeWord(_ dtype: xfer_dtype) -> String {
  let words = ["?", "f32", "f64", "bf16", "f16", "u8", "i32", "i64", "bool"]
  return words.indices.contains(Int(dtype)) ? words[Int(dtype)] : "?"
}

/// The bytes of an attribute structure.
func attributeBytes<A: BitwiseCopyable>(_ attributes: A) -> [UInt8] { withUnsafeBytes(of: attributes) { Array($0) } }

func sized<A>(_: A.Type) -> Int { MemoryLayout<A>.size }

/// The ops' names, as reports have them.
public var conformanceOps: [String] { opNames.map(\.name) }

/// Every op, by number.
let opNames: [(op: Int, name: String)] = [
  (XFER_OP_MATMUL, "matmul"), (XFER_OP_CONV2D, "conv2d"), (XFER_OP_CONV2D_BACKWARD_INPUT, "conv2d_backward_input"),
  (XFER_OP_CONV2D_BACKWARD_KERNEL, "conv2d_backward_kernel"), (XFER_OP_DEPTHWISE_CONV2D, "depthwise_conv2d"),
  (XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT, "depthwise_conv2d_backward_input"),
  (XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL, "depthwise_conv2d_backward_kernel"), (XFER_OP_POOL2D, "pool2d"),
  (XFER_OP_POOL2D_BACKWARD, "pool2d_backward"), (XFER_OP_REDUCE, "reduce"), (XFER_OP_BROADCAST, "broadcast"),
  (XFER_OP_ACTIVATION, "activation"), (XFER_OP_ACTIVATION_BACKWARD, "activation_backward"), (XFER_OP_SOFTMAX, "softmax"),
  (XFER_OP_SOFTMAX_BACKWARD, "softmax_backward"), (XFER_OP_BINARY, "binary"), (XFER_OP_SCALE_SHIFT, "scale_shift"),
  (XFER_OP_MOMENTS, "moments"), (XFER_OP_NORMALIZE_PARAMETERS, "normalize_parameters"),
  (XFER_OP_BATCHNORM_BACKWARD_REDUCE, "batchnorm_backward_reduce"), (XFER_OP_BATCHNORM_BACKWARD_INPUT, "batchnorm_backward_input"),
  (XFER_OP_CONCAT, "concat"), (XFER_OP_SLICE, "slice"), (XFER_OP_PAD, "pad"), (XFER_OP_DROPOUT, "dropout"),
  (XFER_OP_PERMUTE_CHANNELS, "permute_channels"), (XFER_OP_CAST, "cast"), (XFER_OP_RESIZE_BILINEAR, "resize_bilinear"),
  (XFER_OP_BINARY_CROSSENTROPY, "binary_crossentropy"), (XFER_OP_BINARY_CROSSENTROPY_BACKWARD, "binary_crossentropy_backward"),
  (XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY, "sparse_categorical_crossentropy"),
  (XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY_BACKWARD, "sparse_categorical_crossentropy_backward"), (XFER_OP_SGD, "sgd"),
  (XFER_OP_ADAM, "adam"), (XFER_OP_LERP, "lerp"), (XFER_OP_UNARY, "unary"), (XFER_OP_TRANSPOSE, "transpose"), (XFER_OP_GATHER, "gather"),
  (XFER_OP_GATHER_BACKWARD, "gather_backward"), (XFER_OP_RANDOM, "random"), (XFER_OP_SELECT, "select"),
  (XFER_OP_IMAGE_TRANSFORM, "image_transform"),
  (XFER_OP_SEPARABLE_CONV2D, "separable_conv2d"),
]
