import Foundation
import Testing
import XferCore
import XferGraph
@testable import Xfer

/// Layers against Keras' own outputs, gradients and configs, of the fixtures in Tests/goldens.
@Suite struct LayerGoldenTests {
  static func cases(_ file: String) -> [JSONValue] {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../goldens/\(file)").standardizedFileURL
    guard let data = try? Data(contentsOf: path), let json = try? JSONValue(parsing: data, what: file) else { return [] }
    return json.arrayValue ?? []
  }

  struct Case: CustomTestStringConvertible, Sendable {
    let json: JSONValue
    var testDescription: String {
      "\(json["class"]?.stringValue ?? "") \(json["given"]?.text() ?? "")\(json["training"]?.boolValue == true ? " training" : "")"
    }
  }

  static let all = cases("layers_normalizing_images.json").map { Case(json: $0) }

  @Test func fixturesAreHere() { #expect(Self.all.count > 60) }

  private func tensor(_ json: JSONValue?, labels: Bool = false) throws -> Tensor {
    let json = try #require(json)
    let shape = (json["shape"]?.arrayValue ?? []).compactMap(\.intValue)
    let values = (json["values"]?.arrayValue ?? []).compactMap(\.doubleValue)
    return labels ? try Tensor(labels: values.map { Int32($0) }, shape: shape) : try Tensor(values.map { Float($0) }, shape: shape)
  }

  /// Numbers compared as numbers, whether written 1 or 1.0.
  static func same(_ a: JSONValue, _ b: JSONValue) -> Bool {
    if let x = a.doubleValue, let y = b.doubleValue { return x == y }
    if let x = a.arrayValue, let y = b.arrayValue { return x.count == y.count && zip(x, y).allSatisfy { same($0, $1) } }
    if let x = a.objectValue, let y = b.objectValue {
      return x.count == y.count && x.allSatisfy { key, value in y[key].map { same(value, $0) } ?? false }
    }
    return a == b
  }

  @Test(arguments: all) func matchesKeras(_ example: Case) throws {
    let json = example.json
    let layer = try LayerRegistry.make(json["class"]?.stringValue ?? "", config: json["given"] ?? [:])
    let labels = json["class"]?.stringValue == "Embedding"
    let x = try tensor(json["input"], labels: labels)
    let training = json["training"]?.boolValue ?? false
    let symbol = try Input(shape: Array(x.shape.dropFirst()), dtype: labels ? .int32 : .float32)
    let shift = labels ? nil : try Shift(shape: Array(x.shape.dropFirst()))
    let hasGradients = json["factors"] != nil
    let model = try Model(symbol, layer(hasGradients ? shift?(symbol) ?? symbol : symbol))
    let weights = json["weights"]?.arrayValue ?? []
    #expect(layer.weights.map(\.name) == weights.map { $0["name"]?.stringValue })
    for (variable, value) in zip(layer.weights, weights) { try variable.assign(tensor(value)) }

    for (key, value) in json["config"]?.objectValue ?? [:] {
      let own = layer.ownConfig[key]
      #expect(own.map { Self.same($0, value) } ?? false, "\(key): Keras writes \(value.text()), \(own?.text() ?? "nothing") was written")
    }
    #expect(Set(layer.ownConfig.keys).isSubset(of: (json["config"]?.objectValue ?? [:]).keys))
    // What was written makes the same layer again.
    let again = try LayerRegistry.make(json["class"]?.stringValue ?? "", config: .object(layer.ownConfig))
    #expect(again.ownConfig.keys == layer.ownConfig.keys)

    let expected = try tensor(json["output"])
    let tape = GradientTape()
    let y = hasGradients ? try model(x, training: training, tape: tape) : try model(x, training: training)
    #expect(y.shape == expected.shape)
    #expect(relativeError(y.floats, expected.floats) < 2e-5)
    #expect(expected.shape.dropFirst().map { $0 } == model.outputs[0].shape.dropFirst().map { $0 ?? 0 })
    guard hasGradients else { return }

    let loss = WeightedSum(try Tensor(tensor(json["factors"]).floats))
    let value = try loss(try Tensor([1]), y, tape: tape)
    let variables = (shift?.trainableWeights ?? []) + layer.trainableWeights
    var wanted = try (json["weight_gradients"]?.arrayValue ?? []).map { try tensor($0) }
    if shift != nil { wanted.insert(try batchSum(tensor(json["input_gradient"])), at: 0) }
    let gradients = try tape.gradient(value, variables)
    #expect(gradients.count == wanted.count)
    for (index, (gradient, expected)) in zip(gradients, wanted).enumerated() {
      let gradient = try #require(gradient, "no gradient for \(variables[index].path)")
      // Gradients of sums that cancel are compared on the scale of the largest.
      let scale = max(expected.floats.map { abs($0) }.max() ?? 0, 1e-3)
      let worst = zip(gradient.floats, expected.floats).map { abs($0 - $1) }.max() ?? 0
      #expect(worst < 1e-4 * scale + 2e-6, "\(variables[index].path): off by \(worst), largest \(scale)")
    }
  }

  /// The gradient of a shift all samples share.
  private func batchSum(_ gradient: Tensor) throws -> Tensor {
    let size = gradient.count / gradient.shape[0]
    let floats = gradient.floats
    return try Tensor((0..<size).map { i in (0..<gradient.shape[0]).reduce(Float(0)) { $0 + floats[$1 * size + i] } })
  }
}
