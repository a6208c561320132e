import CXfer
import Testing
import XferCore
@testable import Xfer

/// The layers behind `xfer.ops`: gradients of each, and what they refuse.
@Suite struct OperationTests {
  static let gradients: [LayerGradientTests.Case] = {
    let matrix = [[3, 4]]
    func op(_ name: String, _ shapes: [[Int]], _ arguments: JSONValue = [:]) -> LayerGradientTests.Case {
      .init(className: "Op", config: ["op": .string(name), "arguments": arguments], shapes: shapes)
    }
    // Functions whose inputs are to be positive have their gradients in the conformance tests.
    var cases = [
      "negative", "square", "exp", "expm1", "sin", "cos", "tanh", "erf", "sigmoid", "softplus", "softsign", "silu", "gelu", "elu", "selu",
    ].map {
      op($0, matrix)
    }
    cases += ["add", "subtract", "multiply", "maximum", "minimum"].map { op($0, [[3, 4], [3, 4]]) }
    cases += [op("add", [[3, 4], [3, 1]]), op("multiply", [[2, 3, 4], [2, 1, 4]])]
    cases += ["sum", "mean", "max", "min", "var", "std", "logsumexp"].map { op($0, [[2, 3, 4]], ["axis": [1, 2]]) }
    cases += ["sum", "max", "var", "logsumexp"].map { op($0, [[2, 3, 4]], ["axis": 1, "keepdims": true]) }
    cases += [
      op("softmax", matrix), op("log_softmax", [[2, 3, 4]], ["axis": 1]), op("reshape", [[2, 6]], ["newshape": [-1, 2, 3]]),
      op("transpose", [[2, 3, 4]]), op("transpose", [[2, 3, 4, 2]], ["axes": [0, 3, 1, 2]]), op("expand_dims", matrix, ["axis": 1]),
      op("squeeze", [[2, 1, 3]]), op("concatenate", [[2, 3], [2, 2]]), op("stack", [[2, 3], [2, 3]], ["axis": 1]),
      op("slice", [[2, 5]], ["from": 1, "count": 3]), op("take", [[2, 5]], ["indices": [4, 0, 4]]), op("matmul", [[2, 3, 4], [2, 4, 2]]),
      op("clip", matrix, ["x_min": -0.5, "x_max": 0.5]),
      .init(
        className: "Op", config: ["op": "matmul", "operands": [["input": 0], ["constant": [1, 2, 3, 4, 5, 6, 7, 8], "shape": [4, 2]]]],
        shapes: matrix),
      .init(
        className: "Op", config: ["op": "where", "operands": [["constant": [1, 0, 1, 0], "shape": [4]], ["input": 0], ["input": 1]]],
        shapes: [[3, 4], [3, 4]]),
    ]
    return cases
  }()

  @Test(arguments: gradients) func gradientsMatchDifferences(_ example: LayerGradientTests.Case) throws {
    try LayerGradientTests().gradientsMatchDifferences(example)
  }

  @Test(
    arguments: [
      (["op": "sinus"], "unknown function 'sinus'"), (["op": "sum"], "'axis' is wanted"),
      (["op": "sum", "arguments": ["axis": 0]], "axis 0 is the batch"),
      (["op": "sum", "arguments": ["axis": 7]], "axis 7 does not exist"),
      (["op": "tanh", "arguments": ["axis": 1]], "unknown argument 'axis'"),
      (["op": "reshape", "arguments": ["newshape": [1, 5]]], "cannot be read as"),
      (["op": "reshape", "arguments": ["newshape": [1, -1, -1]]], "cannot be read as"),
      (["op": "add"], "add takes 2, 1 were given"), (["op": "add", "operands": [["input": 0], ["input": 4]]], "wants input 4"),
      (["op": "add", "operands": [["input": 0], ["constant": [1, 2], "shape": [3]]]], "'operands' is to be"),
      (["op": "slice", "arguments": ["from": 3, "count": 3]], "3 elements from 3"),
      (["op": "take", "arguments": ["indices": [4]]], "from 0 to 3"),
      (["op": "transpose", "arguments": ["axes": [1, 0]]], "begins with 0"),
    ] as [(JSONValue, String)])
  func refusals(_ config: JSONValue, _ wanted: String) throws {
    let error = #expect(throws: XferError.self) { try LayerRegistry.make("Op", config: config)(Input(shape: [4])) }
    #expect(error?.message.contains(wanted) == true, "\(error?.message ?? "")")
  }

  @Test func parametersAreWeights() throws {
    let input = try Input(shape: [3])
    let weight = try LayerRegistry.make(
      "Parameter", config: ["shape": [3, 2], "initializer": "ones", "weight_name": "kernel", "name": "mine"])
    let product = try LayerRegistry.make("Op", config: ["op": "matmul", "operands": [["input": 0], ["weight": 1]]])
    let model = try Model(inputs: [input], outputs: [product([input, weight(input)])])
    #expect(model.weights.map(\.path) == ["mine/kernel"])
    #expect(try model([Tensor([1, 2, 3], shape: [1, 3])]).floats == [6, 6])
    let again = try Model.fromJSON(model.toJSON())
    #expect(again.weights.map(\.shape) == [[3, 2]])
    let statistic = try LayerRegistry.make("Parameter", config: ["shape": [2], "statistic": true])
    try statistic.buildIfNeeded([[nil, 1]])
    #expect(statistic.trainableWeights.isEmpty && statistic.weights.count == 1)
  }
}
