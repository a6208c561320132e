import Foundation
import Testing
import XferCore
import XferGraph
@testable import Xfer

/// A list of cases Keras made; see Tests/goldens.
func goldens(_ name: String) -> [JSONValue] {
  let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent(
    "goldens/\(name)")
  guard let text = try? Data(contentsOf: path), let json = try? JSONValue(parsing: text, what: name) else { return [] }
  return json.arrayValue ?? []
}

extension JSONValue {
  /// A tensor as the generator packs it: {"shape","values","int"}.
  func tensor() throws -> Tensor {
    let shape = self["shape"]?.arrayValue?.compactMap(\.intValue) ?? []
    let values = self["values"]?.arrayValue?.compactMap(\.doubleValue) ?? []
    if self["int"]?.boolValue == true { return try Tensor(labels: values.map { Int32($0) }, shape: shape) }
    return try Tensor(values.map(Float.init), shape: shape)
  }
  var numbers: [Double] { self["values"]?.arrayValue?.compactMap(\.doubleValue) ?? [] }
}

/// Equal to what float32 sums in another order can differ by.
func near(_ a: [Double], _ b: [Double], _ tolerance: Double = 2e-5) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= tolerance * max(1, abs($1)) || ($0.isNaN && $1.isNaN) }
}

/// Every loss against Keras: values with and without sample weights under all reductions, gradients, configs.
@Suite struct LossGoldenTests {
  static let cases = goldens("losses.json")

  @Test func thereAreGoldens() { #expect(Self.cases.count > 30) }

  @Test(arguments: cases.indices) func point14LossesAreKeras(_ index: Int) throws {
    let example = Self.cases[index]
    let name = example["class"]?.stringValue ?? ""
    let (truth, prediction) = (try #require(example["truth"]).tensor(), try #require(example["prediction"]).tensor())
    for result in example["results"]?.arrayValue ?? [] {
      var config = example["config"]?.objectValue ?? [:]
      let reduction = result["reduction"]?.stringValue ?? ""
      config["reduction"] = .string(reduction)
      let loss = try Loss.make(name, config: .object(config))
      let given = result["weights"] ?? .null
      let weights = given.isNull ? nil : try given.tensor()
      let wanted = try #require(result["value"])
      let value = try loss(truth, prediction, sampleWeight: weights)
      #expect(
        near(value.floats.map(Double.init), wanted.numbers), "\(name) \(config) \(reduction): \(value.floats), Keras has \(wanted.numbers)")
      guard let gradient = result["gradient"] else { continue }
      // The prediction is a trainable shift of zeros: its gradient is that of the weight, which has the batch as a dimension.
      let shift = try Shift(shape: prediction.shape)
      let zeros = try Tensor(zeros: [1] + prediction.shape)
      _ = try shift(zeros)
      shift.weights[0].tensor.float32.update(fromContentsOf: prediction.float32)
      shift.weights[0].touch()
      let tape = GradientTape()
      let flat = Unbatched(loss, shape: prediction.shape)
      let scalar = try flat(truth, shift(zeros, tape: tape), sampleWeight: weights, tape: tape)
      let found = try #require(try tape.gradient(scalar, shift.weights)[0])
      #expect(
        near(found.floats.map(Double.init), gradient.numbers),
        "\(name) \(config) \(reduction): gradient \(found.floats), Keras has \(gradient.numbers)")
    }
  }

  @Test(arguments: cases.indices) func configsAreKeras(_ index: Int) throws {
    let example = Self.cases[index]
    let name = example["class"]?.stringValue ?? ""
    let given = example["config"] ?? [:]
    let loss = try Loss.make(name, config: given)
    var wanted = example["keras_config"]?.objectValue ?? [:]
    // Keras' own config loses these two arguments.
    if name == "Huber", let delta = given["delta"] { wanted["delta"] = delta }
    if name == "CosineSimilarity", let axis = given["axis"] { wanted["axis"] = axis }
    #expect(loss.config.numerically(.object(wanted)), "\(loss.config.text()), Keras has \(JSONValue.object(wanted).text())")
    let again = try Loss.make(name, config: loss.config)
    #expect(again.config == loss.config && type(of: again).className == name)
  }

  @Test func namesAndShortForms() throws {
    for (name, wanted) in [
      ("mse", "MeanSquaredError"), ("MAE", "MeanAbsoluteError"), ("bce", "BinaryCrossentropy"), ("kld", "KLDivergence"),
      ("huber", "Huber"), ("log_cosh", "LogCosh"), ("categorical_focal_crossentropy", "CategoricalFocalCrossentropy"),
    ] {
      let loss = try Loss.make(name)
      #expect(type(of: loss).className == wanted && loss.name == name)
    }
    #expect(throws: XferError.self) { try Loss.make("mean_square_error") }
    #expect(throws: XferError.self) { try Loss.make("MeanSquaredError", config: ["reduction": "average"]) }
    #expect(throws: XferError.self) { try Loss.make("MeanSquaredError", config: ["delta": 1.0]) }
  }

  @Test func crossentropyChoosesByShapes() throws {
    let loss = try Loss.make("crossentropy")
    let p = try Tensor([0.2, 0.8, 0.6, 0.4], shape: [2, 2])
    let sparse = try loss(Tensor(labels: [1, 0]), p).floats[0]
    let oneHot = try loss(Tensor([0, 1, 1, 0], shape: [2, 2]), p).floats[0]
    #expect(abs(sparse - oneHot) < 1e-6)
    let binary = try loss(Tensor([1, 0], shape: [2, 1]), Tensor([0.8, 0.4], shape: [2, 1])).floats[0]
    #expect(abs(binary - oneHot) < 1e-6)
  }

  @Test func weightsThatDoNotFitAreRefused() throws {
    let loss = MeanSquaredError()
    let y = try Tensor(zeros: [4, 3])
    #expect { try loss(y, y, sampleWeight: Tensor(zeros: [3])) } throws: { "\($0)".contains("sample_weight has shape [3]") }
    #expect(throws: XferError.self) { try BinaryCrossentropy()(Tensor(zeros: [4, 2]), y) }
    #expect(throws: XferError.self) { try SparseCategoricalCrossentropy()(Tensor(labels: [0, 3, 0, 0]), y) }
    #expect(throws: XferError.self) { try SparseCategoricalCrossentropy()(Tensor(labels: [0, 1]), y) }
  }

  @Test func reductionNoneIsNoTrainingLoss() throws {
    let input = try Input(shape: [2])
    let model = try Model(inputs: [input], outputs: [Dense(1)([input])])
    try model.compile(optimizer: SGD(), loss: MeanSquaredError(reduction: .none))
    #expect { try model.trainOnBatch(Batch(x: Tensor(zeros: [2, 2]), y: Tensor(zeros: [2, 1]))) } throws: { "\($0)".contains("reduction") }
  }
}

extension JSONValue {
  /// Equal where 1 and 1.0 are the same.
  func numerically(_ other: JSONValue) -> Bool {
    if let a = doubleValue, let b = other.doubleValue { return abs(a - b) < 1e-9 }
    if let a = arrayValue, let b = other.arrayValue { return a.count == b.count && zip(a, b).allSatisfy { $0.numerically($1) } }
    if let a = objectValue, let b = other.objectValue {
      return Set(a.keys) == Set(b.keys) && a.allSatisfy { key, value in b[key].map { value.numerically($0) } ?? false }
    }
    return self == other
  }
}

/// A loss of predictions that carry a batch dimension of 1 in front of their own shape.
private final class Unbatched: Loss {
  private let inner: Loss
  private let shape: [Int]
  init(_ inner: Loss, shape: [Int]) {
    (self.inner, self.shape) = (inner, shape)
    super.init(name: inner.name, reduction: inner.reduction)
  }
  override var targetDType: DType { inner.targetDType }
  override func samples(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID {
    try inner.samples(truth, graph.reshape(prediction, to: shape), graph)
  }
  override func mask(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID? {
    try inner.mask(truth, graph.reshape(prediction, to: shape), graph)
  }
}
