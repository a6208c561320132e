/// Facts about Keras' classes that its files depend on.
enum KerasClasses {
  /// Classes that are built when they are made: their entries in a config have no `build_config`.
  static let withoutBuild: Set<String> = [
    "Activation", "ActivityRegularization", "AlphaDropout", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "Dropout", "ELU",
    "GaussianDropout", "GaussianNoise", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "GlobalMaxPooling3D", "Identity", "InputLayer", "LeakyReLU", "Masking", "MaxPooling1D", "MaxPooling2D",
    "MaxPooling3D", "ReLU", "Reshape", "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "UnitNormalization",
  ]

  /// Defaults of the `training` argument other than None. Keras 3 writes them into a model's calls although nobody gave them, and passes over
  /// them in `fit` and `predict`; so in a file such a value says nothing.
  static let trainingDefaults: [String: Bool] = {
    let off = [
      "AdditiveAttention", "AlphaDropout", "Attention", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Dropout", "GRU", "GRUCell",
      "GaussianDropout",
      "GaussianNoise", "LSTM", "LSTMCell", "RNN", "SimpleRNN", "SimpleRNNCell", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
      "SpectralNormalization", "StackedRNNCells",
    ]
    let on = [
      "AugMix", "AutoContrast", "CenterCrop", "CutMix", "Equalization", "MixUp", "RandAugment", "RandomBrightness",
      "RandomColorDegeneration",
      "RandomColorJitter", "RandomContrast", "RandomCrop", "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
      "RandomGrayscale", "RandomHue", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation",
      "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom", "Resizing", "Solarization",
    ]
    return Dictionary(off.map { ($0, false) } + on.map { ($0, true) }) { first, _ in first }
  }()
}
