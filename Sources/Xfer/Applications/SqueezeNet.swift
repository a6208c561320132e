extension Architecture {
  /// SqueezeNet v1.1 (Iandola et al. 2016) as the published Keras weights have it: conv1 and the pools VALID, BGR inputs minus ImageNet's
  /// channel means. The files write "fire2/squeeze1x1"; Keras 3 takes no slash in names, so the layers are "fire2_squeeze1x1".
  static let squeezeNet = Architecture(
    name: "SqueezeNet", modelName: "squeezenet", defaultSize: 227, minimumSize: 48,
    preprocessing: { names in
      [
        ChannelReorder([2, 1, 0], name: names.next("channel_reorder")),
        Rescaling(scale: [1], offset: [-103.939, -116.779, -123.68], name: names.next("rescaling")),
      ]
    },
    body: { x, options, _ in try squeezeNetBody(x, options) },
    files: (
      [
        WeightFile(name: "squeezenet_v1.1_notop_legacy.h5", origin: "MD5 80b66c92d79d4310e07fb60a297bf0d1"),
        WeightFile(name: "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5", origin: "of keras-squeezenet"),
      ],
      [WeightFile(name: "squeezenet_weights_tf_dim_ordering_tf_kernels.h5", origin: "of keras-squeezenet")]
    ))
}

private func squeezeNetBody(_ input: SymbolicTensor, _ options: ApplicationOptions) throws -> SymbolicTensor {
  func convolution(
    _ x: SymbolicTensor, _ filters: Int, _ size: Int, strides: Int = 1, _ padding: Padding, _ prefix: String, _ name: String
  ) throws -> SymbolicTensor {
    let y = try Conv2D(filters: filters, kernelSize: size, strides: strides, padding: padding, name: prefix + name)(x)
    return try Activation(.relu, name: "\(prefix)relu_\(name)")(y)
  }
  func fire(_ x: SymbolicTensor, _ number: Int, squeeze: Int, expand: Int) throws -> SymbolicTensor {
    let prefix = "fire\(number)_"
    let narrow = try convolution(x, squeeze, 1, .valid, prefix, "squeeze1x1")
    let left = try convolution(narrow, expand, 1, .valid, prefix, "expand1x1")
    let right = try convolution(narrow, expand, 3, .same, prefix, "expand3x3")
    return try Concatenate(name: prefix + "concat")([left, right])
  }
  func pool(_ x: SymbolicTensor, _ number: Int) throws -> SymbolicTensor {
    try MaxPooling2D(poolSize: (3, 3), strides: (2, 2), name: "pool\(number)")(x)
  }
  var x = try pool(convolution(input, 64, 3, strides: 2, .valid, "", "conv1"), 1)
  x = try pool(fire(fire(x, 2, squeeze: 16, expand: 64), 3, squeeze: 16, expand: 64), 3)
  x = try pool(fire(fire(x, 4, squeeze: 32, expand: 128), 5, squeeze: 32, expand: 128), 5)
  x = try fire(fire(x, 6, squeeze: 48, expand: 192), 7, squeeze: 48, expand: 192)
  x = try fire(fire(x, 8, squeeze: 64, expand: 256), 9, squeeze: 64, expand: 256)
  x = try Dropout(0.5, name: "drop9")(x)
  guard options.includeTop else { return x }
  x = try convolution(x, options.classes, 1, .valid, "", "conv10")
  x = try GlobalAveragePooling2D(name: "avg_pool")(x)
  return try Activation(options.classifierActivation, name: "loss")(x)
}
