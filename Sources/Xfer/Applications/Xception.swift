extension Architecture {
  /// Xception (Chollet 2017), layer by layer as in keras.applications.
  static let xception = Architecture(
    name: "Xception", modelName: "xception", defaultSize: 299, minimumSize: 71,
    preprocessing: { names in [Rescaling(1 / 127.5, offset: -1, name: names.next("rescaling"))] },
    body: { try XceptionBuilder(names: $2).body($0, $1) },
    files: (
      [WeightFile(name: "xception_weights_tf_dim_ordering_tf_kernels_notop.h5", origin: "MD5 b0042744bf5b25fce3cb969f33bebb97")],
      [WeightFile(name: "xception_weights_tf_dim_ordering_tf_kernels.h5", origin: "MD5 0a58e3b7378bc2990ea3b43d5981f1f6")]
    ))
}

private struct XceptionBuilder {
  let names: LocalNames

  func body(_ input: SymbolicTensor, _ options: ApplicationOptions) throws -> SymbolicTensor {
    var x = try convolution(input, 32, strides: 2, "block1_conv1")
    x = try convolution(x, 64, strides: 1, "block1_conv2")
    x = try entry(x, block: 2, [128, 128], firstActivation: false)
    x = try entry(x, block: 3, [256, 256])
    x = try entry(x, block: 4, [728, 728])
    for block in 5...12 { x = try middle(x, block: block) }
    x = try entry(x, block: 13, [728, 1024])
    for (part, filters) in [(1, 1536), (2, 2048)] {
      x = try separable(x, filters, "block14_sepconv\(part)")
      x = try Activation(.relu, name: "block14_sepconv\(part)_act")(x)
    }
    guard options.includeTop else { return x }
    x = try GlobalAveragePooling2D(name: "avg_pool")(x)
    return try Dense(options.classes, activation: options.classifierActivation, name: "predictions")(x)
  }

  private func convolution(_ x: SymbolicTensor, _ filters: Int, strides: Int, _ name: String) throws -> SymbolicTensor {
    let y = try Conv2D(filters: filters, kernelSize: 3, strides: strides, useBias: false, name: name)(x)
    return try Activation(.relu, name: "\(name)_act")(BatchNormalization(name: "\(name)_bn")(y))
  }

  private func separable(_ x: SymbolicTensor, _ filters: Int, _ name: String) throws -> SymbolicTensor {
    let y = try SeparableConv2D(filters: filters, kernelSize: (3, 3), padding: .same, useBias: false, name: name)(x)
    return try BatchNormalization(name: "\(name)_bn")(y)
  }

  /// Two separable convolutions and a pool beside a strided 1×1 convolution.
  private func entry(_ x: SymbolicTensor, block: Int, _ filters: [Int], firstActivation: Bool = true) throws -> SymbolicTensor {
    let shortcut = Conv2D(
      filters: filters[1], kernelSize: 1, strides: 2, padding: .same, useBias: false, name: names.next("conv2d"))
    let residual = try BatchNormalization(name: names.next("batch_normalization"))(shortcut(x))
    var y = x
    for part in 1...2 {
      if part > 1 || firstActivation { y = try Activation(.relu, name: "block\(block)_sepconv\(part)_act")(y) }
      y = try separable(y, filters[part - 1], "block\(block)_sepconv\(part)")
    }
    y = try MaxPooling2D(poolSize: (3, 3), strides: (2, 2), padding: .same, name: "block\(block)_pool")(y)
    return try Add(name: names.next("add"))([y, residual])
  }

  /// Three separable convolutions beside the identity.
  private func middle(_ x: SymbolicTensor, block: Int) throws -> SymbolicTensor {
    var y = x
    for part in 1...3 {
      y = try Activation(.relu, name: "block\(block)_sepconv\(part)_act")(y)
      y = try separable(y, 728, "block\(block)_sepconv\(part)")
    }
    return try Add(name: names.next("add"))([y, x])
  }
}
