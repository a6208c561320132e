import Testing
import XferCore
@testable import Xfer

@Suite struct ApplicationsTests {
  private func count<L: Layer>(_ type: L.Type, _ model: Model) -> Int { model.layers.count { $0 is L } }

  @Test func xceptionHasKerasCounts() throws {
    let model = try Application.make("Xception", config: ["input_shape": [150, 150, 3]])
    #expect(model.name == "xception")
    #expect(model.layers.count == 132)
    #expect(count(BatchNormalization.self, model) == 40)
    #expect(count(SeparableConv2D.self, model) == 34)
    #expect(count(Conv2D.self, model) == 6)
    #expect(count(Add.self, model) == 12)
    #expect(count(MaxPooling2D.self, model) == 4)
    #expect(model.weights.count == 234)
    #expect(model.trainableWeights.count == 154)
    #expect(model.nonTrainableWeights.count == 80)
    #expect(model.countParams() == 20_861_480)
    #expect(model.outputs[0].shape == [nil, 5, 5, 2048])
  }

  @Test(.enabled(if: SharedData.isHere, Comment(rawValue: SharedData.skip)))
  func xceptionIsKerasLayerByLayer() throws {
    let wanted = try #require(try SharedData.json("reference/xception/layers.json").arrayValue)
    let model = try Application.make("xception", config: ["input_shape": [150, 150, 3]])
    try #require(model.layers.count == wanted.count)
    for (layer, entry) in zip(model.layers, wanted) {
      #expect(layer.name == entry["name"]?.stringValue)
      #expect(type(of: layer).className == entry["cls"]?.stringValue, "\(layer.name)")
      let shape = model.nodes.first { $0.layer === layer }?.outputs.first?.symbol?.shape
      #expect(shape == entry["out"]?.arrayValue?.map(\.intValue), "\(layer.name)")
      #expect(layer.weights.map(\.path) == entry["weights"]?.arrayValue?.map { $0["path"]?.stringValue ?? "" })
      #expect(layer.weights.map(\.shape) == entry["weights"]?.arrayValue?.map { $0["shape"]?.arrayValue?.compactMap(\.intValue) ?? [] })
    }
  }

  @Test func xceptionWithAHeadFreezes() throws {
    let base = try Application.make("Xception", config: ["input_shape": [150, 150, 3]])
    base.trainable = false
    let input = try Input(shape: [150, 150, 3])
    let pooled = try GlobalAveragePooling2D()(base(input, training: false))
    let model = try Model(input, Dense(1)(pooled))
    func sum(_ weights: [Int]) -> Int { weights.reduce(0, +) }
    #expect(sum(model.trainableWeights.map(\.count)) == 2_049)
    base.trainable = true
    #expect(sum(model.trainableWeights.map(\.count)) == 20_809_001)
    #expect(sum(model.nonTrainableWeights.map(\.count)) == 54_528)
  }

  @Test func twoModelsOfOneKindHaveTheSameNames() throws {
    let (a, b) = try (Application.make("squeezenet"), Application.make("SqueezeNet"))
    #expect(a.layers.map(\.name) == b.layers.map(\.name))
    #expect(a.weights.map(\.path) == b.weights.map(\.path))
  }

  @Test func squeezeNetHasItsPublishedShape() throws {
    let model = try Application.make("SqueezeNet")
    #expect(model.inputs[0].shape == [nil, 227, 227, 3])
    #expect(model.outputs[0].shape == [nil, 13, 13, 512])
    #expect(model.countParams() == 722_496)
    let top = try Application.make("SqueezeNet", config: ["include_top": true])
    #expect(top.outputs[0].shape == [nil, 1000])
    #expect(top.countParams() == 1_235_496)
  }

  @Test func lite0HasItsPublishedShape() throws {
    let model = try Application.make("efficientnet-lite0", config: ["include_top": true])
    #expect(model.outputs[0].shape == [nil, 1000])
    // 4,652,008 trained parameters as published, and 42,016 moving statistics.
    #expect(model.trainableWeights.reduce(0) { $0 + $1.count } == 4_652_008)
    #expect(model.countParams() == 4_694_024)
    #expect(count(BatchNormalization.self, model) == 49)
    #expect(count(DepthwiseConv2D.self, model) == 16)
    #expect(count(Add.self, model) == 9)
    let layers = model.layers.map(\.name)
    #expect(
      layers.prefix(8) == [
        "input_layer", "stem_conv", "stem_bn", "stem_activation", "block1a_dwconv", "block1a_bn", "block1a_activation",
        "block1a_project_conv",
      ])
    #expect(layers.suffix(6) == ["top_conv", "top_bn", "top_activation", "avg_pool", "top_dropout", "predictions"])
    let features = try Application.make("EfficientNetLite0")
    #expect(features.outputs[0].shape == [nil, 7, 7, 1280])
    #expect(features.layers.last?.name == "top_activation")
  }

  @Test(arguments: ["avg", "max"]) func pooling(_ kind: String) throws {
    let plain = try Application.make("squeezenet", config: ["input_shape": [64, 64, 3]])
    let pooled = try Application.make("squeezenet", config: ["input_shape": [64, 64, 3], "pooling": .string(kind)])
    for (to, from) in zip(pooled.weights, plain.weights) { try to.assign(from.tensor) }
    let x = try randomTensor([2, 64, 64, 3], seed: 3, scale: 50)
    let features = try plain(x)
    let (rows, channels) = (features.shape[1] * features.shape[2], features.shape[3])
    let values = features.floats
    let wanted = (0..<2 * channels).map { index -> Float in
      let column = (0..<rows).map { values[(index / channels * rows + $0) * channels + index % channels] }
      return kind == "max" ? column.max() ?? 0 : column.reduce(0, +) / Float(rows)
    }
    let got = try pooled(x)
    #expect(got.shape == [2, channels])
    #expect(relativeError(got.floats, wanted) < 1e-6)
  }

  @Test func preprocessing() throws {
    let pixels = try Tensor(zeros: [1, 1, 3], dtype: .uint8)
    for (index, value) in [0, 100, 255].enumerated() { pixels.data.storeBytes(of: UInt8(value), toByteOffset: index, as: UInt8.self) }
    func close(_ architecture: String, _ wanted: [Float]) throws {
      let result = try Application.preprocess(architecture, pixels)
      #expect(result.dtype == .float32)
      #expect(result.shape == [1, 1, 3])
      #expect(zip(result.floats, wanted).allSatisfy { abs($0 - $1) < 1e-5 }, "\(architecture): \(result.floats)")
    }
    try close("Xception", [-1, 100 / 127.5 - 1, 1])
    try close("EfficientNetLite0", [-127 / 128, -27 / 128, 1])
    try close("SqueezeNet", [255 - 103.939, 100 - 116.779, -123.68])
    #expect(throws: XferError.self) { try Application.preprocess("Xception", Tensor(zeros: [4, 4, 1])) }
  }

  @Test func preprocessingWithinTheModel() throws {
    let pixels = try randomTensor([1, 64, 64, 3], seed: 5, scale: 30, offset: 128)
    let bare = try Application.make("squeezenet", config: ["input_shape": [64, 64, 3]])
    let whole = try Application.make("squeezenet", config: ["input_shape": [64, 64, 3], "preprocessing": true])
    for (to, from) in zip(whole.weights, bare.weights) { try to.assign(from.tensor) }
    #expect(try whole(pixels).floats == bare(Application.preprocess("squeezenet", pixels)).floats)
  }

  @Test func wrongConfigsSayWhatIsWrong() throws {
    func message(_ architecture: String, _ config: JSONValue) -> String {
      do {
        _ = try Application.make(architecture, config: config)
        return "no error"
      } catch { return "\(error)" }
    }
    #expect(message("Xeption", [:]).contains("'Xception'"))
    #expect(message("Xception", ["input_shape": [70, 150, 3]]).contains("71"))
    #expect(message("Xception", ["input_shape": [150, 150, 1]]).contains("[150,150,1]"))
    #expect(message("Xception", ["includetop": true]).contains("'include_top'"))
    #expect(message("Xception", ["pooling": "min"]).contains("pooling"))
    #expect(message("Xception", ["classes": 0, "include_top": true]).contains("classes"))
  }

  @Test func missingImageNetWeightsAreNamed() throws {
    let kind = try Architecture.named("Xception")
    do {
      _ = try ApplicationWeights(kind, includeTop: false, environment: ["XFER_WEIGHTS": "/nowhere", "HOME": "/nowhere/home"]).find()
      Issue.record("weights were found in /nowhere")
    } catch let error as XferError {
      #expect(error.status == XferError.notFound("").status)
      #expect(error.message.contains("xception_weights_tf_dim_ordering_tf_kernels_notop.h5"))
      #expect(error.message.contains("b0042744bf5b25fce3cb969f33bebb97"))
    }
  }

  @Test func imageNetWeightsAreSearched() throws {
    let folder = try TemporaryFolder()
    let name = "xception_weights_tf_dim_ordering_tf_kernels_notop.h5"
    try folder.write([0], name)
    func find(_ environment: [String: String]) throws -> String {
      try ApplicationWeights(Architecture.named("Xception"), includeTop: false, environment: environment).find()
    }
    #expect(try find(["XFER_WEIGHTS": folder.path]) == folder.file(name))
    #expect(try find(["XFER_WEIGHTS": folder.file(name)]) == folder.file(name))
    try folder.write([0], "other.h5")
    #expect(try find(["XFER_WEIGHTS": folder.file("other.h5")]) == folder.file("other.h5"))
  }
}
