import Testing
import XferCore
import XferGraph
@testable import Xfer

/// Weights, state and configs of every optimizer with every option after five steps, against Keras.
@Suite struct OptimizerTests {
  private static let shapes = [("kernel", [2, 3]), ("bias", [3])]

  private func run(_ example: JSONValue, _ all: JSONValue) throws -> (optimizer: Optimizer, weights: [Variable]) {
    let name = try #require(example["optimizer"]?.stringValue)
    let optimizer = try Optimizer.make(name, config: #require(example["config"]))
    let weights = try Self.shapes.map { name, shape in
      Variable(name: name, path: name, tensor: try Tensor(#require(all["start"]?[name]).floats, shape: shape))
    }
    weights[0].constraint = try Constraint(example["constraint"], layer: "test")
    for gradients in try #require(all["gradients"]?.arrayValue) {
      let tensors = try Self.shapes.map { name, shape in try Tensor(#require(gradients[name]).floats, shape: shape) }
      try optimizer.apply(tensors, to: weights)
    }
    return (optimizer, weights)
  }

  /// Keras counts variables without a name of their own through the process.
  private func plain(_ name: String) -> String { name.hasPrefix("variable_") ? "variable" : name }

  private func check(_ example: JSONValue, _ all: JSONValue) throws {
    let what = "\(example["optimizer"]?.stringValue ?? "") \(example["config"]?.text() ?? "") \(example["constraint"]?.text() ?? "")"
    let (optimizer, weights) = try run(example, all)
    for weight in weights {
      let difference = largestDifference(weight.values, try #require(example["weights"]?[weight.name]).floats)
      #expect(difference < 5e-6, "\(what): \(weight.name) off by \(difference)")
    }
    let state = try optimizer.stateVariables
    let wanted = try #require(example["state"]?.arrayValue)
    // Keras names slots "kernel_momentum", with the optimizer's name in the path alone.
    #expect(
      state.map { String($0.name.drop { $0 != "/" }.dropFirst()) } == wanted.map { plain($0.arrayValue?[0].stringValue ?? "") }, "\(what)")
    for (own, other) in zip(state, wanted) {
      let difference = largestDifference(own.tensor.floats, try #require(other.arrayValue)[1].floats)
      #expect(difference < 3e-6, "\(what): \(own.name) off by \(difference)")
    }
  }

  @Test func point13EveryOptimizerWithEveryOption() throws {
    let all = try golden("optimizers.json")
    let examples = try #require(all["plain"]?.arrayValue)
    #expect(examples.count > 100)
    for example in examples { try check(example, all) }
  }

  @Test func point13ConstraintsComeLast() throws {
    let all = try golden("optimizers.json")
    for example in try #require(all["constrained"]?.arrayValue) { try check(example, all) }
  }

  @Test func configsAreKeras() throws {
    for example in try #require(golden("optimizers.json")["plain"]?.arrayValue) {
      let name = try #require(example["optimizer"]?.stringValue)
      let optimizer = try Optimizer.make(name, config: #require(example["config"]))
      var (own, wanted) = (try #require(optimizer.config.objectValue), try #require(example["written"]?.objectValue))
      // Keras counts names up: adam, adam_1.
      (own["name"], wanted["name"]) = (nil, nil)
      let again = try Optimizer.make(name, config: optimizer.config).config
      #expect(Set(own.keys) == Set(wanted.keys), "\(name)")
      for (key, value) in wanted where own[key] != value {
        #expect(
          own[key]?.doubleValue == value.doubleValue && value.doubleValue != nil,
          "\(name): \(key) is \(own[key]?.text() ?? "missing"), Keras has \(value.text())")
      }
      #expect(again == optimizer.config)
    }
  }

  @Test func point12AdamGoldenAndRates() throws {
    let weight = Variable(name: "w", path: "w", tensor: try Tensor([2]))
    try Adam().apply([Tensor([1e-6])], to: [weight])
    #expect(abs(weight.values[0] - 1.9997598) < 2e-7)
    #expect(throws: XferError.self) { try Adam(learningRate: -1) }
    #expect(throws: XferError.self) { try Optimizer.make("Adam", config: ["learning_rate": "fast"]) }
  }

  @Test func schedulesAreKeras() throws {
    for example in try #require(golden("schedules.json").arrayValue) {
      let json = try #require(example["schedule"])
      let schedule = try LearningRateSchedule(json)
      for (step, rate) in zip(try #require(example["steps"]?.arrayValue), try #require(example["rates"]?.arrayValue)) {
        let (own, wanted) = (try schedule(#require(step.doubleValue)), try #require(rate.doubleValue))
        #expect(abs(own - wanted) < 1e-6, "\(json.text()) at \(step.text()): \(own), Keras has \(wanted)")
      }
      let (own, wanted) = (try #require(schedule.config["config"]?.objectValue), try #require(json["config"]?.objectValue))
      #expect(Set(own.keys) == Set(wanted.keys))
      for (key, value) in wanted where own[key] != value {
        #expect(own[key]?.doubleValue == value.doubleValue && value.doubleValue != nil, "\(key)")
      }
    }
  }

  @Test func aScheduleGivesTheRateOfEachStep() throws {
    let json: JSONValue = ["class_name": "PiecewiseConstantDecay", "config": ["boundaries": [0, 1], "values": [1.0, 0.5, 0.25]]]
    let optimizer = try Optimizer.make("sgd", config: ["learning_rate": json])
    let weight = Variable(name: "w", path: "w", tensor: try Tensor([0]))
    var values: [Float] = []
    for _ in 0..<4 {
      try optimizer.apply([Tensor([1])], to: [weight])
      values.append(weight.values[0])
    }
    #expect(values == [-1, -1.5, -1.75, -2])
    #expect(try optimizer.stateVariables.map(\.name) == ["sgd/iteration"])
  }

  @Test func badOptionsAreRefusedByName() throws {
    let cases: [(String, JSONValue, String)] = [
      ("Adam", ["clipnorm": 1.0, "clipvalue": 1.0], "clipnorm"),
      ("Adam", ["gradient_accumulation_steps": 1], "gradient_accumulation_steps"),
      ("Adam", ["use_ema": true, "ema_momentum": 1.5], "ema_momentum"),
      ("Adam", ["use_ema": true, "ema_overwrite_frequency": 0], "ema_overwrite_frequency"),
      ("Ftrl", ["beta": 0.1, "learning_rate_power": 0.5], "learning_rate_power"), ("Lion", ["beta_1": 0.0], "beta_1"),
      ("SGD", ["momentum": 2.0], "momentum"), ("Adam", ["beta1": 0.5], "beta_1"), ("Adm", [:], "Adam"),
      ("Adam", ["learning_rate": ["class_name": "CosinDecay", "config": [:]]], "CosineDecay"),
      ("Adam", ["learning_rate_multipliers": [["a"]]], "pattern"),
    ]
    for (name, config, word) in cases {
      let error = #expect(throws: XferError.self) { try Optimizer.make(name, config: config) }
      #expect(error?.message.contains(word) == true, "\(error?.message ?? "")")
    }
  }

  @Test func ratesByPath() throws {
    let optimizer = try SGD(learningRate: 1)
    optimizer.learningRateMultipliers = [("base/*/bias", 0), ("base/*", 0.5), ("h?ad/kernel", 2)]
    let paths = ["base/conv/kernel", "base/conv/bias", "head/kernel", "other/kernel"]
    let weights = try paths.map { Variable(name: "w", path: $0, tensor: try Tensor([0])) }
    try optimizer.apply(paths.map { _ in try Tensor([1]) }, to: weights)
    #expect(weights.map { $0.values[0] } == [-0.5, 0, -2, -1])
    // Adam's corrected rate and decay scale alike.
    let adam = try AdamW(learningRate: 0.1, options: OptimizerOptions(weightDecay: 0.5))
    adam.learningRateMultipliers = [("still", 0)]
    let pair = try ["still", "moving"].map { Variable(name: "w", path: $0, tensor: try Tensor([1])) }
    try adam.apply([Tensor([1]), Tensor([1])], to: pair)
    #expect(pair[0].values == [1] && pair[1].values[0] < 0.9)
    #expect(
      try Optimizer.make("sgd", config: optimizer.config).learningRateMultipliers.map(\.pattern) == [
        "base/*/bias", "base/*", "h?ad/kernel",
      ])
  }

  @Test func excludedWeightsDoNotDecay() throws {
    let optimizer = try SGD(learningRate: 0.5, options: OptimizerOptions(weightDecay: 0.5))
    let weights = try ["kernel", "bias", "gamma"].map { Variable(name: $0, path: "d/\($0)", tensor: try Tensor([1])) }
    try optimizer.excludeFromWeightDecay([weights[2]], names: ["bias"])
    try optimizer.apply(weights.map { _ in try Tensor([0]) }, to: weights)
    #expect(weights.map { $0.values[0] } == [0.75, 1, 1])
    #expect(throws: XferError.self) { try optimizer.excludeFromWeightDecay(names: ["kernel"]) }
  }

  @Test func point10RebindKeepsSurvivingSlots() throws {
    let (a, b) = (Variable(name: "a", path: "a", tensor: try Tensor([1])), Variable(name: "b", path: "b", tensor: try Tensor([1])))
    let optimizer = try Adam(learningRate: 0.1)
    try optimizer.apply([Tensor([1])], to: [a])
    #expect(throws: XferError.self) { try optimizer.apply([Tensor([1])], to: [b]) }
    try optimizer.rebind([b, a], keepSlots: true)
    #expect(optimizer.iterations == 1)
    let slots = try optimizer.stateVariables.suffix(4).map { $0.tensor.floats[0] }
    #expect(largestDifference(slots, [0, 0, 0.1, 0.001]) < 1e-7)
    try optimizer.apply([Tensor([1]), Tensor([1])], to: [a, b])
    try optimizer.rebind([a], keepSlots: false)
    #expect(optimizer.iterations == 0)
    #expect(try optimizer.stateVariables.suffix(2).map { $0.tensor.floats[0] } == [0, 0])
  }

  @Test(arguments: ["Adam", "Nadam", "Ftrl"]) func aRestoredStateGoesOnTheSame(_ name: String) throws {
    let config: JSONValue = ["use_ema": true, "gradient_accumulation_steps": 2, "learning_rate": 0.1]
    func weight() throws -> Variable { Variable(name: "w", path: "w", tensor: try Tensor([1, -1])) }
    let (first, whole) = (try Optimizer.make(name, config: config), try weight())
    let gradients = try [[1, 2], [-1, 0.5], [0.3, 0.3], [2, -1], [0, 1]].map { try Tensor($0.map { Float($0) }) }
    for gradient in gradients.prefix(3) { try first.apply([gradient], to: [whole]) }
    let (second, copy) = (try Optimizer.make(name, config: config), Variable(name: "w", path: "w", tensor: try whole.tensor.copy()))
    try second.build([copy])
    try second.setState(first.stateVariables.map { try $0.tensor.copy() })
    for gradient in gradients.suffix(2) {
      try first.apply([gradient], to: [whole])
      try second.apply([gradient], to: [copy])
    }
    #expect(whole.values == copy.values && second.iterations == 2)
    #expect(throws: XferError.self) { try second.setState([]) }
  }
}
