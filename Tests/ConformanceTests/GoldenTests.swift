import CXfer
import Testing

@testable import XferConformance

/// Numbers worked out by hand or from the definitions, which no other kernel of ours has a part in.
@Suite("Known results of the reference backend") struct GoldenTests {
  @Test("Adam moves a weight by its rate where the gradient is far above epsilon")
  func adam() throws {
    // Keras: w = 2, g = 1e-6, one step of the default optimizer gives 1.9997598.
    let alpha = Float(0.001 * (1 - 0.999).squareRoot() / (1 - 0.9))
    let attributes = xfer_adam_attributes(struct_size: sized(xfer_adam_attributes.self), beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7)
    let inputs = [2, 0, 0, 1e-6, alpha].map { CaseTensor([1], [$0]) }
    let results = try runAll(XFER_OP_ADAM, inputs, [[1], [1], [1]], attributeBytes(attributes))
    #expect((results[0][0] - 1.9997598).magnitude < 3e-7)
    #expect((results[1][0] - 1e-7).magnitude < 1e-12)
  }

  @Test("SGD with and without momentum, and Nesterov's")
  func sgd() throws {
    func step(_ momentum: Float, _ nesterov: Int32) throws -> [Float] {
      let attributes = xfer_sgd_attributes(struct_size: sized(xfer_sgd_attributes.self), momentum: momentum, nesterov: nesterov)
      let inputs = [1, 0.5, 2, 0.25].map { CaseTensor([1], [$0]) }
      return try runAll(XFER_OP_SGD, inputs, [[1], [1]], attributeBytes(attributes)).map { $0[0] }
    }
    #expect(try step(0.5, 0) == [0.75, -0.25])
    #expect(try step(0.5, 1) == [0.375, -0.25])
  }

  @Test("resizing takes half-pixel centres and does not smooth")
  func resize() throws {
    #expect(try run(XFER_OP_RESIZE_BILINEAR, [CaseTensor([1, 1, 4, 1], [0, 1, 2, 3])], [1, 1, 2, 1]) == [0.5, 2.5])
    #expect(try run(XFER_OP_RESIZE_BILINEAR, [CaseTensor([1, 2, 1, 1], [0, 4])], [1, 4, 1, 1]) == [0, 1, 3, 4])
  }

  @Test("padding never wins a maximum and is not counted by an average")
  func pool() throws {
    var attributes = xfer_pool_attributes()
    attributes.struct_size = sized(xfer_pool_attributes.self)
    (attributes.window_h, attributes.window_w, attributes.stride_h, attributes.stride_w) = (2, 2, 2, 2)
    (attributes.pad_bottom, attributes.pad_right) = (1, 1)
    let x = CaseTensor([1, 3, 3, 1], [-1, -2, -3, -4, -5, -6, -7, -8, -9])
    attributes.kind = Int32(XFER_POOL_MAX)
    let maximum = try run(XFER_OP_POOL2D, [x], [1, 2, 2, 1], attributeBytes(attributes))
    #expect(maximum == [-1, -3, -7, -9])
    attributes.kind = Int32(XFER_POOL_AVERAGE)
    #expect(try run(XFER_OP_POOL2D, [x], [1, 2, 2, 1], attributeBytes(attributes)) == [-3, -4.5, -7.5, -9])
  }

  @Test("the gradient of a maximum goes to the first of equals")
  func poolTies() throws {
    var attributes = xfer_pool_attributes()
    attributes.struct_size = sized(xfer_pool_attributes.self)
    (attributes.window_h, attributes.window_w, attributes.stride_h, attributes.stride_w) = (1, 2, 1, 1)
    let x = CaseTensor([1, 1, 3, 1], [5, 5, 5])
    let (y, dy) = (CaseTensor([1, 1, 2, 1], [5, 5]), CaseTensor([1, 1, 2, 1], [1, 10]))
    #expect(try run(XFER_OP_POOL2D_BACKWARD, [x, y, dy], [1, 1, 3, 1], attributeBytes(attributes)) == [1, 10, 0])
  }

  @Test("binary crossentropy by logits and by clipped probabilities")
  func binaryCrossentropy() throws {
    func loss(_ truth: Float, _ prediction: Float, logits: Int32, smoothing: Float = 0) throws -> Float {
      let attributes = xfer_crossentropy_attributes(
        struct_size: sized(xfer_crossentropy_attributes.self), from_logits: logits, label_smoothing: smoothing)
      return try run(
        XFER_OP_BINARY_CROSSENTROPY, [CaseTensor([1, 1], [truth]), CaseTensor([1, 1], [prediction])], [1], attributeBytes(attributes))[0]
    }
    #expect((try loss(1, 0, logits: 1) - 0.6931472).magnitude < 1e-6)
    #expect(try loss(0, 100, logits: 1) == 100)
    #expect((try loss(1, 0, logits: 0) - 16.118095).magnitude < 1e-5)
    #expect((try loss(1, 0.25, logits: 0, smoothing: 0.2) - (0.9 * 1.3862944 + 0.1 * 0.2876821)).magnitude < 1e-6)
  }

  @Test("sparse crossentropy, and a label that names no class")
  func sparseCrossentropy() throws {
    let attributes = xfer_crossentropy_attributes(
      struct_size: sized(xfer_crossentropy_attributes.self), from_logits: 0, label_smoothing: 0)
    let labels = CaseTensor(XFER_I32, [3], [1, 2, 0] as [Int32])
    let loss = try run(
      XFER_OP_SPARSE_CATEGORICAL_CROSSENTROPY, [labels, CaseTensor([3, 2], [1, 3, 1, 1, 2, 2])], [3], attributeBytes(attributes))
    #expect((loss[0] - 0.2876821).magnitude < 1e-6)
    #expect(loss[1].isNaN)
    #expect((loss[2] - 0.6931472).magnitude < 1e-6)
  }

  @Test("dropout keeps what its counter says and is repeatable")
  func dropout() throws {
    let attributes = xfer_dropout_attributes(struct_size: sized(xfer_dropout_attributes.self), rate: 0.25)
    let x = CaseTensor([4000], Array(repeating: 3, count: 4000))
    let state = CaseTensor(XFER_I64, [2], [42, 7] as [Int64])
    let y = try run(XFER_OP_DROPOUT, [x, state], [4000], attributeBytes(attributes))
    #expect(Set(y) == [0, 4])
    let kept = y.filter { $0 != 0 }.count
    #expect((2900...3100).contains(kept))
    func mix(_ value: UInt64) -> UInt64 {
      var z = value &+ 0x9E37_79B9_7F4A_7C15
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    for i in [0, 1, 17, 3999] {
      let uniform = Double(mix(mix(42 ^ mix(7)) &+ UInt64(i)) >> 40) / 16_777_216
      #expect((y[i] != 0) == (uniform >= 0.25))
    }
  }

  @Test("casts round halves to even and saturate")
  func casts() throws {
    func cast(_ values: [Float], _ dtype: xfer_dtype) throws -> [UInt8] {
      guard let reference else { throw Failure(reason: "the reference has no table") }
      return try reference.run(Case(XFER_OP_CAST, [CaseTensor([values.count], values)], [describe(dtype, [values.count])], [], .exact))[0]
    }
    #expect(try cast([0.5, 1.5, 2.5, -3, 254.5, 300], XFER_U8) == [0, 2, 2, 0, 254, 255])
    #expect(try cast([0, 0.1, -2], XFER_BOOL) == [0, 1, 1])
    let halves = try cast([1, -2, 65504, 65520, 5.9604645e-8, 0.333251953125], XFER_F16)
    #expect(halves == [0x00, 0x3C, 0x00, 0xC0, 0xFF, 0x7B, 0x00, 0x7C, 0x01, 0x00, 0x55, 0x35])
    // 1 + 2⁻⁸ lies between two bfloat16: the even one is 1.
    #expect(try cast([1, 1.00390625, 1.01171875], XFER_BF16) == [0x80, 0x3F, 0x80, 0x3F, 0x82, 0x3F])
  }

  @Test("the activations at known points")
  func activations() throws {
    let points: [(kind: Int, x: Float, y: Float)] = [
      (XFER_ACTIVATION_SIGMOID, 1, 0.7310586), (XFER_ACTIVATION_TANH, 0.5, 0.46211717), (XFER_ACTIVATION_ELU, -1, -0.63212055),
      (XFER_ACTIVATION_SELU, -1, -1.1113307), (XFER_ACTIVATION_SELU, 1, 1.050701), (XFER_ACTIVATION_SILU, 1, 0.7310586),
      (XFER_ACTIVATION_GELU, 1, 0.8413447), (XFER_ACTIVATION_GELU_TANH, 1, 0.841192), (XFER_ACTIVATION_SOFTPLUS, 0, 0.6931472),
      (XFER_ACTIVATION_SOFTPLUS, 100, 100), (XFER_ACTIVATION_SOFTSIGN, -3, -0.75), (XFER_ACTIVATION_EXPONENTIAL, 1, 2.7182817),
      (XFER_ACTIVATION_HARD_SIGMOID, 1, 0.6666667), (XFER_ACTIVATION_HARD_SILU, -1, -0.33333334),
    ]
    for point in points {
      let activation = xfer_activation(kind: Int32(point.kind), alpha: 1, max_value: .infinity, threshold: 0)
      let attributes = xfer_activation_attributes(
        struct_size: sized(xfer_activation_attributes.self), activation: activation, saved_is_output: 0)
      let y = try run(XFER_OP_ACTIVATION, [CaseTensor([1], [point.x])], [1], attributeBytes(attributes))[0]
      #expect((y - point.y).magnitude < 1e-6, "kind \(point.kind) of \(point.x)")
    }
  }
}
