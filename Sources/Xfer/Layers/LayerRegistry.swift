public import XferCore

/// Layers by Keras class name.
public enum LayerRegistry {
  private static let makers: [String: @Sendable (inout Configuration) throws -> Layer] = [
    "Activation": { try Activation(config: &$0) },
    "Add": { try Add(config: &$0) },
    "AlphaDropout": { try AlphaDropout(config: &$0) },
    "Average": { try Average(config: &$0) },
    "AveragePooling2D": { try AveragePooling2D(config: &$0) },
    "BatchNormalization": { try BatchNormalization(config: &$0) },
    "CenterCrop": { try CenterCrop(config: &$0) },
    "ChannelReorder": { try ChannelReorder(config: &$0) },
    "Concatenate": { try Concatenate(config: &$0) },
    "Conv2D": { try Conv2D(config: &$0) },
    "Conv2DTranspose": { try Conv2DTranspose(config: &$0) },
    "Cropping2D": { try Cropping2D(config: &$0) },
    "CustomKernel": { try CustomKernel(config: &$0) },
    "Dense": { try Dense(config: &$0) },
    "DepthwiseConv2D": { try DepthwiseConv2D(config: &$0) },
    "Dot": { try Dot(config: &$0) },
    "Dropout": { try Dropout(config: &$0) },
    "ELU": { try ELU(config: &$0) },
    "Embedding": { try Embedding(config: &$0) },
    "Flatten": { try Flatten(config: &$0) },
    "GaussianDropout": { try GaussianDropout(config: &$0) },
    "GaussianNoise": { try GaussianNoise(config: &$0) },
    "GlobalAveragePooling2D": { try GlobalAveragePooling2D(config: &$0) },
    "GlobalMaxPooling2D": { try GlobalMaxPooling2D(config: &$0) },
    "GroupNormalization": { try GroupNormalization(config: &$0) },
    "InputLayer": { try InputLayer(config: &$0) },
    "Lambda": { try Lambda.refuse(&$0) },
    "LayerNormalization": { try LayerNormalization(config: &$0) },
    "LeakyReLU": { try LeakyReLU(config: &$0) },
    "MaxPooling2D": { try MaxPooling2D(config: &$0) },
    "Maximum": { try Maximum(config: &$0) },
    "Minimum": { try Minimum(config: &$0) },
    "MultiHeadAttention": { try MultiHeadAttention(config: &$0) },
    "Multiply": { try Multiply(config: &$0) },
    "Normalization": { try Normalization(config: &$0) },
    "Op": { try Operation(config: &$0) },
    "PReLU": { try PReLU(config: &$0) },
    "Parameter": { try Parameter(config: &$0) },
    "Permute": { try Permute(config: &$0) },
    "RMSNormalization": { try RMSNormalization(config: &$0) },
    "RandomBrightness": { try RandomBrightness(config: &$0) },
    "RandomContrast": { try RandomContrast(config: &$0) },
    "RandomCrop": { try RandomCrop(config: &$0) },
    "RandomFlip": { try RandomFlip(config: &$0) },
    "RandomRotation": { try RandomRotation(config: &$0) },
    "RandomTranslation": { try RandomTranslation(config: &$0) },
    "RandomZoom": { try RandomZoom(config: &$0) },
    "ReLU": { try ReLU(config: &$0) },
    "RepeatVector": { try RepeatVector(config: &$0) },
    "Identity": { try Identity(config: &$0) },
    "ActivityRegularization": { try ActivityRegularization(config: &$0) },
    "Rescaling": { try Rescaling(config: &$0) },
    "Reshape": { try Reshape(config: &$0) },
    "Resizing": { try Resizing(config: &$0) },
    "SeparableConv2D": { try SeparableConv2D(config: &$0) },
    "Softmax": { try Softmax(config: &$0) },
    "SpatialDropout1D": { try SpatialDropout1D(config: &$0) },
    "SpatialDropout2D": { try SpatialDropout2D(config: &$0) },
    "SpatialDropout3D": { try SpatialDropout3D(config: &$0) },
    "Subtract": { try Subtract(config: &$0) },
    "UnitNormalization": { try UnitNormalization(config: &$0) },
    "UpSampling2D": { try UpSampling2D(config: &$0) },
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
