import CXfer
import Foundation
import Testing
import XferCore
@testable import Xfer

/// Functions of symbols in the configs of Keras' functional models.
@Suite struct KerasFunctionTests {
  private let input = #"""
    {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [null, 3], "dtype": "float32", "name": "i"}, "name": "i", "inbound_nodes": []}
    """#

  private func tensor(_ name: String) -> String {
    #"{"class_name": "__keras_tensor__", "config": {"shape": [null, 3], "dtype": "float32", "keras_history": ["\#(name)", 0, 0]}}"#
  }

  /// One function of the input as Keras 3.15.1 writes it. `$` stands for the input.
  private func model(_ className: String, _ arguments: String, config: String = "", module: String? = "keras.src.ops.numpy") throws -> Model
  {
    let module = module.map { #""module": "\#($0)", "# } ?? ""
    let node = arguments.replacingOccurrences(of: "$", with: tensor("i"))
    return try Model.fromJSON(
      #"""
      {"module": "keras.src.models.functional", "class_name": "Functional", "config": {"name": "m", "trainable": true, "layers": [\#(input),
      {\#(module)"class_name": "\#(className)", "config": {"name": "f"\#(config)}, "registered_name": "\#(className)", "name": "f",
       "inbound_nodes": [{"args": [\#(node)], "kwargs": {}}]}],
      "input_layers": ["i", 0, 0], "output_layers": ["f", 0, 0]}}
      """#)
  }

  static let functions: [(String, String, String, [Float])] = [
    ("Add", "$, 3.0", "", [2, 3.5, 5]), ("Subtract", "3.0, $", "", [4, 2.5, 1]), ("TrueDivide", "$, 0.5", "", [-2, 1, 4]),
    ("Multiply", "$, $", "", [1, 0.25, 4]), ("Maximum", "$, 0.7", "", [0.7, 0.7, 2]), ("Power", "$, 2", "", [1, 0.25, 4]),
    ("Negative", "$", "", [1, -0.5, -2]), ("Clip", "$", #", "x_min": 0, "x_max": 1"#, [0, 0.5, 1]),
    ("Mean", "$", #", "axis": [-1], "keepdims": true"#, [0.5]),
    ("Add", #"$, {"class_name": "__numpy__", "config": {"value": [1.0, 2.0, 3.0], "dtype": "float32"}}"#, "", [0, 2.5, 5]),
    ("Concatenate", "[$, $]", #", "axis": -1"#, [-1, 0.5, 2, -1, 0.5, 2]),
    (
      "GetItem",
      #"$, [{"class_name": "__slice__", "config": {"start": null, "stop": null, "step": null}}, "#
        + #"{"class_name": "__slice__", "config": {"start": -2, "stop": null, "step": null}}]"#, "", [0.5, 2]
    ),
  ]

  @Test(arguments: functions) func readAndWrittenAgain(_ name: String, _ arguments: String, _ config: String, _ expected: [Float]) throws {
    let model = try model(name, arguments, config: config)
    let x = try Tensor([-1, 0.5, 2], shape: [1, 3])
    #expect(try model(x).floats == expected)
    // What is written names Keras' own function, and says the same.
    let text = model.toJSON()
    #expect(text.contains("keras.src.ops.numpy") && text.contains("\"\(name)\"") && !text.contains("\"Op\""))
    #expect(try Model.fromJSON(text)(x).floats == expected)
  }

  @Test func ofFilesThatNameNoModule() throws {
    let x = try Tensor([-1, 0.5, 2], shape: [1, 3])
    #expect(try model("Multiply", "$, 2.0", module: nil)(x).floats == [-2, 1, 4])
  }

  @Test func whatIsNotKnownIsRefused() throws {
    for (name, arguments, config) in [
      ("Bincount", "$", ""), ("Add", #"$, "text""#, ""), ("GetItem", "$, 0", ""), ("Max", "$", #", "axis": -1, "initial": 4.0"#),
    ] {
      let error = #expect(throws: XferError.self) { try model(name, arguments, config: config) }
      #expect(error?.status == XFER_E_UNSUPPORTED, "\(error?.message ?? "")")
    }
    // A layer of that name takes a list of tensors, never a number.
    #expect(throws: XferError.self) { try model("Add", "[$, 3.0]", config: #", "trainable": true"#, module: "keras.layers") }
  }

  @Test func numbersStayWhatTheyAre() {
    let value: JSONValue = [
      "float": 0.0, "whole": 1, "small": 1e-7, "text": "a\"\\\n\u{1}é", "none": .double(.infinity), "list": [], "flag": true,
    ]
    #expect(
      value.text() == #"{"flag":true,"float":0.0,"list":[],"none":null,"small":1e-07,"text":"a\"\\\n\u0001é","whole":1}"#)
  }

  @Test func compileConfigsAreKeras() throws {
    let input = try Input(shape: [2])
    let model = try Model(input, Dense(1, name: "head")(input))
    let sgd = try SGD(learningRate: 1)
    sgd.learningRateMultipliers = [("head/*", 0.5)]
    try model.compile(
      optimizer: sgd, loss: MeanSquaredError(),
      metrics: ["MeanAbsoluteError", "Precision", "F1Score", "IoU"].map {
        try Metric.make($0, config: $0 == "IoU" ? ["num_classes": 2, "target_class_ids": [0]] : [:])
      })
    let config = try model.compiled().compileConfig
    #expect(
      config["metrics"]?.arrayValue?.compactMap { $0["class_name"]?.stringValue } == ["MeanAbsoluteError", "Precision", "F1Score", "IoU"])
    #expect(config["optimizer"]?["config"]?["learning_rate_multipliers"] == nil, "Keras would refuse it")
    #expect(config.text().contains(#""momentum":0.0"#) && config.text().contains(#""learning_rate":1.0"#))
    let path = NSTemporaryDirectory() + "rates-\(UUID()).keras"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try model.save(path)
    #expect(try Model.load(path).compiled().optimizer.learningRateMultipliers.map(\.factor) == [0.5])
    sgd.learningRateMultipliers = [("haed/*", 0.5)]
    let error = #expect(throws: XferError.self) { try model.compile(optimizer: sgd, loss: MeanSquaredError()) }
    #expect(error?.message.contains("haed/*") == true)
  }
}
