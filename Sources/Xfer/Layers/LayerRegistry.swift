public import XferCore

/// Layers by Keras class name.
public enum LayerRegistry {
  private static let makers: [String: @Sendable (inout Configuration) throws -> Layer] = [
    "Activation": { try Activation(config: &$0) },
    "Add": { try Add(config: &$0) },
    "AlphaDropout": { try AlphaDropout(config: &$0) },
    "AveragePooling2D": { try AveragePooling2D(config: &$0) },
    "BatchNormalization": { try BatchNormalization(config: &$0) },
    "CenterCrop": { try CenterCrop(config: &$0) },
    "ChannelReorder": { try ChannelReorder(config: &$0) },
    "Concatenate": { try Concatenate(config: &$0) },
    "Conv2D": { try Conv2D(config: &$0) },
    "CustomKernel": { try CustomKernel(config: &$0) },
    "Dense": { try Dense(config: &$0) },
    "DepthwiseConv2D": { try DepthwiseConv2D(config: &$0) },
    "Dropout": { try Dropout(config: &$0) },
    "Embedding": { try Embedding(config: &$0) },
    "Flatten": { try Flatten(config: &$0) },
    "GaussianDropout": { try GaussianDropout(config: &$0) },
    "GaussianNoise": { try GaussianNoise(config: &$0) },
    "GlobalAveragePooling2D": { try GlobalAveragePooling2D(config: &$0) },
    "GroupNormalization": { try GroupNormalization(config: &$0) },
    "InputLayer": { try InputLayer(config: &$0) },
    "Lambda": { try Lambda.refuse(&$0) },
    "LayerNormalization": { try LayerNormalization(config: &$0) },
    "MaxPooling2D": { try MaxPooling2D(config: &$0) },
    "MultiHeadAttention": { try MultiHeadAttention(config: &$0) },
    "Normalization": { try Normalization(config: &$0) },
    "Op": { try Operation(config: &$0) },
    "Parameter": { try Parameter(config: &$0) },
    "RMSNormalization": { try RMSNormalization(config: &$0) },
    "RandomBrightness": { try RandomBrightness(config: &$0) },
    "RandomContrast": { try RandomContrast(config: &$0) },
    "RandomCrop": { try RandomCrop(config: &$0) },
    "RandomFlip": { try RandomFlip(config: &$0) },
    "RandomRotation": { try RandomRotation(config: &$0) },
    "RandomTranslation": { try RandomTranslation(config: &$0) },
    "RandomZoom": { try RandomZoom(config: &$0) },
    "ReLU": { try ReLU(config: &$0) },
    "Rescaling": { try Rescaling(config: &$0) },
    "Resizing": { try Resizing(config: &$0) },
    "SeparableConv2D": { try SeparableConv2D(config: &$0) },
    "Softmax": { try Softmax(config: &$0) },
    "SpatialDropout1D": { try SpatialDropout1D(config: &$0) },
    "SpatialDropout2D": { try SpatialDropout2D(config: &$0) },
    "SpatialDropout3D": { try SpatialDropout3D(config: &$0) },
    "UnitNormalization": { try UnitNormalization(config: &$0) },
    "ZeroPadding2D": { try ZeroPadding2D(config: &$0) },
  ]

  public static var classNames: [String] { makers.keys.sorted() }

  /// A layer from its class name and Keras config.
  public static func make(_ className: String, config: JSONValue = [:]) throws -> Layer {
    guard let maker = makers[className] else {
      throw XferError.notFound("unknown layer class '\(className)'\(hint(className, among: makers.keys))")
    }
    var configuration = try Configuration(config, for: className)
    return try maker(&configuration)
  }
}
