import Foundation
import Testing
import XferCore
@testable import Xfer

@Suite(.serialized) struct FilesLegacyTests {
  static let xception = "reference/xception/xception_notop_legacy.h5"
  static let squeezeNet = "weights/squeezenet_v1.1_notop_legacy.h5"

  @Test(.enabled(if: SharedData.isHere, Comment(rawValue: SharedData.skip)))
  func squeezeNetLoadsStrictly() throws {
    let model = try Application.make("SqueezeNet")
    let before = model.weights.map(\.values)
    let report = try model.loadWeights(SharedData.path(Self.squeezeNet))
    #expect(report.loaded == model.weights.map(\.path))
    #expect(report.skipped.isEmpty && report.mismatched.isEmpty && report.missing.isEmpty)
    #expect(zip(model.weights, before).allSatisfy { $0.values != $1 })
    let pixels = try randomTensor([1, 227, 227, 3], seed: 1, scale: 40, offset: 120)
    let features = try model(Application.preprocess("squeezenet", pixels)).floats
    #expect(features.allSatisfy { $0.isFinite && $0 >= 0 })
    // Features of a trained network: neither dead nor flat.
    let share = Double(features.count { $0 > 0 }) / Double(features.count)
    #expect((0.05...0.95).contains(share), "\(share) of the features are above 0")
  }

  @Test(.enabled(if: SharedData.isHere, Comment(rawValue: SharedData.skip)))
  func aFailedLoadChangesNothing() throws {
    let model = try Application.make("SqueezeNet")
    let before = model.weights.map(\.values)
    #expect(throws: XferError.self) { try model.loadWeights(SharedData.path(Self.xception)) }
    #expect(model.weights.map(\.values) == before)
  }

  @Test(.enabled(if: SharedData.isHere, Comment(rawValue: SharedData.skip)))
  func byNameLoadsWhatIsThere() throws {
    let input = try Input(shape: [32, 32, 3])
    let known = Conv2D(filters: 64, kernelSize: 3, name: "conv1")
    let other = Dense(2, name: "other")
    let model = try Model(input, other(GlobalAveragePooling2D()(known(input))))
    let report = try model.loadWeights(SharedData.path(Self.squeezeNet), byName: true)
    #expect(report.loaded == ["conv1/kernel", "conv1/bias"])
    #expect(report.missing == ["other/kernel", "other/bias"])
    #expect(report.skipped.count == 48)
    #expect(known.weights[1].values.contains { $0 != 0 })
  }

  // MARK: Files made here

  private typealias Group = (layer: String, weights: [(name: String, value: Tensor)])

  /// A file as Keras 2 writes it; with `chunk`, long attributes split as Keras does.
  private func write(_ groups: [Group], _ path: String, root: String = "", chunk: Int? = nil) throws {
    let file = try H5File(creating: path)
    func attribute(_ group: String, _ name: String, _ values: [String]) throws {
      guard let chunk, !values.isEmpty else { return try file.setStrings(group, name, values) }
      for (index, start) in stride(from: 0, to: values.count, by: chunk).enumerated() {
        try file.setStrings(group, "\(name)\(index)", Array(values[start..<min(start + chunk, values.count)]))
      }
    }
    for group in groups {
      try file.createGroup("\(root)/\(group.layer)")
      try attribute("\(root)/\(group.layer)", "weight_names", group.weights.map(\.name))
      for (name, value) in group.weights { try file.write("\(root)/\(group.layer)/\(name)", value) }
    }
    try attribute(root.isEmpty ? "/" : root, "layer_names", groups.map(\.layer))
    try file.close()
  }

  /// A base of two automatic convolutions with BatchNorm, and a head.
  private func nested() throws -> (model: Model, base: Model) {
    let names = LocalNames()
    let input = try Input(shape: [6, 6, 2])
    var x = input
    for filters in [3, 3] {
      x = try Conv2D(filters: filters, kernelSize: 1, useBias: false, name: names.next("conv2d"))(x)
      x = try BatchNormalization(name: names.next("batch_normalization"))(x)
    }
    let base = try Model(input, x, name: "base")
    let outer = try Input(shape: [6, 6, 2])
    return (try Model(outer, Dense(2, name: "head")(GlobalAveragePooling2D()(base(outer)))), base)
  }

  /// Values that tell which weight they are for.
  private func marked(_ model: Model) throws -> [(path: String, value: Tensor)] {
    try model.weights.enumerated().map { index, weight in
      (weight.path, try Tensor((0..<weight.count).map { Float(index * 100 + $0) }, shape: weight.shape))
    }
  }

  @Test(arguments: [false, true]) func aNestedModelLoadsWhateverWasFrozenWhenItWasSaved(_ frozen: Bool) throws {
    let folder = try TemporaryFolder()
    let (model, base) = try nested()
    let values = try marked(model)
    func named(_ path: String) -> (name: String, value: Tensor) {
      ("\(path):0", values.first { $0.path == path }?.value ?? values[0].value)
    }
    // As another process names them: its second model of the kind.
    let renamed = values.prefix(10).map { path, value in
      let number = path.contains("_1/") || path.hasPrefix("conv2d_1") ? 3 : 2
      let parts = WeightNames.parts(path)
      return (name: "\(parts.layer.replacingOccurrences(of: "_1", with: ""))_\(number)/\(parts.weight):0", value: value)
    }
    let statistics = renamed.filter { $0.name.contains("moving") }
    let saved = frozen ? renamed : renamed.filter { !$0.name.contains("moving") } + statistics
    try write([("base", saved), ("head", [named("head/kernel"), named("head/bias")])], folder.file("w.h5"))
    base.trainable = !frozen
    try model.loadWeights(folder.file("w.h5"))
    #expect(model.weights.map(\.values) == values.map(\.value.floats))
  }

  @Test func aWholeModelsFileWithSplitAttributes() throws {
    let folder = try TemporaryFolder()
    let model = try nested().base
    let values = try marked(model)
    let groups = model.layers.map { layer -> Group in
      (layer.name, layer.weights.map { weight in ("\(weight.path):0", values.first { $0.path == weight.path }?.value ?? values[0].value) })
    }
    try write(groups, folder.file("w.h5"), root: "/model_weights", chunk: 2)
    let report = try model.loadWeights(folder.file("w.h5"))
    #expect(report.loaded == values.map(\.path))
    #expect(model.weights.map(\.values) == values.map(\.value.floats))
  }

  @Test func namesOfOldVersionsInAnyOrder() throws {
    let folder = try TemporaryFolder()
    let input = try Input(shape: [6, 6, 3])
    var x = try Conv2D(filters: 3, kernelSize: 1, name: "conv1")(input)
    x = try BatchNormalization(name: "bn")(x)
    x = try DepthwiseConv2D(kernelSize: (3, 3), useBias: false, name: "depthwise")(x)
    let model = try Model(input, SeparableConv2D(filters: 3, kernelSize: (1, 1), name: "separable")(x))
    let values = try marked(model).map(\.value)
    try write(
      [
        ("conv1", [("conv1_b", values[1]), ("conv1_W", values[0])]),
        ("bn", [("bn_running_std", values[5]), ("bn_running_mean", values[4]), ("bn_gamma", values[2]), ("bn_beta", values[3])]),
        ("flatten_1", []),
        ("depthwise", [("depthwise/depthwise_kernel:0", values[6])]),
        ("separable", [("separable_b", values[9]), ("separable_pointwise_kernel", values[8]), ("separable_depthwise_kernel", values[7])]),
      ], folder.file("w.h5"))
    try model.loadWeights(folder.file("w.h5"))
    #expect(model.weights.map(\.values) == values.map(\.floats))
  }

  @Test func otherShapes() throws {
    let folder = try TemporaryFolder()
    let input = try Input(shape: [4])
    let model = try Model(input, Dense(2, name: "b")(Dense(3, name: "a")(input)))
    let before = model.weights.map(\.values)
    try write(
      [
        ("a", [("a/kernel:0", try Tensor([Float](repeating: 7, count: 12), shape: [4, 3])), ("a/bias:0", try Tensor([7, 7, 7]))]),
        ("b", [("b/kernel:0", try Tensor([Float](repeating: 7, count: 12), shape: [3, 4])), ("b/bias:0", try Tensor([7, 7]))]),
      ], folder.file("w.h5"))
    do {
      try model.loadWeights(folder.file("w.h5"))
      Issue.record("a kernel of another shape was loaded")
    } catch let error as XferError {
      #expect(error.message.contains("'b/kernel' has shape [3, 2], 'b/kernel:0' of the file [3, 4]"))
    }
    #expect(model.weights.map(\.values) == before)
    let report = try model.loadWeights(folder.file("w.h5"), skipMismatch: true)
    #expect(report.mismatched == ["b/kernel"])
    #expect(report.loaded == ["a/kernel", "a/bias", "b/bias"])
    #expect(model.weights[2].values == before[2])
    #expect(model.weights[3].values == [7, 7])
  }

  @Test func filesThatAreNone() throws {
    let folder = try TemporaryFolder()
    let model = try nested().base
    func status(_ name: String) throws -> Int32? {
      do {
        try model.loadWeights(folder.file(name))
        return nil
      } catch let error as XferError { return error.status }
    }
    #expect(try status("none.h5") == XferError.notFound("").status)
    try folder.write(Array("hello".utf8), "text.h5")
    #expect(try status("text.h5") == XferError.format("").status)
    let file = try H5File(creating: folder.file("other.h5"))
    try file.write("/values", Tensor([1, 2, 3]))
    try file.close()
    #expect(try status("other.h5") == XferError.format("").status)
    let whole = try folder.read("other.h5")
    try folder.write(whole.prefix(whole.count / 2), "half.h5")
    #expect(try status("half.h5") == XferError.format("").status)
  }
}
