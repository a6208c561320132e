import Xfer

/// The new last layers on a pretrained network: pooling where it gives maps, and a number for each class, or one where there are two.
struct ClassifierHead {
  private let pooling = GlobalAveragePooling2D()
  private let dense: Dense

  init(classes: Int) { dense = Dense(classes == 2 ? 1 : classes) }

  func callAsFunction(_ features: SymbolicTensor, _ name: String) throws -> SymbolicTensor {
    switch features.shape.count {
    case 4: try dense(pooling(features))
    case 2: try dense(features)
    default:
      throw XferError.shape(
        "\(name) gives \(features.shape.dropFirst().map { $0 ?? 0 }): features [h, w, channels] or [features] are wanted")
    }
  }

  /// The head on a base that is called for inference, as Keras' guide has it.
  func model(on base: Model, _ name: String, _ size: ImageSize) throws -> Model {
    let input = try Input(shape: [size.height, size.width, 3])
    return try Model(input, self(base(input, training: false), name))
  }
}
