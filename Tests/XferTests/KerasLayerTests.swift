import Foundation
import Testing
import XferCore
import XferGraph
@testable import Xfer

/// Layers against what Keras gives: outputs, gradients and configs. Tests/goldens/layers.py makes the files.
@Suite struct KerasLayerTests {
  static func cases(_ group: String) throws -> [JSONValue] {
    let file = URL(fileURLWithPath: #filePath).appendingPathComponent("../../goldens/layers-\(group).json").standardizedFileURL
    return try JSONValue(parsing: Data(contentsOf: file), what: file.lastPathComponent).arrayValue ?? []
  }

  static func tensor(_ json: JSONValue?) throws -> Tensor {
    let shape = try #require(json?["shape"]?.arrayValue).compactMap(\.intValue)
    return try Tensor(#require(json?["values"]?.arrayValue).map { Float($0.doubleValue ?? .nan) }, shape: shape)
  }

  /// Numbers as numbers whether written 1 or 1.0; of initializers, regularizers and constraints the class alone, which have tests of their own.
  static func comparable(_ json: JSONValue, key: String = "") -> JSONValue {
    switch json {
    case .int(let value): .double(Double(value))
    case .array(let values): .array(values.map { comparable($0) })
    case .object where key.hasSuffix("_initializer"): json["class_name"] ?? .null
    case .object(let members): .object(Dictionary(uniqueKeysWithValues: members.map { ($0, comparable($1, key: $0)) }))
    default: json
    }
  }

  /// The largest distance beyond what rounding explains: 2·10⁻⁵ of the largest number, and no less than of 1.
  func compare(_ got: Tensor, _ wanted: Tensor, _ what: String, relative: Double = 2e-5) {
    #expect(got.shape == wanted.shape, "\(what)")
    guard got.shape == wanted.shape else { return }
    let size = wanted.floats.reduce(1.0) { max($0, Double($1.magnitude)) }
    let worst = zip(got.floats, wanted.floats).reduce(0.0) { max($0, $1.0 == $1.1 ? 0 : Double(($1.0 - $1.1).magnitude)) }
    #expect(
      worst <= relative * size, "\(what): off by \(worst), largest \(size); \(got.floats.prefix(12)) instead of \(wanted.floats.prefix(12))"
    )
  }

  @Test(arguments: ["convolution", "pooling", "merging", "shaping", "activation"]) func matchesKeras(_ group: String) throws {
    let cases = try Self.cases(group)
    #expect(cases.count > 10)
    for example in cases {
      let className = try #require(example["class"]?.stringValue)
      let config = try #require(example["config"])
      let what = "\(className) \(config.text())"
      do {
        try check(example, className, config, what)
      } catch {
        Issue.record("\(what): \(error)")
      }
    }
  }

  private func check(_ example: JSONValue, _ className: String, _ config: JSONValue, _ what: String) throws {
    let layer = try LayerRegistry.make(className, config: config)
    let inputs = try #require(example["inputs"]?.arrayValue).map { try Self.tensor($0) }
    let symbols = try inputs.map { try Input(shape: Array($0.shape.dropFirst())) }
    // Trainable shifts of 0 make the gradients of the inputs visible.
    let shifts = try inputs.map { try Shift(shape: Array($0.shape.dropFirst())) }
    let model = try Model(inputs: symbols, outputs: [layer(zip(symbols, shifts).map { try $1($0) })])

    let weights = try #require(example["weights"]?.arrayValue)
    #expect(layer.weights.map(\.name) == weights.map { $0["name"]?.stringValue }, "\(what)")
    for (weight, value) in zip(layer.weights, weights) { try weight.assign(Self.tensor(value)) }

    let tape = GradientTape()
    let output = try model(inputs, tape: tape)
    compare(output, try Self.tensor(example["output"]), "\(what): output")

    let loss = try WeightedSum(Tensor(Self.tensor(example["factors"]).floats))(Tensor([1]), output, tape: tape)
    let variables = shifts.flatMap(\.weights) + layer.weights
    let wanted = try #require(example["gradients"]?.arrayValue).map { try Self.tensor($0) }
    for (index, (gradient, wanted)) in zip(try tape.gradient(loss, variables), wanted).enumerated() {
      let gradient = try #require(gradient, "no gradient \(index) of \(what)")
      // A shift has no batch: its gradient is the sum over the batch.
      compare(gradient, index < inputs.count ? try summedOverBatch(wanted) : wanted, "\(what): gradient \(index)")
    }
    #expect(Self.comparable(layer.config) == Self.comparable(config), "\(what): \(layer.config.text())")
  }

  private func summedOverBatch(_ x: Tensor) throws -> Tensor {
    let shape = Array(x.shape.dropFirst())
    let count = shape.reduce(1, *)
    var sums = [Double](repeating: 0, count: count)
    for (i, value) in x.floats.enumerated() { sums[i % count] += Double(value) }
    return try Tensor(sums.map { Float($0) }, shape: shape)
  }

  @Test func activationsWithArgumentsMatchKeras() throws {
    for example in try Self.cases("functions") {
      let name = try #require(example["name"]?.stringValue)
      let arguments = try #require(example["arguments"])
      let what = "\(name) \(arguments.text())"
      let layer = try LayerRegistry.make(
        "Activation", config: ["activation": ["class_name": "function", "config": .string(name), "arguments": arguments]])
      let x = try Self.tensor(example["input"])
      let (symbol, shift) = (try Input(shape: Array(x.shape.dropFirst())), try Shift(shape: Array(x.shape.dropFirst())))
      let model = try Model(inputs: [symbol], outputs: [layer(shift(symbol))])
      let tape = GradientTape()
      let output = try model([x], tape: tape)
      compare(output, try Self.tensor(example["output"]), what)
      let loss = try WeightedSum(Tensor(Self.tensor(example["factors"]).floats))(Tensor([1]), output, tape: tape)
      let gradient = try #require(try tape.gradient(loss, shift.weights)[0])
      compare(gradient, try summedOverBatch(Self.tensor(example["gradient"])), "\(what): gradient")
      #expect(try LayerRegistry.make("Activation", config: layer.config).config == layer.config, "\(what)")
    }
  }

  @Test func averagesOfOnePixelLeaveTheImageAlone() throws {
    let x = try randomTensor([1, 3, 3, 2], seed: 4)
    let layer = try LayerRegistry.make("AveragePooling2D", config: ["pool_size": 1])
    #expect(try layer([x]).floats == x.floats)
  }

  struct Refusal: CustomTestStringConvertible, Sendable {
    let className: String
    let config: JSONValue
    var shapes: [[Int]] = []
    let words: String
    var testDescription: String { "\(className) \(config.text()) on \(shapes)" }
  }

  static let refusals: [Refusal] = [
    Refusal(className: "Conv2D", config: ["filters": 3, "kernel_size": 2, "groups": 2], words: "divide"),
    Refusal(
      className: "Conv2D", config: ["filters": 4, "kernel_size": 2, "groups": 2], shapes: [[1, 4, 4, 3]], words: "3 input channels"),
    Refusal(className: "Conv2D", config: ["filters": 4, "kernel_size": 2], shapes: [[1, 4, 4]], words: "(1, 4, 4)"),
    Refusal(className: "Conv2D", config: ["filters": 4, "kernel_size": 2, "strides": 2, "dilation_rate": 2], words: "exclude"),
    Refusal(className: "Conv2D", config: ["filters": 4, "kernel_size": 2, "data_format": "channels_first"], words: "channels_first"),
    Refusal(className: "Conv2DTranspose", config: ["filters": 4, "kernel_size": 2, "output_padding": 1], words: "output_padding"),
    Refusal(className: "Conv2DTranspose", config: ["filters": 4, "kernel_size": 2, "groups": 2], words: "groups"),
    Refusal(
      className: "Conv2DTranspose", config: ["filters": 4, "kernel_size": 2, "strides": 2, "padding": "same", "output_padding": 0],
      shapes: [[1, 4, 4, 2]], words: "output_padding"),
    Refusal(className: "Conv2DTranspose", config: ["filters": 4, "kernel_size": 2], shapes: [[4, 2]], words: "(4, 2)"),
    Refusal(className: "UpSampling2D", config: ["interpolation": "bicubi"], words: "bicubic"),
    Refusal(className: "UpSampling2D", config: ["size": 0], words: "size"),
    Refusal(className: "UpSampling2D", config: [:], shapes: [[2, 3]], words: "[2, 3]"),
    Refusal(className: "Cropping2D", config: ["cropping": -1], words: "-1"),
    Refusal(className: "Cropping2D", config: ["cropping": [[2, 2], [0, 0]]], shapes: [[1, 4, 4, 1]], words: "4×4"),
    Refusal(className: "ZeroPadding2D", config: ["padding": [1, 2, 3]], words: "padding"),
    Refusal(className: "ZeroPadding2D", config: [:], shapes: [[2, 3]], words: "[2, 3]"),
    Refusal(className: "MaxPooling2D", config: [:], shapes: [[2, 3]], words: "[2, 3]"),
    Refusal(className: "AveragePooling2D", config: [:], words: "pool_size"),
    Refusal(className: "GlobalMaxPooling2D", config: [:], shapes: [[2, 3]], words: "[2, 3]"),
    Refusal(className: "Subtract", config: [:], shapes: [[2, 3], [2, 3], [2, 3]], words: "2 inputs, 3"),
    Refusal(className: "Maximum", config: [:], shapes: [[2, 3], [2, 4]], words: "[2, 4]"),
    Refusal(className: "Multiply", config: [:], shapes: [[2, 3], [3, 3]], words: "batch"),
    Refusal(className: "Concatenate", config: [:], shapes: [[2, 3, 2], [2, 4, 2]], words: "[2, 4, 2]"),
    Refusal(className: "Concatenate", config: ["axis": nil], words: "axis"),
    Refusal(className: "Dot", config: [:], words: "axes"),
    Refusal(className: "Dot", config: ["axes": [1, 1, 1]], words: "[1,1,1]"),
    Refusal(className: "Dot", config: ["axes": 0], shapes: [[2, 3], [2, 3]], words: "batch"),
    Refusal(className: "Dot", config: ["axes": 1], shapes: [[2, 3], [2, 4]], words: "[2, 4]"),
    Refusal(className: "Dot", config: ["axes": 1], shapes: [[2, 3]], words: "two inputs"),
    Refusal(className: "Reshape", config: [:], words: "target_shape"),
    Refusal(className: "Reshape", config: ["target_shape": [-1, -1]], words: "-1"),
    Refusal(className: "Reshape", config: ["target_shape": [5, -1]], shapes: [[2, 12]], words: "12 elements"),
    Refusal(
      className: "Reshape", config: ["target_shape": [1_048_576, 1_048_576, 1_048_576, 1_048_576]], shapes: [[2, 12]], words: "12 elements"),
    Refusal(className: "Permute", config: ["dims": [0, 1]], words: "dims"),
    Refusal(className: "Permute", config: ["dims": [2, 1]], shapes: [[2, 3]], words: "rank 3"),
    Refusal(className: "RepeatVector", config: ["n": 0], words: "'n'"),
    Refusal(className: "RepeatVector", config: ["n": 2], shapes: [[2, 3, 4]], words: "[2, 3, 4]"),
    Refusal(className: "Activation", config: ["activation": "tan"], words: "tanh"),
    Refusal(className: "Activation", config: ["activation": "threshold"], words: "needs its argument"),
    Refusal(className: "Activation", config: ["activation": ["class_name": "PReLU", "config": [:]]], words: "PReLU"),
    Refusal(
      className: "Activation", config: ["activation": ["class_name": "function", "config": "elu", "arguments": ["alfa": 1]]], words: "alpha"
    ),
    Refusal(className: "Activation", config: ["activation": "glu"], shapes: [[2, 3]], words: "even"),
    Refusal(className: "LeakyReLU", config: ["negative_slope": -1], words: "-1"),
    Refusal(className: "LeakyReLU", config: ["negative_slope": nil], words: "null"),
    Refusal(className: "ReLU", config: ["max_value": -1], words: "max_value"),
    Refusal(className: "PReLU", config: ["shared_axes": [3]], shapes: [[2, 3]], words: "shared_axes"),
    Refusal(className: "Softmax", config: ["axis": [1, 1]], shapes: [[2, 3]], words: "once"),
    Refusal(className: "Softmax", config: ["axis": 2], shapes: [[2, 3]], words: "axes [2]"),
  ]

  @Test(arguments: refusals) func refusesInWords(_ example: Refusal) throws {
    let error = #expect(throws: XferError.self) {
      let layer = try LayerRegistry.make(example.className, config: example.config)
      if !example.shapes.isEmpty { _ = try layer(example.shapes.map { try Tensor(zeros: $0) }) }
    }
    #expect(error?.message.contains(example.words) == true, "\(error?.message ?? "no error")")
  }

  @Test func oldKeysOfKeras2() throws {
    let layer = try LayerRegistry.make("LeakyReLU", config: ["alpha": 0.25])
    #expect(try layer([Tensor([-4, 4])]).floats == [-1, 4])
    #expect(layer.config["negative_slope"]?.doubleValue == 0.25)
  }

  @Test func alphasOfPReLUKeepTheirShape() throws {
    let layer = try LayerRegistry.make("PReLU", config: ["shared_axes": [1], "alpha_initializer": "ones"])
    _ = try layer([Tensor(zeros: [2, 3, 4])])
    #expect(layer.weights.map(\.shape) == [[1, 4]])
    _ = try layer([Tensor(zeros: [2, 5, 4])])
    #expect(throws: XferError.self) { try layer([Tensor(zeros: [2, 3, 1])]) }
  }
}
