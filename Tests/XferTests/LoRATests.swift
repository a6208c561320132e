import CXfer
import Foundation
import Testing
import XferCore
import XferGraph
@testable import Xfer

/// Low-rank adaptation against Keras' enable_lora (Tests/goldens/lora.py), and what Keras says nothing about.
@Suite struct LoRATests {
  struct Case: CustomTestStringConvertible, Sendable {
    let json: JSONValue
    var testDescription: String { "\(json["class"]?.stringValue ?? "") \(json["given"]?.text() ?? "")" }
  }

  static let cases = ((try? golden("lora.json"))?["layers"]?.arrayValue ?? []).map { Case(json: $0) }

  @Test func fixturesAreHere() { #expect(Self.cases.count == 6) }

  private func tensor(_ json: JSONValue?) throws -> Tensor {
    let json = try #require(json)
    return try Tensor(#require(json["values"]).floats, shape: (json["shape"]?.arrayValue ?? []).compactMap(\.intValue))
  }

  private func tensors(_ json: JSONValue?) throws -> [Tensor] { try #require(json?.arrayValue).map { try tensor($0) } }

  private func arguments(_ json: JSONValue?) throws -> LoRA {
    var config = try Configuration(#require(json), for: "arguments")
    return try LoRA(arguments: &config)
  }

  @Test(arguments: cases) func matchesKeras(_ example: Case) throws {
    let json = example.json
    let className = try #require(json["class"]?.stringValue)
    var given = json["given"]?.objectValue ?? [:]
    given["name"] = "adapted"
    let layer = try LayerRegistry.make(className, config: .object(given))
    let labels = className == "Embedding"
    let values = try tensor(json["input"])
    let x = labels ? try Tensor(labels: values.floats.map { Int32($0) }, shape: values.shape) : values
    let before = try layer(x)
    try layer.enable(arguments(json["arguments"]))
    #expect(try layer(x).floats == before.floats)

    let weights = try #require(json["weights"]?.arrayValue)
    #expect(layer.weights.map(\.name) == weights.map { $0["name"]?.stringValue })
    #expect(layer.weights.map(\.path) == weights.map { $0["path"]?.stringValue })
    #expect(layer.weights.map(\.trainable) == weights.map { $0["trainable"]?.boolValue })
    #expect(layer.trainableWeights.map(\.name) == (json["trainable"]?.arrayValue ?? []).map(\.stringValue))
    for (key, value) in try #require(json["lora"]?.objectValue) {
      #expect(layer.ownConfig[key].map { LayerGoldenTests.same($0, value) } ?? false)
    }
    for (variable, value) in zip(layer.weights, weights) { try variable.assign(tensor(value)) }

    let tape = GradientTape()
    let y = try layer(x, tape: tape)
    #expect(try relativeError(y.floats, tensor(json["output"]).floats) < 1e-5)
    let loss = WeightedSum(try Tensor(tensor(json["factors"]).floats))
    let gradients = try tape.gradient(loss(Tensor([1]), y, tape: tape), layer.trainableWeights)
    for (gradient, expected) in try zip(gradients, tensors(json["gradients"])) {
      let gradient = try #require(gradient)
      #expect(gradient.shape == expected.shape)
      #expect(relativeError(gradient.floats, expected.floats) < 1e-5)
    }

    let stored = try layer.storedWeights.map { try $0.stored() }
    let expected = try tensors(json["stored"])
    #expect(stored.map(\.shape) == expected.map(\.shape))
    for (own, other) in zip(stored, expected) { #expect(relativeError(own.floats, other.floats) < 1e-6) }

    // What the layer says of itself makes another one, with matrices of its own.
    let again = try LayerRegistry.make(className, config: layer.config)
    _ = try again(x)
    #expect(again.weights.map(\.shape) == layer.weights.map(\.shape))
    #expect(again.trainableWeights.map(\.name) == layer.trainableWeights.map(\.name))
    #expect(again.lora?.alpha == layer.lora?.alpha)
  }

  /// The model of the fixture: a frozen layer, one that is adapted, a head.
  private func network(adapted: Bool = true) throws -> Model {
    let model = try Sequential([
      InputLayer(shape: [6]), Dense(5, activation: .tanh, name: "frozen"), Dense(4, activation: .tanh, name: "adapted"),
      Dense(2, name: "head"),
    ])
    try model.getLayer("frozen").trainable = false
    if adapted { try model.getLayer("adapted").enableLoRA(rank: 2, alpha: 6) }
    return model
  }

  @Test func trainsAsKeras() throws {
    let json = try #require(try golden("lora.json")["training"])
    let model = try network()
    #expect(names(model.weights.map(\.path)) == names(json["paths"]))
    #expect(names(model.trainableWeights.map(\.path)) == names(json["trainable"]))
    #expect(model.countParams() == json["params"]?.intValue)
    for (weight, value) in try zip(model.weights, tensors(json["begin"])) { try weight.assign(value) }
    let frozen = model.nonTrainableWeights.map { ($0, $0.values) }
    #expect(frozen.map(\.0.name) == ["kernel", "bias", "kernel"])
    try model.compile(optimizer: Adam(learningRate: 0.02), loss: MeanSquaredError())
    let audit = model.audit()
    var options = FitOptions()
    (options.epochs, options.verbose) = (3, 0)
    let data = try ArrayDataset(x: tensor(json["x"]), y: tensor(json["y"]), batchSize: 8)
    let losses = try model.fit(data, options: options).values["loss"] ?? []
    #expect(largestDifference(losses.map { Float($0) }, (json["losses"] ?? []).floats) < 1e-5)
    for (weight, value) in try zip(model.weights, tensors(json["end"])) { #expect(relativeError(weight.values, value.floats) < 1e-4) }
    #expect(frozen.allSatisfy { $0.0.values == $0.1 })
    try audit.verify()
    #expect(try relativeError(model.predict(tensor(json["x"])).floats, tensor(json["predictions"]).floats) < 1e-4)
  }

  /// Paths without the model's name, which counts the models of the process.
  private func names(_ paths: [String]) -> [String] { paths.map { $0.split(separator: "/").dropFirst().joined(separator: "/") } }
  private func names(_ json: JSONValue?) -> [String] { names((json?.arrayValue ?? []).compactMap(\.stringValue)) }

  @Test func readsWhatKerasSaved() throws {
    let json = try #require(try golden("lora.json")["training"])
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../goldens/files/lora.keras").path
    let model = try Model.load(path)
    #expect(try model.getLayer("adapted").lora?.rank == 2)
    for (weight, value) in try zip(model.weights, tensors(json["loaded"])) {
      #expect(weight.values == value.floats || relativeError(weight.values, value.floats) < 1e-7)
    }
    #expect(try relativeError(model.predict(tensor(json["x"])).floats, tensor(json["predictions"]).floats) < 1e-5)
    #expect(try model.trainableWeights.map(\.shape) == network().trainableWeights.map(\.shape))
  }

  @Test func filesHoldTheSum() throws {
    let folder = try TemporaryFolder()
    let (model, plain) = (try network(), try network(adapted: false))
    try fill(model)
    let x = try randomTensor([7, 6], seed: 5)
    let wanted = try model.predict(x).floats
    for name in ["w.weights.h5", "w.safetensors"] {
      try model.saveWeights(folder.file(name))
      for other in [plain, try network()] {
        try fill(other, scale: 2)
        let report = try other.loadWeights(folder.file(name))
        #expect(report.loaded.count == 6 && report.skipped.isEmpty && report.missing.isEmpty)
        #expect(try relativeError(other.predict(x).floats, wanted) < 1e-6)
      }
    }
    try model.save(folder.file("m.keras"))
    let loaded = try Model.load(folder.file("m.keras"))
    #expect(try loaded.getLayer("adapted").lora?.alpha == 6)
    #expect(try relativeError(loaded.predict(x).floats, wanted) < 1e-6)
    // The values of before stay: saving changes nothing.
    #expect(try model.predict(x).floats == wanted)
    // A file from before the layer was adapted.
    try plain.saveWeights(folder.file("plain.weights.h5"))
    let later = try network()
    try later.loadWeights(folder.file("plain.weights.h5"))
    #expect(try relativeError(later.predict(x).floats, plain.predict(x).floats) < 1e-6)
  }

  @Test func refusesWhatKerasRefuses() throws {
    func refused(_ status: xfer_status, _ message: String, _ body: () throws -> Void) {
      let error = #expect(throws: XferError.self) { try body() }
      #expect(error?.status == status)
      #expect(error?.message.contains(message) ?? false, "\(error?.message ?? "")")
    }
    let dense = Dense(3, name: "d")
    refused(XFER_E_STATE, "not built yet") { try dense.enableLoRA(rank: 2) }
    try dense.buildIfNeeded([[nil, 4]])
    refused(XFER_E_INVALID_ARGUMENT, "0 was given") { try dense.enableLoRA(rank: 0) }
    refused(XFER_E_INVALID_ARGUMENT, "finite") { try dense.enableLoRA(rank: 1, alpha: .infinity) }
    #expect(dense.weights.count == 2 && dense.lora == nil)
    try dense.enableLoRA(rank: 2)
    refused(XFER_E_STATE, "enabled already, with rank 2") { try dense.enableLoRA(rank: 2) }
    // A layer that stands in two places is adapted once.
    let (twice, input) = (try Dense(3), try Input(shape: [3]))
    let (first, second) = (try Model(input, twice(input)), try Model(input, twice(twice(input))))
    let shared = try Model(input, Dense(1)(second(first(input))))
    try shared.enableLoRA(LoRA(rank: 1))
    #expect(twice.lora != nil && !shared.trainableWeights.isEmpty)
    #expect(dense.weights.count == 4)
    let bound = Dense(3, kernelConstraint: .nonNegative)
    try bound.buildIfNeeded([[nil, 4]])
    refused(XFER_E_INVALID_ARGUMENT, "constraint") { try bound.enableLoRA(rank: 2) }
    let depthwise = DepthwiseConv2D(kernelSize: (3, 3))
    try depthwise.buildIfNeeded([[nil, 8, 8, 2]])
    refused(XFER_E_UNSUPPORTED, "DepthwiseConv2D") { try depthwise.enableLoRA(rank: 2) }
    refused(XFER_E_INVALID_ARGUMENT, "-1 was given") { _ = try LayerRegistry.make("Dense", config: ["units": 2, "lora_rank": -1]) }
    refused(XFER_E_INVALID_ARGUMENT, "constraint") {
      try LayerRegistry.make("Dense", config: ["units": 2, "lora_rank": 1, "kernel_constraint": "NonNeg"]).buildIfNeeded([[nil, 4]])
    }
  }

  @Test func takesEffectAtTheNextCompile() throws {
    let model = try network(adapted: false)
    try model.compile(optimizer: Adam(), loss: MeanSquaredError())
    let data = try ArrayDataset(x: randomTensor([8, 6], seed: 1), y: randomTensor([8, 2], seed: 2), batchSize: 8)
    var options = FitOptions()
    options.verbose = 0
    _ = try model.fit(data, options: options)
    try model.getLayer("adapted").enableLoRA(rank: 1)
    let error = #expect(throws: XferError.self) { _ = try model.fit(data, options: options) }
    #expect(error?.status == XFER_E_STALE_TRAINABLE)
    #expect(error?.message.contains("'adapted'") ?? false)
    try model.compile(optimizer: Adam(), loss: MeanSquaredError())
    _ = try model.fit(data, options: options)
    // Setting the flag again thaws the kernel as well, as in Keras; what a plan of before knew of it is not used.
    let adapted = try model.getLayer("adapted")
    func gradients() throws -> [Tensor?] {
      let tape = GradientTape()
      let x = try randomTensor([2, 6], seed: 3)
      return try tape.gradient(
        MeanSquaredError()(randomTensor([2, 2], seed: 4), model(x, tape: tape), tape: tape), adapted.trainableWeights)
    }
    #expect(try gradients().count == 3)
    adapted.trainable = false
    adapted.trainable = true
    let thawed = try gradients()
    #expect(thawed.count == 4 && thawed.allSatisfy { $0 != nil })
  }

  @Test func adaptsAWholeModel() throws {
    let input = try Input(shape: [8, 8, 3])
    let convolved = try Conv2D(filters: 4, kernelSize: 1, name: "point")(input)
    let normalized = try BatchNormalization(name: "bn")(convolved)
    let base = try Model(input, Conv2D(filters: 4, kernelSize: 3, name: "wide")(normalized), name: "base")
    let start = try Input(shape: [8, 8, 3])
    let head = Dense(2, name: "head")
    let model = try Model(start, head(GlobalAveragePooling2D()(base(start, training: false))))
    let x = try randomTensor([3, 8, 8, 3], seed: 9)
    let before = try model.predict(x).floats

    let missing = #expect(throws: XferError.self) { try base.enableLoRA(LoRA(rank: 2), layers: ["point", "wied"]) }
    #expect(missing?.message.contains("did you mean 'wide'") ?? false)
    let wrong = #expect(throws: XferError.self) { try base.enableLoRA(LoRA(rank: 2), layers: ["point", "bn"]) }
    #expect(wrong?.status == XFER_E_UNSUPPORTED)
    #expect(base.weights.count == 8 && base.trainableWeights.count == 6)

    try base.enableLoRA(LoRA(rank: 2), layers: ["wide"])
    #expect(base.trainableWeights.map(\.path) == ["wide/bias", "wide/lora_kernel_a", "wide/lora_kernel_b"])
    #expect(model.trainableWeights.count == 5)
    #expect(try model.predict(x).floats == before)
    try base.getLayer("point").enableLoRA(rank: 1)
    #expect(base.weights.count == 12)
  }

  /// Each matrix' gradient against central differences, through a convolution with batch normalization behind it.
  @Test func gradientsAreThoseOfDifferences() throws {
    let input = try Input(shape: [5, 4, 3])
    let conv = Conv2D(filters: 3, kernelSize: 1, activation: .tanh, name: "c")
    let model = try Model(input, BatchNormalization()(conv(input)))
    try conv.enableLoRA(rank: 2, alpha: 3)
    try fill(model)
    let x = try randomTensor([2, 5, 4, 3], seed: 4)
    let factors = try randomTensor([2 * 5 * 4 * 3], seed: 5)
    let loss = WeightedSum(factors)
    let tape = GradientTape()
    let matrices = conv.trainableWeights.filter(\.isFactor)
    #expect(matrices.count == 2)
    let gradients = try tape.gradient(loss(Tensor([1]), model(x, tape: tape), tape: tape), matrices)
    func value() throws -> Double {
      let y = try model(x).floats
      return zip(y, factors.floats).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    for (matrix, gradient) in zip(matrices, gradients) {
      let begin = matrix.values
      for (index, slope) in try #require(gradient).floats.enumerated() {
        var moved = begin
        moved[index] += 0.01
        try matrix.assign(Tensor(moved, shape: matrix.shape))
        let above = try value()
        moved[index] -= 0.02
        try matrix.assign(Tensor(moved, shape: matrix.shape))
        let below = try value()
        #expect(abs((above - below) / 0.02 - Double(slope)) < 2e-3 * (1 + abs(Double(slope))))
      }
      try matrix.assign(Tensor(begin, shape: matrix.shape))
    }
  }

  // MARK: Phases

  private func headed() throws -> (model: Model, base: Model, data: ArrayDataset) {
    let input = try Input(shape: [6])
    let base = try Model(input, Dense(4, activation: .tanh, name: "b")(Dense(5, activation: .tanh, name: "a")(input)), name: "base")
    let start = try Input(shape: [6])
    let model = try Model(start, Dense(1, name: "head")(base(start, training: false)))
    try fill(model)
    try model.compile(optimizer: Adam(), loss: MeanSquaredError())
    return (model, base, try ArrayDataset(x: randomTensor([24, 6], seed: 1), y: randomTensor([24, 1], seed: 2), batchSize: 8))
  }

  @Test func phasesTrainTheMatricesAlone() throws {
    let (model, base, data) = try headed()
    let plan = try PhasePlan(["preset": "head-then-all", "epochs": 1, "fine_tune_epochs": 2, "fine_tune_rate": 0.01, "lora": 2])
    #expect(plan.phases.map { $0.lora?.rank } == [nil, 2])
    let again = try PhasePlan(plan.json)
    #expect(again == plan && again.phases[1].lora == plan.phases[1].lora)
    let kernels = base.weights.map { ($0, $0.values) }
    var options = PhaseOptions()
    options.fit.verbose = 0
    let history = try model.fit(data, phases: plan, options: options)
    #expect(history.phases.map(\.trainedParameters) == [5, 5 + (5 + 2 * (6 + 5)) + (4 + 2 * (5 + 4))])
    #expect(history.phases.allSatisfy { $0.isAudited })
    for (weight, before) in kernels { #expect((weight.values == before) == (weight.name == "kernel"), "\(weight.path)") }
    #expect(base.weights.filter { $0.name == "lora_kernel_b" }.allSatisfy { $0.values.contains { $0 != 0 } })
    // The same plan goes on with the same matrices; another rank is refused before anything is trained.
    _ = try model.fit(data, phases: plan, options: options)
    let other = PhasePlan([Phase("more", unfreeze: .all, lora: LoRA(rank: 3))])
    let error = #expect(throws: XferError.self) { _ = try model.fit(data, phases: other, options: options) }
    #expect(error?.status == XFER_E_STATE)
    #expect(error?.message.contains("'more'") ?? false)
  }

  @Test func phasesGoOnFromACheckpointToTheSameBits() throws {
    let folder = try TemporaryFolder()
    // The seed, since tests share the process' random stream.
    let lora: JSONValue = ["rank": 2, "a_initializer": ["class_name": "HeUniform", "config": ["seed": 3]]]
    let plan = try PhasePlan(["phases": [["name": "head", "epochs": 1], ["name": "tune", "lora": lora, "epochs": 3]]])
    func run(stopAfter epochs: Int?, resume: Bool) throws -> [[Float]] {
      let (model, _, data) = try headed()
      var options = PhaseOptions()
      options.fit.verbose = 0
      (options.checkpoint, options.resume) = (epochs == nil && !resume ? nil : folder.file("c"), resume)
      var seen = 0
      options.onEvent = { event, _ in
        if event == .epochEnd { seen += 1 }
        if seen == epochs { throw XferError(XFER_E_CANCELLED, "enough") }
      }
      do { _ = try model.fit(data, phases: plan, options: options) } catch let error as XferError where error.status == XFER_E_CANCELLED {}
      return model.weights.map(\.values)
    }
    let whole = try run(stopAfter: nil, resume: false)
    for epochs in [1, 2, 3] {
      _ = try run(stopAfter: epochs, resume: false)
      #expect(try run(stopAfter: nil, resume: true) == whole)
    }
  }

  @Test func phasesRefuseWhatCannotBeAdapted() throws {
    #expect(throws: XferError.self) { _ = try PhasePlan(["phases": [["name": "x", "unfreeze": "none", "lora": 2]]]) }
    #expect(throws: XferError.self) { _ = try PhasePlan(["phases": [["name": "x", "lora": 0]]]) }
    let (model, _, data) = try headed()
    let count = model.weights.count
    let error = #expect(throws: XferError.self) {
      _ = try model.fit(data, phases: PhasePlan(["phases": [["name": "ok", "lora": 2], ["name": "bad", "lora": 4]]]))
    }
    #expect(error?.message.contains("'bad'") ?? false)
    #expect(model.weights.count == count)
  }
}
