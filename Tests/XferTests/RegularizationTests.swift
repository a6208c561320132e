import Testing
import XferCore
import XferGraph
@testable import Xfer

/// Regularizers, constraints and initializers: their numbers, and what they do in a model.
@Suite struct RegularizationTests {
  @Test func rulesAreKeras() throws {
    let example = try golden("rules.json")
    let x = try Tensor(#require(example["x"]).floats, shape: [3, 4])
    for rule in try #require(example["rules"]?.arrayValue) {
      let (name, config) = (try #require(rule["class_name"]?.stringValue), try #require(rule["config"]))
      let made = try WeightRules.make(name, config: config)
      let result = try made.callAsFunction(x)
      #expect(largestDifference(result.floats, try #require(rule["result"]).floats) < 1e-6, "\(rule.text())")
    }
    #expect(throws: XferError.self) { try WeightRules.make("L3", config: [:]) }
    #expect(throws: XferError.self) { try WeightRules.make("L2", config: ["l2": -1]) }
    #expect(throws: XferError.self) { try WeightRules.make("OrthogonalRegularizer", config: [:]).callAsFunction(Tensor([1, 2])) }
  }

  @Test func everyLayerTakesItsRegularizersAndConstraints() throws {
    let cases: [(String, JSONValue, [String], [Int])] = [
      ("Dense", ["units": 2], ["kernel", "bias"], [3]),
      ("Conv2D", ["filters": 2, "kernel_size": 2], ["kernel", "bias"], [4, 4, 3]),
      ("DepthwiseConv2D", ["kernel_size": 2], ["depthwise", "bias"], [4, 4, 3]),
      ("SeparableConv2D", ["filters": 2, "kernel_size": 2], ["depthwise", "pointwise", "bias"], [4, 4, 3]),
      ("BatchNormalization", [:], ["beta", "gamma"], [4, 4, 3]),
    ]
    for (name, base, weights, shape) in cases {
      var config = base.objectValue ?? [:]
      for weight in weights {
        config["\(weight)_regularizer"] = ["class_name": "L2", "config": ["l2": 0.5]]
        config["\(weight)_constraint"] = "NonNeg"
      }
      config["activity_regularizer"] = "l1"
      let layer = try LayerRegistry.make(name, config: .object(config))
      let model = try {
        let input = try Input(shape: shape); return try Model(input, layer(input))
      }()
      try fill(model)
      let wanted = layer.trainableWeights.map { $0.values.reduce(0) { $0 + $1 * $1 } * 0.5 }
      let found = try model.losses().map { $0.floats[0] }
      #expect(largestDifference(found, wanted) < 1e-5 && found.count == weights.count, "\(name)")
      let output = try model(randomTensor([2] + shape, seed: 3))
      let activity = try #require(model.losses().first).floats[0]
      #expect(abs(activity - output.floats.reduce(0) { $0 + abs($1) } * 0.01 / 2) < 1e-4, "\(name)")
      layer.trainable = false
      #expect(try model.losses().count == 1, "\(name): point 5")
      layer.trainable = true
      // Training keeps every weight above 0.
      try model.compile(optimizer: SGD(learningRate: 0.1), loss: WeightedSum(randomTensor([output.count], seed: 4)))
      _ = try model.trainOnBatch(Batch(x: randomTensor([2] + shape, seed: 5), y: Tensor(zeros: [2])))
      #expect(layer.trainableWeights.allSatisfy { $0.values.allSatisfy { $0 >= 0 } }, "\(name)")
      let again = try LayerRegistry.make(name, config: layer.config)
      #expect(again.config == layer.config, "\(name)")
    }
  }

  @Test func point5PenaltiesCountInFitAndEvaluate() throws {
    func model(_ regularized: Bool) throws -> Model {
      let config: JSONValue =
        regularized
        ? [
          "units": 1, "kernel_regularizer": ["class_name": "L2", "config": ["l2": 0.1]],
          "activity_regularizer": ["class_name": "L1L2", "config": ["l1": 0.2]],
        ]
        : ["units": 1]
      let input = try Input(shape: [3])
      let made = try Model(input, LayerRegistry.make("Dense", config: config)(input))
      try made.weights[0].assign(Tensor([1, -2, 0.5], shape: [3, 1]))
      try made.compile(optimizer: SGD(learningRate: 0.1), loss: BinaryCrossentropy(fromLogits: true), metrics: [])
      return made
    }
    let batch = Batch(x: try randomTensor([4, 3], seed: 8), y: try Tensor([1, 0, 0, 1], shape: [4, 1]))
    let (plain, penalized) = (try model(false), try model(true))
    let outputs = try plain(batch.x)
    let penalty = 0.1 * 5.25 + 0.2 * outputs.floats.reduce(0) { $0 + abs($1) } / 4
    let difference = try Float(#require(penalized.testOnBatch(batch)["loss"]) - #require(plain.testOnBatch(batch)["loss"]))
    #expect(abs(difference - penalty) < 1e-5)
    let trained = try Float(#require(penalized.trainOnBatch(batch)["loss"]) - #require(plain.trainOnBatch(batch)["loss"]))
    #expect(abs(trained - penalty) < 1e-5)
    // The penalties' gradients moved the kernel too: 0.2·w and 0.2·mean(sign(y)·x).
    let kernels = (plain.weights[0].values, penalized.weights[0].values)
    for i in 0..<3 {
      let activity = (0..<4).reduce(Float(0)) { $0 + (outputs.floats[$1] > 0 ? 1 : -1) * batch.x.floats[$1 * 3 + i] } * 0.2 / 4
      let wanted = kernels.0[i] - 0.1 * (0.2 * [1, -2, 0.5][i] + activity)
      #expect(abs(kernels.1[i] - wanted) < 1e-5)
    }
  }

  @Test func penaltiesUnderTheTape() throws {
    let input = try Input(shape: [2])
    let model = try Model(input, Dense(2, kernelRegularizer: .l2(0.5))(input))
    try fill(model)
    let tape = GradientTape()
    let penalty = try #require(model.losses(tape: tape).first)
    let gradients = try tape.gradient(penalty, model.trainableWeights)
    #expect(gradients[0]?.floats == model.weights[0].values && gradients[1] == nil)
  }

  @Test func movingAveragesAreWrittenWhenFitEnds() throws {
    var options = OptimizerOptions()
    (options.useEMA, options.emaMomentum) = (true, 0.5)
    let input = try Input(shape: [2])
    let model = try Model(input, Dense(1)(input))
    try model.weights[0].assign(Tensor([1, 1], shape: [2, 1]))
    let optimizer = try SGD(learningRate: 0.1, options: options)
    try model.compile(optimizer: optimizer, loss: BinaryCrossentropy(fromLogits: true))
    let batch = Batch(x: try randomTensor([4, 2], seed: 1), y: try Tensor([1, 0, 1, 0], shape: [4, 1]))
    var seen: [[Float]] = []
    for _ in 0..<2 {
      _ = try model.trainOnBatch(batch)
      seen.append(model.weights[0].values)
    }
    try optimizer.finalizeVariableValues()
    #expect(largestDifference(model.weights[0].values, zip(seen[0], seen[1]).map { ($0 + $1) / 2 }) < 1e-6)
  }

  /// The trained step and the hand-written one agree with every option that spans weights.
  @Test func fitAndTapeAgree() throws {
    var options = OptimizerOptions(weightDecay: 0.1)
    (options.globalClipnorm, options.gradientAccumulationSteps, options.useEMA) = (0.05, 2, true)
    let (x, y) = (try randomTensor([4, 3], seed: 1), try Tensor([1, 0, 1, 0], shape: [4, 1]))
    func run(_ taped: Bool) throws -> [[Float]] {
      let input = try Input(shape: [3])
      let hidden = try Dense(4, activation: ActivationFunction("tanh", layer: ""), kernelConstraint: .maxNorm(0.9))(input)
      let model = try Model(input, Dense(1)(hidden))
      try fill(model)
      let (optimizer, loss) = (try Adam(learningRate: 0.1, options: options), BinaryCrossentropy(fromLogits: true))
      if !taped { try model.compile(optimizer: optimizer, loss: loss) }
      for _ in 0..<5 {
        if taped {
          let tape = GradientTape()
          let value = try loss(y, model(x, training: true, tape: tape), tape: tape)
          try optimizer.apply(tape.gradient(value, model.trainableWeights), to: model.trainableWeights)
        } else {
          _ = try model.trainOnBatch(Batch(x: x, y: y))
        }
      }
      return model.weights.map(\.values)
    }
    let (taped, fitted) = (try run(true), try run(false))
    for (a, b) in zip(taped, fitted) { #expect(largestDifference(a, b) < 1e-6) }
  }

  // MARK: Initializers

  @Test func initializersAreWrittenAsKerasDoes() throws {
    for json in try #require(golden("initializers.json").arrayValue) {
      let initializer = try Initializer(json, default: .zeros, layer: "test")
      let own = initializer.config
      #expect(own["class_name"] == json["class_name"])
      let (a, b) = (try #require(own["config"]?.objectValue), try #require(json["config"]?.objectValue))
      // Keras 3.15 forgets Identity's gain.
      #expect(Set(a.keys).subtracting(own["class_name"] == "Identity" ? ["gain"] : []) == Set(b.keys), "\(json.text())")
      for (key, value) in b where a[key] != value {
        #expect(a[key]?.doubleValue == value.doubleValue && value.doubleValue != nil, "\(key)")
      }
      #expect(try Initializer(own, default: .zeros, layer: "test") == initializer)
    }
  }

  @Test func seedsAreHonoured() throws {
    for (name, config) in [("GlorotUniform", [:]), ("Orthogonal", [:]), ("TruncatedNormal", [:]), ("RandomUniform", [:])]
      as [(String, [String: JSONValue])]
    {
      let made = try [1, 1, 2].map {
        try Initializer(className: name, config: .object(config.merging(["seed": .int($0)]) { $1 })).make([8, 5]).floats
      }
      #expect(made[0] == made[1] && made[0] != made[2], "\(name)")
    }
  }

  @Test func distributionsHaveTheirSpread() throws {
    func spread(_ config: JSONValue, _ name: String = "VarianceScaling") throws -> (deviation: Double, largest: Double) {
      let values = try Initializer(className: name, config: config).make([60, 140]).floats.map { Double($0) }
      return ((values.reduce(0) { $0 + $1 * $1 } / Double(values.count)).squareRoot(), values.map { abs($0) }.max() ?? 0)
    }
    for (mode, fan) in [("fan_in", 60.0), ("fan_out", 140), ("fan_avg", 100)] {
      let deviation = (2 / fan).squareRoot()
      for distribution in ["uniform", "truncated_normal", "untruncated_normal"] {
        let (found, largest) = try spread(["scale": 2, "mode": .string(mode), "distribution": .string(distribution), "seed": 4])
        #expect(abs(found / deviation - 1) < 0.03, "\(mode) \(distribution)")
        let limits: [String: Double] = ["uniform": 3.0.squareRoot(), "truncated_normal": 2 / 0.8796, "untruncated_normal": 6]
        let limit = limits[distribution] ?? 0
        #expect(largest <= limit * deviation * 1.001 && largest > limit * deviation * 0.6, "\(mode) \(distribution)")
      }
    }
    #expect(abs(try spread(["stddev": 0.5, "seed": 1], "TruncatedNormal").largest - 1) < 0.02)
    let axes = try spread(["seed": 4, "mode": "fan_in", "input_axes": [1], "output_axes": [0]]).deviation
    #expect(abs(axes * 140.0.squareRoot() - 1) < 0.03)
  }

  @Test func orthogonalIsOrthogonal() throws {
    for shape in [[4, 6], [6, 4], [2, 3, 5]] {
      let q = try Initializer(className: "Orthogonal", config: ["gain": 2, "seed": 9]).make(shape).floats
      let (rows, columns) = (shape.dropLast().reduce(1, *), shape[shape.count - 1])
      let wide = rows < columns
      for i in 0..<min(rows, columns) {
        for j in 0..<min(rows, columns) {
          let product = (0..<max(rows, columns)).reduce(Float(0)) {
            $0 + (wide ? q[i * columns + $1] * q[j * columns + $1] : q[$1 * columns + i] * q[$1 * columns + j])
          }
          #expect(abs(product - (i == j ? 4 : 0)) < 1e-5)
        }
      }
    }
    #expect(throws: XferError.self) { try Initializer.orthogonal.make([3]) }
  }

  @Test func constantsIdentitiesAndArrays() throws {
    #expect(try Initializer(className: "Identity", config: ["gain": 2]).make([2, 3]).floats == [2, 0, 0, 0, 2, 0])
    #expect(try Initializer(className: "Constant", config: ["value": [1, 2]]).make([2, 2]).floats == [1, 2, 1, 2])
    let array: JSONValue = [[1, 2], [3, 4]]
    #expect(try Initializer(array, default: .zeros, layer: "test").make([2, 2]).floats == [1, 2, 3, 4])
    #expect(throws: XferError.self) { try Initializer(array, default: .zeros, layer: "test").make([4]) }
    #expect(throws: XferError.self) { try Initializer("glorot", default: .zeros, layer: "test") }
  }
}
