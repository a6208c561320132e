import Foundation
import Testing
import XferCore
import XferGraph
@testable import Xfer

/// MultiHeadAttention against Keras' outputs, scores, gradients and config (Tests/goldens/attention.json).
@Suite struct AttentionTests {
  static let all = LayerGoldenTests.cases("attention.json").map { LayerGoldenTests.Case(json: $0) }

  private func tensor(_ json: JSONValue?) throws -> Tensor {
    let json = try #require(json)
    return try Tensor(
      (json["values"]?.arrayValue ?? []).compactMap(\.doubleValue).map { Float($0) },
      shape: (json["shape"]?.arrayValue ?? []).compactMap(\.intValue))
  }

  @Test func fixturesAreHere() { #expect(Self.all.count == 6) }

  @Test(arguments: all) func matchesKeras(_ example: LayerGoldenTests.Case) throws {
    let json = example.json
    var config = json["given"]?.objectValue ?? [:]
    config["name"] = "mha"
    let layer = try LayerRegistry.make("MultiHeadAttention", config: .object(config))
    let names = MultiHeadAttention.inputNames.filter { json["inputs"]?[$0] != nil }
    let inputs = try names.map { try tensor(json["inputs"]?[$0]) }
    var arguments: [String: JSONValue] = ["inputs": .array(names.map { .string($0) })]
    if json["causal"]?.boolValue == true { arguments["use_causal_mask"] = true }
    if json["scores"]?.boolValue == true { arguments["return_attention_scores"] = true }
    try layer.setCallArguments(arguments)
    let symbols = try inputs.map { try Input(shape: Array($0.shape.dropFirst())) }
    // Shifts make the gradients of query and value visible.
    let shifts = try symbols.prefix(2).map { try Shift(shape: $0.shape.dropFirst().map { $0 ?? 1 }) }
    let moved = try zip(shifts, symbols).map { try $0($1) } + symbols.dropFirst(2)
    let model = try Model(inputs: symbols, outputs: layer.all(moved))
    let plain = try Model(inputs: symbols, outputs: layer.all(symbols))
    // What a model was called with belongs to the call, not to the layer.
    try layer.setCallArguments([:])
    let weights = json["weights"]?.arrayValue ?? []
    #expect(layer.weights.map(\.path) == weights.map { $0["path"]?.stringValue })
    for (variable, value) in zip(layer.weights, weights) { try variable.assign(tensor(value)) }
    for (key, value) in json["config"]?.objectValue ?? [:] {
      #expect(layer.ownConfig[key].map { LayerGoldenTests.same($0, value) } ?? false, "\(key): \(layer.ownConfig[key]?.text() ?? "")")
    }

    let tape = GradientTape()
    let made = try model.all(inputs, tape: tape)
    let expected = try (json["outputs"]?.arrayValue ?? []).map { try tensor($0) }
    #expect(made.map(\.shape) == expected.map(\.shape))
    for (y, wanted) in zip(made, expected) { #expect(relativeError(y.floats, wanted.floats) < 2e-5) }

    let value = try WeightedSum(Tensor(tensor(json["factors"]).floats))(Tensor([1]), made[0], tape: tape)
    let gradients = try tape.gradient(value, layer.trainableWeights + shifts.flatMap(\.trainableWeights))
    let wanted = try (json["gradients"]?.arrayValue ?? []).map { try tensor($0) }
    #expect(gradients.count == wanted.count)
    for (index, (gradient, wanted)) in zip(gradients, wanted).enumerated() {
      let given = try #require(gradient).floats
      let batch = index < layer.trainableWeights.count ? 1 : wanted.shape[0]
      let size = wanted.count / batch
      let sums = (0..<size).map { i in (0..<batch).reduce(Float(0)) { $0 + wanted.floats[$1 * size + i] } }
      // A bias of the keys has no gradient but rounding: softmax does not see it.
      #expect(zip(given, sums).allSatisfy { abs($0 - $1) < 2e-4 }, "gradient \(index)")
    }

    // The model's config is read back, call arguments and all, as Keras writes them.
    let again = try Model.fromJSON(plain.toJSON())
    #expect(again.weights.map(\.path) == plain.weights.map(\.path))
    for (variable, value) in zip(again.weights, plain.weights) { try variable.assign(value.tensor) }
    for (y, wanted) in zip(try again.all(inputs), made) { #expect(relativeError(y.floats, wanted.floats) < 1e-6) }
    let node = try #require(
      plain.config["layers"]?.arrayValue?.last { $0["class_name"] == "MultiHeadAttention" }?["inbound_nodes"]?.arrayValue?.first)
    #expect(node["args"]?.arrayValue?.count == 2)
    let keywords = Set((node["kwargs"]?.objectValue ?? [:]).keys)
    #expect(keywords == Set(names.dropFirst(2)).union(arguments.keys.filter { $0 != "inputs" }))
  }

  @Test func savesUnderKerasNames() throws {
    let layer = try LayerRegistry.make("MultiHeadAttention", config: ["num_heads": 2, "key_dim": 3, "use_gate": true, "name": "attention"])
    let x = try Input(shape: [4, 5])
    let model = try Model(x, layer([x, x]))
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("attention-\(UUID().uuidString).keras").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    try model.save(path)
    let again = try Model.load(path)
    #expect(again.weights.map(\.shape) == model.weights.map(\.shape))
    for (a, b) in zip(again.weights, model.weights) { #expect(a.values == b.values) }
    #expect(layer.attribute(of: layer.sublayers[0]) == "query_dense")
    layer.trainable = false
    #expect(layer.trainableWeights.isEmpty && layer.weights.count == 10)
  }

  @Test func dropoutActsInTrainingOnly() throws {
    let layer = try LayerRegistry.make("MultiHeadAttention", config: ["num_heads": 2, "key_dim": 3, "dropout": 0.5, "seed": 3])
    let x = try randomTensor([2, 4, 5], seed: 1)
    let calm = try layer([x, x])
    #expect(try layer([x, x]).floats == calm.floats)
    #expect(try layer([x, x], training: true).floats != calm.floats)
  }

  @Test func argumentsAreRefusedByName() throws {
    for (config, word) in [
      (["num_heads": 2, "key_dim": 3, "sliding_window": 2], "sliding_window"), (["num_heads": 2], "key_dim"),
      (["num_heads": 2, "key_dim": 3, "flash_attention": true], "flash_attention"),
      (["num_heads": 2, "key_dim": 3, "dropout": 2.0], "dropout"),
    ] as [(JSONValue, String)] {
      let error = #expect(throws: XferError.self) { try LayerRegistry.make("MultiHeadAttention", config: config) }
      #expect(error?.message.contains(word) == true)
    }
    let layer = try LayerRegistry.make("MultiHeadAttention", config: ["num_heads": 2, "key_dim": 3])
    for arguments in [["query_mask": true], ["use_causal_mask": 1], ["inputs": ["query", "values"]]] as [[String: JSONValue]] {
      #expect(throws: XferError.self) { try layer.setCallArguments(arguments) }
    }
    #expect(throws: XferError.self) { try layer([randomTensor([2, 3, 4], seed: 1)]) }
    #expect(throws: XferError.self) { try Dense(3).setCallArguments(["mask": true]) }
  }
}
