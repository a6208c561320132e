public import CXfer
public import XferCore

/// The primitive operations of a graph: the numbers of `XFER_OP_*`, which documents each.
public enum OpKind: Int32, Sendable, CaseIterable {
  case matmul = 1
  case conv2D, conv2DBackwardInput, conv2DBackwardKernel
  case depthwiseConv2D, depthwiseConv2DBackwardInput, depthwiseConv2DBackwardKernel
  case pool2D, pool2DBackward, reduce, broadcast, activation, activationBackward, softmax, softmaxBackward, binary
  case scaleShift, moments, normalizeParameters, batchNormBackwardReduce, batchNormBackwardInput
  case concat, slice, pad, dropout, permuteChannels, cast, resizeBilinear
  case binaryCrossentropy, binaryCrossentropyBackward
  case sparseCategoricalCrossentropy, sparseCategoricalCrossentropyBackward
  case sgd, adam, lerp
  case unary, transpose, gather, gatherBackward, random, select, imageTransform, separableConv2D
  /// A function of the program's own, run by the runtime itself: no backend knows it.
  case custom = -1

  /// The name reports print.
  public var name: String { "\(self)" }
}

/// The attribute structure of an op, as a backend sees it.
public enum OpAttributes {
  case none
  case matmul(xfer_matmul_attributes)
  case conv(xfer_conv_attributes)
  case pool(xfer_pool_attributes)
  case reduce(xfer_reduce_attributes)
  case broadcast(xfer_broadcast_attributes)
  case activation(xfer_activation_attributes)
  case binary(xfer_binary_attributes)
  case normalize(xfer_normalize_attributes)
  case axis(xfer_axis_attributes)
  case box(xfer_box_attributes)
  case dropout(xfer_dropout_attributes)
  case crossentropy(xfer_crossentropy_attributes)
  case sgd(xfer_sgd_attributes)
  case adam(xfer_adam_attributes)
  case lerp(xfer_lerp_attributes)
  case unary(xfer_unary_attributes)
  case transpose(xfer_transpose_attributes)
  case random(xfer_random_attributes)
  case imageTransform(xfer_image_transform_attributes)
  case separable(xfer_separable_conv_attributes)
  case custom(CustomOp)

  /// Calls `body` with the structure's address, nil for an op without attributes.
  func withPointer<T>(_ body: (UnsafeRawPointer?) throws -> T) rethrows -> T {
    func pass<A>(_ value: A) throws -> T { try withUnsafePointer(to: value) { try body(UnsafeRawPointer($0)) } }
    return try {
      switch self {
      case .none: try body(nil)
      case .matmul(let value): try pass(value)
      case .conv(let value): try pass(value)
      case .pool(let value): try pass(value)
      case .reduce(let value): try pass(value)
      case .broadcast(let value): try pass(value)
      case .activation(let value): try pass(value)
      case .binary(let value): try pass(value)
      case .normalize(let value): try pass(value)
      case .axis(let value): try pass(value)
      case .box(let value): try pass(value)
      case .dropout(let value): try pass(value)
      case .crossentropy(let value): try pass(value)
      case .sgd(let value): try pass(value)
      case .adam(let value): try pass(value)
      case .lerp(let value): try pass(value)
      case .unary(let value): try pass(value)
      case .transpose(let value): try pass(value)
      case .random(let value): try pass(value)
      case .imageTransform(let value): try pass(value)
      case .separable(let value): try pass(value)
      case .custom: try body(nil)
      }
    }()
  }

  /// The bytes of the fields, for comparing and hashing: not those that fill the structure up behind the last field, which can be anything.
  var bytes: [UInt8] {
    withPointer { pointer in Array(UnsafeRawBufferPointer(start: pointer, count: fieldBytes)) }
  }

  private var fieldBytes: Int {
    func upTo<A, F>(_ last: KeyPath<A, F>) -> Int { MemoryLayout<A>.offset(of: last).map { $0 + MemoryLayout<F>.size } ?? 0 }
    return switch self {
    case .none, .custom: 0
    case .matmul: upTo(\xfer_matmul_attributes.activation)
    case .conv: upTo(\xfer_conv_attributes.activation)
    case .pool: upTo(\xfer_pool_attributes.pad_right)
    case .reduce: upTo(\xfer_reduce_attributes.kind)
    case .broadcast: upTo(\xfer_broadcast_attributes.scale)
    case .activation: upTo(\xfer_activation_attributes.saved_is_output)
    case .binary: upTo(\xfer_binary_attributes.kind)
    case .normalize: upTo(\xfer_normalize_attributes.epsilon)
    case .axis: upTo(\xfer_axis_attributes.axis)
    case .box: upTo(\xfer_box_attributes.value)
    case .dropout: upTo(\xfer_dropout_attributes.rate)
    case .crossentropy: upTo(\xfer_crossentropy_attributes.label_smoothing)
    case .sgd: upTo(\xfer_sgd_attributes.nesterov)
    case .adam: upTo(\xfer_adam_attributes.epsilon)
    case .lerp: upTo(\xfer_lerp_attributes.t)
    case .unary: upTo(\xfer_unary_attributes.kind)
    case .transpose: upTo(\xfer_transpose_attributes.order)
    case .random: upTo(\xfer_random_attributes.kind)
    case .imageTransform: upTo(\xfer_image_transform_attributes.fill_value)
    case .separable: upTo(\xfer_separable_conv_attributes.activation)
    }
  }
}

extension xfer_activation {
  public static var linear: xfer_activation { .init(kind: Int32(XFER_ACTIVATION_LINEAR), alpha: 0, max_value: .infinity, threshold: 0) }
  public static func of(_ kind: Int, alpha: Float = 0, maxValue: Float = .infinity, threshold: Float = 0) -> xfer_activation {
    .init(kind: Int32(kind), alpha: alpha, max_value: maxValue, threshold: threshold)
  }
  public var isLinear: Bool { kind == Int32(XFER_ACTIVATION_LINEAR) }

  /// Whether the gradient can be had from the activation's output alone.
  var gradientFromOutput: Bool {
    switch Int(kind) {
    case Int(XFER_ACTIVATION_RELU): alpha == 0 && threshold == 0
    case Int(XFER_ACTIVATION_SIGMOID), Int(XFER_ACTIVATION_TANH), Int(XFER_ACTIVATION_EXPONENTIAL): true
    default: false
    }
  }
}

/// `struct_size` of a C structure.
func sized<T>(_: T.Type) -> Int { MemoryLayout<T>.size }
