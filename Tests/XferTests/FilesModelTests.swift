import Foundation
import Testing
import XferCore
@testable import Xfer

/// A model with branches, a nested model, automatic names, dropout and frozen parts, after a step of training.
func trainedModel() throws -> Model {
  let inner = try Input(shape: [6, 6, 2])
  let y = try ReLU(maxValue: 6)(BatchNormalization()(Conv2D(filters: 4, kernelSize: 3, padding: .same)(inner)))
  let base = try Model(inner, Add()([y, SeparableConv2D(filters: 4, kernelSize: (3, 3), padding: .same)(inner)]), name: "base")
  let input = try Input(shape: [6, 6, 2])
  let features = try Dropout(0.3)(GlobalAveragePooling2D()(base(Rescaling(0.5, offset: -1)(input))), training: false)
  let model = try Model(input, Dense(2, name: "head")(Dense(3, activation: .relu)(features)), name: "whole")
  try model.compile(optimizer: Adam(learningRate: 0.05), loss: BinaryCrossentropy(fromLogits: true))
  _ = try model.trainOnBatch(Batch(x: randomTensor([4, 6, 6, 2], seed: 1), y: Tensor([Float](repeating: 1, count: 8), shape: [4, 2])))
  try base.getLayer(base.layers[1].name).trainable = false
  model.metadata = ["class_names": ["cat", "dog"], "preprocessing": "none"]
  return model
}

private func status(_ body: () throws -> Void) -> Int32? {
  do {
    try body()
    return nil
  } catch let error as XferError {
    return error.status
  } catch {
    return -1
  }
}

@Suite(.serialized) struct FilesModelTests {
  @Test func aKerasFileComesBackBitEqual() throws {
    let folder = try TemporaryFolder()
    let model = try trainedModel()
    try model.save(folder.file("model.keras"))
    #expect(folder.names == ["model.keras"], "nothing else is left in the folder")
    let other = try Model.load(folder.file("model.keras"))
    #expect(other.name == "whole")
    #expect(other.metadata == model.metadata)
    #expect(other.weights.map(\.path) == model.weights.map(\.path))
    #expect(other.weights.map(\.values) == model.weights.map(\.values))
    #expect(other.trainableWeights.map(\.path) == model.trainableWeights.map(\.path))
    #expect(other.toJSON() == model.toJSON())
    let x = try randomTensor([3, 6, 6, 2], seed: 2)
    #expect(try other.predict(x).floats == model.predict(x).floats)
  }

  @Test func aKerasFileHasKerasEntries() throws {
    let folder = try TemporaryFolder()
    let model = try trainedModel()
    try model.save(folder.file("a.keras"))
    let entries = try ZipFile(reading: folder.file("a.keras")).entries().map(\.name)
    #expect(Set(entries) == ["metadata.json", "config.json", "xfer.json", "model.weights.h5"])
    let archive = try ZipFile(reading: folder.file("a.keras"))
    let file = try H5File(reading: archive.read("model.weights.h5"), name: "weights")
    // As keras.src.saving.saving_lib names them.
    for (path, shape) in [
      ("/layers/functional/layers/conv2d/vars/0", [3, 3, 2, 4]), ("/layers/functional/layers/batch_normalization/vars/3", [4]),
      ("/layers/functional/layers/separable_conv2d/vars/1", [1, 1, 2, 4]), ("/layers/dense/vars/0", [4, 3]),
      ("/layers/dense_1/vars/1", [2]),
    ] {
      #expect(try file.describe(path).shape == shape, "\(path)")
    }
    #expect(try file.strings("/layers/dense_1/vars", "name") == ["head"])
    model.metadata = [:]
    try model.save(folder.file("b.keras"))
    #expect(try ZipFile(reading: folder.file("b.keras")).entries().count == 3)
  }

  @Test func aSequentialModelComesBack() throws {
    let folder = try TemporaryFolder()
    let model = try Sequential([
      InputLayer(shape: [8, 8, 1]), Conv2D(filters: 2, kernelSize: 3), Flatten(), Dense(3, activation: .softmax),
    ])
    try model.save(folder.file("s.keras"))
    let other = try Model.load(folder.file("s.keras"))
    #expect(other is Sequential)
    let x = try randomTensor([2, 8, 8, 1], seed: 2)
    #expect(try other(x).floats == model(x).floats)
  }

  @Test func savingOverAModelThatIsInUse() throws {
    let folder = try TemporaryFolder()
    let model = try trainedModel()
    try model.save(folder.file("m.keras"))
    let other = try Model.load(folder.file("m.keras"))
    try other.weights[0].assign(Tensor(zeros: other.weights[0].shape))
    try other.save(folder.file("m.keras"))
    #expect(try Model.load(folder.file("m.keras")).weights[0].values.allSatisfy { $0 == 0 })
    #expect(status { try model.save(folder.file("m.txt")) } == XferError.unsupported("").status)
    #expect(status { try model.save(folder.file("none/m.keras")) } == XferError.notFound("").status)
    #expect(folder.names == ["m.keras"])
  }

  @Test func filesThatAreCutShortAreFormatErrors() throws {
    let folder = try TemporaryFolder()
    try trainedModel().save(folder.file("whole.keras"))
    let whole = try folder.read("whole.keras")
    for part in stride(from: 0, to: whole.count, by: max(1, whole.count / 60)) {
      try folder.write(whole.prefix(part), "part.keras")
      #expect(status { _ = try Model.load(folder.file("part.keras")) } == XferError.format("").status, "\(part) bytes")
    }
    #expect(status { _ = try Model.load(folder.file("none.keras")) } == XferError.notFound("").status)
  }

  @Test func damagedBytesNeverCrash() throws {
    let folder = try TemporaryFolder()
    let model = try trainedModel()
    try model.save(folder.file("whole.keras"))
    let whole = try folder.read("whole.keras")
    var generator = SplitMix64(seed: 7)
    for _ in 0..<80 {
      var bytes = whole
      for _ in 0..<4 { bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: generator.next()) }
      try folder.write(bytes, "damaged.keras")
      let found = status { _ = try Model.load(folder.file("damaged.keras")) }
      #expect(found != XferError.internal("").status && (found ?? 1) > 0)
    }
  }

  /// An archive with this config and no weights.
  private func archive(_ config: String, _ path: String) throws {
    let weights = path + ".h5"
    let file = try H5File(creating: weights)
    try file.createGroup("/layers/dense/vars")
    try file.write("/layers/dense/vars/0", Tensor(zeros: [2, 2]))
    try file.close()
    let archive = try ZipFile(creating: path)
    try archive.write("metadata.json", text: "{}")
    try archive.write("config.json", text: config)
    try Data(contentsOf: URL(fileURLWithPath: weights)).withUnsafeBytes { try archive.write("model.weights.h5", $0) }
    try archive.close()
  }

  private func sequential(_ layers: String) -> String {
    """
    {"class_name": "Sequential", "config": {"name": "s", "layers": [
      {"class_name": "InputLayer", "config": {"batch_shape": [null, 2]}}, \(layers)]}}
    """
  }

  @Test(arguments: [
    "", "{", "[]", "{\"class_name\": \"Functional\"}", "{\"class_name\": \"Functional\", \"config\": {\"layers\": []}}",
    "{\"class_name\": \"Sequential\", \"config\": {\"layers\": []}}",
  ])
  func configsThatAreNoModel(_ config: String) throws {
    let folder = try TemporaryFolder()
    try archive(config, folder.file("m.keras"))
    #expect(status { _ = try Model.load(folder.file("m.keras")) } == XferError.format("").status)
  }

  @Test func hostileConfigsGetNoMoreMemoryThanTheFileHasValuesFor() throws {
    let folder = try TemporaryFolder()
    try archive(sequential("{\"class_name\": \"Dense\", \"config\": {\"units\": 2, \"use_bias\": false}}"), folder.file("good.keras"))
    #expect(try Model.load(folder.file("good.keras")).countParams() == 4)
    for units in [3, 1_000_000_000_000] {
      let layer = "{\"class_name\": \"Dense\", \"config\": {\"units\": \(units), \"use_bias\": false}}"
      try archive(sequential(layer), folder.file("bad.keras"))
      #expect(status { _ = try Model.load(folder.file("bad.keras")) } == XferError.format("").status, "\(units) units")
    }
    try archive(sequential("{\"class_name\": \"Dense\", \"config\": {\"units\": -2}}"), folder.file("bad.keras"))
    #expect(status { _ = try Model.load(folder.file("bad.keras")) } == XferError.format("").status)
    try archive(sequential("{\"class_name\": \"Dens\", \"config\": {}}"), folder.file("bad.keras"))
    #expect(status { _ = try Model.load(folder.file("bad.keras")) } == XferError.notFound("").status)
  }
}

@Suite struct FilesWeightsTests {
  @Test(arguments: ["w.safetensors", "w.weights.h5"]) func weightsComeBackBitEqual(_ name: String) throws {
    let folder = try TemporaryFolder()
    let model = try trainedModel()
    try model.saveWeights(folder.file(name))
    #expect(folder.names == [name])
    // Another model of the same kind, whose automatic names count on.
    let other = try trainedModel()
    #expect(other.weights.map(\.path) != model.weights.map(\.path))
    for weight in other.weights { try weight.assign(Tensor(zeros: weight.shape)) }
    let report = try other.loadWeights(folder.file(name))
    #expect(report.loaded.count == model.weights.count && report.skipped.isEmpty)
    #expect(other.weights.map(\.values) == model.weights.map(\.values))
    #expect(status { try model.saveWeights(folder.file("w.txt")) } == XferError.unsupported("").status)
  }

  @Test func weightsOfAKerasFileAlone() throws {
    let folder = try TemporaryFolder()
    let (model, other) = try (trainedModel(), trainedModel())
    try model.save(folder.file("m.keras"))
    try other.loadWeights(folder.file("m.keras"))
    #expect(other.weights.map(\.values) == model.weights.map(\.values))
  }

  @Test func aClassifierInTheFileIsPassedOver() throws {
    let folder = try TemporaryFolder()
    let top = try Application.make("efficientnet-lite0", config: ["include_top": true, "classes": 10])
    try top.saveWeights(folder.file("lite0.safetensors"))
    let model = try Application.make("efficientnet-lite0", config: ["weights": .string(folder.file("lite0.safetensors"))])
    #expect(zip(model.weights, top.weights).allSatisfy { $0.path == $1.path && $0.values == $1.values })
    let report = try model.loadWeights(folder.file("lite0.safetensors"))
    #expect(report.skipped == ["predictions/bias", "predictions/kernel"])
    #expect(report.loaded.count == model.weights.count)
    // The other way round the classifier is missing.
    try model.saveWeights(folder.file("features.safetensors"))
    #expect(status { try top.loadWeights(folder.file("features.safetensors")) } == XferError.notFound("").status)
    #expect(try top.loadWeights(folder.file("features.safetensors"), byName: true).missing == ["predictions/kernel", "predictions/bias"])
  }

  @Test func weightsTooManyOrOfAnotherShapeFail() throws {
    let folder = try TemporaryFolder()
    let input = try Input(shape: [4])
    let model = try Model(input, Dense(2, useBias: false, name: "d")(input))
    let before = model.weights[0].values
    try SafetensorsFile.write([("d/kernel", Tensor(zeros: [4, 2])), ("d/bias", Tensor(zeros: [2]))], to: folder.file("bias.safetensors"))
    #expect(status { try model.loadWeights(folder.file("bias.safetensors")) } == XferError.shape("").status)
    try SafetensorsFile.write([("d/kernel", Tensor(zeros: [2, 4]))], to: folder.file("turned.safetensors"))
    #expect(status { try model.loadWeights(folder.file("turned.safetensors")) } == XferError.shape("").status)
    #expect(model.weights[0].values == before)
    #expect(try model.loadWeights(folder.file("turned.safetensors"), skipMismatch: true).mismatched == ["d/kernel"])
    #expect(model.weights[0].values == before)
    #expect(try model.loadWeights(folder.file("bias.safetensors"), byName: true).skipped == ["d/bias"])
    #expect(model.weights[0].values == [Float](repeating: 0, count: 8))
  }

  @Test func trainingAModelDoesNotChangeTheFileItWasReadFrom() throws {
    let folder = try TemporaryFolder()
    let model = try trainedModel()
    try model.saveWeights(folder.file("w.safetensors"))
    let saved = try folder.read("w.safetensors")
    try model.loadWeights(folder.file("w.safetensors"))
    try model.compile(optimizer: Adam(), loss: BinaryCrossentropy(fromLogits: true))
    let before = model.trainableWeights.map(\.values)
    _ = try model.trainOnBatch(Batch(x: randomTensor([4, 6, 6, 2], seed: 1), y: Tensor([Float](repeating: 0, count: 8), shape: [4, 2])))
    #expect(model.trainableWeights.map(\.values) != before)
    #expect(try folder.read("w.safetensors") == saved)
  }

  @Test func twoModelsWithEqualPathsInOne() throws {
    let folder = try TemporaryFolder()
    func twin(_ name: String) throws -> Model {
      let input = try Input(shape: [3])
      return try Model(input, Dense(3, name: "d")(input), name: name)
    }
    func both() throws -> Model {
      let input = try Input(shape: [3])
      return try Model(input, twin("right")(twin("left")(input)))
    }
    let (model, other) = try (both(), both())
    try model.saveWeights(folder.file("w.safetensors"))
    let names = try SafetensorsFile(folder.file("w.safetensors")).names.sorted()
    #expect(names == ["left/d/bias", "left/d/kernel", "right/d/bias", "right/d/kernel"])
    try other.loadWeights(folder.file("w.safetensors"))
    #expect(other.weights.map(\.values) == model.weights.map(\.values))
  }
}
