import CXfer
import Foundation
import Testing
import XferCore
import XferGraph
@testable import Xfer

/// Files with what training changed of a pretrained model.
@Suite(.serialized) struct ModelDeltaTests {
  private let folder: TemporaryFolder
  /// The pretrained weights.
  private let pretrained: String

  init() throws {
    folder = try TemporaryFolder()
    pretrained = folder.file("base.safetensors")
    let base = try Self.base()
    try fill(base)
    try base.saveWeights(pretrained)
  }

  private static func base() throws -> Model {
    let input = try Input(shape: [8, 8, 3])
    let convolved = try BatchNormalization(name: "bn")(Conv2D(filters: 6, kernelSize: 3, name: "conv")(input))
    return try Model(input, Conv2D(filters: 4, kernelSize: 1, name: "point")(convolved), name: "base")
  }

  /// The pretrained base, frozen, under a new head.
  private func network() throws -> (model: Model, base: Model) {
    let base = try Self.base()
    try base.loadWeights(pretrained)
    base.trainable = false
    let input = try Input(shape: [8, 8, 3])
    let model = try Model(input, Dense(2, name: "head")(GlobalAveragePooling2D()(base(input, training: false))), name: "whole")
    model.metadata = ["class_names": ["a", "b"]]
    return (model, base)
  }

  private func train(_ model: Model) throws {
    try model.compile(optimizer: Adam(learningRate: 0.05), loss: MeanSquaredError())
    for step in 0..<3 { _ = try model.trainOnBatch(Batch(x: images(seed: UInt64(step)), y: randomTensor([4, 2], seed: 9))) }
  }

  private func images(seed: UInt64) throws -> Tensor { try randomTensor([4, 8, 8, 3], seed: seed) }

  private func refused(_ status: xfer_status, _ words: String, _ body: () throws -> Void) {
    let error = #expect(throws: XferError.self) { try body() }
    #expect(error?.status == status)
    #expect(error?.message.contains(words) ?? false, "\(error?.message ?? "")")
  }

  @Test func holdsTheHeadAloneAndComesBackBitEqual() throws {
    let (model, _) = try network()
    try train(model)
    let path = folder.file("head.safetensors")
    try model.saveDelta(path)
    let file = try SafetensorsFile(path)
    #expect(Set(file.names) == ["head/kernel", "head/bias"])
    let (other, _) = try network()
    let x = try images(seed: 7)
    let wanted = try model.predict(x).floats
    #expect(try other.predict(x).floats != wanted)
    try other.loadDelta(path)
    #expect(try other.predict(x).floats == wanted)
    // Of what came back the same delta can be saved.
    try other.saveDelta(folder.file("again.safetensors"))
    let again = try SafetensorsFile(folder.file("again.safetensors"))
    #expect(Set(again.names) == Set(file.names))
    for name in file.names { #expect(try again.tensor(name).floats == file.tensor(name).floats) }
    #expect(again.metadata["weights"] == file.metadata["weights"])
  }

  @Test func holdsWhatWasFineTunedAndMovingStatistics() throws {
    let (model, base) = try network()
    try base.getLayer("point").trainable = true
    base.setOwnTrainable(true)
    try train(model)
    try model.saveDelta(folder.file("d"))
    #expect(try Set(SafetensorsFile(folder.file("d")).names) == ["head/kernel", "head/bias", "point/kernel", "point/bias"])
    let (other, _) = try network()
    try other.loadDelta(folder.file("d"))
    for (a, b) in zip(model.weights, other.weights) { #expect(a.values == b.values, "\(a.path)") }
  }

  @Test func restoringTheBestWeightsChangesNothingThatStayed() throws {
    let (model, _) = try network()
    try model.compile(optimizer: Adam(learningRate: 0.05), loss: MeanSquaredError())
    var options = FitOptions()
    (options.epochs, options.verbose) = (3, 0)
    options.callbacks = [EarlyStopping(monitor: "loss", patience: 1, restoreBestWeights: true)]
    _ = try model.fit(ArrayDataset(x: images(seed: 1), y: randomTensor([4, 2], seed: 2)), options: options)
    try model.saveDelta(folder.file("d"))
    #expect(try Set(SafetensorsFile(folder.file("d")).names) == ["head/kernel", "head/bias"])
  }

  @Test func carriesLoRA() throws {
    let (model, base) = try network()
    try base.enableLoRA(LoRA(rank: 1, alpha: 2), layers: ["point"])
    try train(model)
    try model.saveDelta(folder.file("d"))
    let names = try Set(SafetensorsFile(folder.file("d")).names)
    #expect(names == ["head/kernel", "head/bias", "point/bias", "point/lora_kernel_a", "point/lora_kernel_b"])
    let x = try images(seed: 7)
    let wanted = try model.predict(x).floats
    let (other, otherBase) = try network()
    try other.loadDelta(folder.file("d"))
    #expect(try otherBase.getLayer("point").lora?.alpha == 2)
    #expect(try other.predict(x).floats == wanted)
    // A delta without LoRA, onto a model with it: the kernel counts as it is.
    let (plain, _) = try network()
    try plain.saveDelta(folder.file("plain"))
    try otherBase.loadWeights(pretrained)
    try other.loadDelta(folder.file("plain"))
    #expect(try relativeError(other.predict(x).floats, plain.predict(x).floats) < 1e-6)
    // Two ranks do not go together.
    let (third, thirdBase) = try network()
    try thirdBase.getLayer("point").enableLoRA(rank: 2)
    refused(XFER_E_STATE, "rank 1") { try third.loadDelta(folder.file("d")) }
  }

  @Test func makesTheWholeModelOfTheBaseAlone() throws {
    let (model, base) = try network()
    try base.enableLoRA(LoRA(rank: 1), layers: ["point"])
    try train(model)
    try model.saveDelta(folder.file("d"))
    let source = try Self.base()
    try source.loadWeights(pretrained)
    let made = try Model.load(delta: folder.file("d"), base: source)
    let x = try images(seed: 7)
    #expect(try made.predict(x).floats == model.predict(x).floats)
    #expect(made.metadata == model.metadata && made.name == "whole")
    #expect(made.trainer != nil)
    // The base keeps its own memory.
    try source.weights[0].assign(Tensor(zeros: source.weights[0].shape))
    #expect(try made.predict(x).floats == model.predict(x).floats)
    refused(XFER_E_STATE, "another base") { _ = try Model.load(delta: folder.file("d"), base: source) }
  }

  @Test func refusesOtherModelsAndBasesAndFiles() throws {
    let (model, base) = try network()
    try train(model)
    let path = folder.file("d")
    try model.saveDelta(path)
    let (other, otherBase) = try network()
    let before = other.weights.map(\.values)
    try otherBase.getLayer("bn").weights[3].assign(Tensor([1, 1, 1, 1, 1, 2], shape: [6]))
    let moved = other.weights.map(\.values)
    refused(XFER_E_STATE, "'bn/moving_variance' had other values") { try other.loadDelta(path) }
    #expect(other.weights.map(\.values) == moved && before != moved)
    refused(XFER_E_SHAPE, "made from a model of 10 weights") { try base.loadDelta(path) }
    let input = try Input(shape: [8, 8, 3])
    let wider = try Model(input, Dense(3, name: "head")(GlobalAveragePooling2D()(Self.base()(input, training: false))))
    refused(XFER_E_SHAPE, "'head/kernel'") { try wider.loadDelta(path) }
    refused(XFER_E_FORMAT, "is no delta") { try base.loadDelta(pretrained) }
    refused(XFER_E_UNSUPPORTED, "load_delta") { try model.loadWeights(path) }
    refused(XFER_E_NOT_FOUND, "cannot be opened") { try model.loadDelta(folder.file("nothing")) }
    // A file that lost a tensor.
    let file = try SafetensorsFile(path)
    try SafetensorsFile.write([("head/bias", file.tensor("head/bias"))], metadata: file.metadata, to: folder.file("less"))
    let (third, _) = try network()
    refused(XFER_E_FORMAT, "lacks 'head/kernel'") { try third.loadDelta(folder.file("less")) }
  }
}
