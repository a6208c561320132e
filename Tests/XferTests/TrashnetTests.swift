import Foundation
import Testing
import XferCore
@testable import Xfer

/// The main job on real photos with real ImageNet weights.
@Suite(.serialized, .enabled(if: SharedData.isHere, Comment(rawValue: SharedData.skip)))
struct TrashnetTests {
  /// Weights of EfficientNet-Lite0 as `make demo` leaves them.
  static let lite0: String? = {
    let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../..").standardizedFileURL.path
    let candidates = [ProcessInfo.processInfo.environment["XFER_LITE0"], "\(root)/.cache/efficientnet-lite0.safetensors"].compactMap { $0 }
    return candidates.first { FileManager.default.fileExists(atPath: $0) }
  }()

  @Test func squeezeNet() throws {
    try transfer("SqueezeNet", weights: SharedData.path("weights/squeezenet_v1.1_notop_legacy.h5"), size: 227, rate: 1e-6)
  }

  @Test(.enabled(if: lite0 != nil, "skipped: no EfficientNet-Lite0 weights (make demo fetches them)"))
  func efficientNetLite0() throws { try transfer("EfficientNetLite0", weights: #require(Self.lite0), size: 224, rate: 1e-5) }

  /// SqueezeNet has no normalization: 1e-5 moves its features enough to lose three of 120 images, so its rate is lower.
  private func transfer(_ architecture: String, weights: String, size: Int, rate: Double) throws {
    var options = ImageFolderOptions()
    options.imageSize = (size, size)
    options.batchSize = 24
    options.seed = 1
    let train = try ImageFolderDataset(SharedData.path("data/trashnet/train"), options)
    options.shuffle = false
    let validation = try ImageFolderDataset(SharedData.path("data/trashnet/val"), options)
    #expect(train.count == 240 && validation.count == 120 && train.classNames.count == 6)

    let base = try Application.make(
      architecture,
      config: [
        "weights": .string(weights), "input_shape": [.int(size), .int(size), 3], "include_top": false, "preprocessing": true,
      ])
    base.trainable = false
    let input = try Input(shape: [size, size, 3])
    // Tests run side by side and draw from one stream of seeds: a head that begins at zero is the same in each run.
    let model = try Model(input, Dense(6, kernelInitializer: .zeros)(GlobalAveragePooling2D()(base(input, training: false))))
    let frozen = base.weights.map(\.values)
    let metric = SparseCategoricalAccuracy(name: "accuracy")
    try model.compile(optimizer: Adam(learningRate: 5e-3), loss: SparseCategoricalCrossentropy(fromLogits: true), metrics: [metric])
    var fit = FitOptions()
    fit.epochs = 8
    fit.validation = validation
    // The weights of the best epoch, as a user keeps them before fine-tuning.
    var (best, kept) = (0.0, model.weights.map(\.tensor))
    fit.onEvent = { event, _, _, logs in
      if event == .epochEnd, let accuracy = logs["val_accuracy"], accuracy > best {
        (best, kept) = (accuracy, try model.weights.map { try $0.tensor.copy() })
      }
      return true
    }
    let head = try model.fit(train, options: fit)
    fit.onEvent = nil
    #expect(base.weights.map(\.values) == frozen, "frozen weights are bit-equal")
    for (weight, value) in zip(model.weights, kept) { try weight.assign(value) }

    base.trainable = true
    try model.compile(optimizer: Adam(learningRate: rate), loss: SparseCategoricalCrossentropy(fromLogits: true))
    fit.epochs = 2
    let tuned = try model.fit(train, options: fit)
    let bestTuned = tuned.values["val_accuracy"]?.max() ?? 0
    print(
      "trashnet, \(architecture): val_accuracy after the head \(best), fine-tuned \(bestTuned)",
      head.values["val_accuracy"] ?? [], tuned.values["val_accuracy"] ?? [], head.seconds, tuned.seconds)
    #expect(best >= 0.70)
    #expect(bestTuned >= best, "fine-tuning does not lower the best")
  }
}
