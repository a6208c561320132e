import CXfer

/// Cases whose images, the tensors that layers hand to each other, are of bfloat16.
extension Case {
  /// The same op with its images rounded to bfloat16, of those that a backend may take either way a random choice; nil for an op that
  /// knows no others than floats. Results in bfloat16 are off by 2^-8 of themselves at most beside what they are off by in float.
  func inHalves(_ random: inout Random) -> Case? {
    var test = self
    // As bits: inputs and outputs.
    var (read, written) = (1, 1)
    switch op {
    case XFER_OP_CONV2D, XFER_OP_CONV2D_BACKWARD_INPUT, XFER_OP_SEPARABLE_CONV2D:
      test = inBFloat16()
      (read, written) = random.pick([(1, 1), (1, 1), (1, 0), (0, 1)])
      if written == 1, let residual { read |= 1 << residual }
    case XFER_OP_CONV2D_BACKWARD_KERNEL:
      test = inBFloat16()
      (read, written) = random.pick([(3, 0), (3, 0), (1, 0), (2, 0)])
    case XFER_OP_DEPTHWISE_CONV2D: if let residual { read |= 1 << residual }
    case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_KERNEL, XFER_OP_BATCHNORM_BACKWARD_REDUCE: (read, written) = (3, 0)
    case XFER_OP_MOMENTS, XFER_OP_REDUCE: written = 0
    case XFER_OP_BATCHNORM_BACKWARD_INPUT, XFER_OP_ACTIVATION_BACKWARD: read = 3
    case XFER_OP_POOL2D_BACKWARD, XFER_OP_BINARY, XFER_OP_CONCAT: read = 1 << inputs.count - 1
    case XFER_OP_DEPTHWISE_CONV2D_BACKWARD_INPUT, XFER_OP_POOL2D, XFER_OP_SCALE_SHIFT, XFER_OP_ACTIVATION: break
    default: return nil
    }
    test.hasHalves = true
    for i in test.inputs.indices where read >> i & 1 == 1 {
      guard test.inputs[i].desc.dtype == XFER_F32 else { return nil }
      let bits = test.inputs[i].floats.map(bfloat16)
      test.inputs[i].bytes = bits.withUnsafeBytes { Array($0) }
      test.inputs[i].desc.dtype = XFER_BF16
    }
    for i in test.outputs.indices where written >> i & 1 == 1 { test.outputs[i].dtype = XFER_BF16 }
    return test
  }

  /// Which input is added to the result: the last, where there is one more than the bias.
  private var residual: Int? {
    guard inputs.count > 2, let last = inputs.last, last.desc.shape == outputs[0].shape, last.desc.rank == 4 else { return nil }
    return inputs.count - 1
  }

  /// The same case in floats, for the reference.
  var widened: Case {
    guard hasHalves else { return self }
    var test = self
    for i in inputs.indices where inputs[i].desc.dtype == XFER_BF16 {
      test.inputs[i].desc.dtype = XFER_F32
      test.inputs[i].floats = inputs[i].bytes.withUnsafeBytes { bytes in
        (0..<bytes.count / 2).map { fromBFloat16(bytes.loadUnaligned(fromByteOffset: 2 * $0, as: UInt16.self)) }
      }
    }
    for i in outputs.indices { test.outputs[i].dtype = XFER_F32 }
    return test
  }
}

/// The nearest, halves to even; NaN stays NaN.
private func bfloat16(_ x: Float) -> UInt16 {
  x.isNaN ? 0x7FC0 : UInt16(truncatingIfNeeded: (x.bitPattern &+ 0x7FFF &+ (x.bitPattern >> 16 & 1)) >> 16)
}

func fromBFloat16(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }
