public import XferCore

/// One stage of training: what moves, how fast, for how long.
public struct Phase: Equatable, Sendable {
  public var name: String
  /// The layers of the base that are trained along with those outside it.
  public var unfreeze: UnfreezeDepth
  /// Adapts the layers that `unfreeze` names, those that can be, in place of training them: their kernels and all other layers of the base stay
  /// frozen. Nil for none.
  public var lora: LoRA?
  /// The most epochs.
  public var epochs: Int
  /// A number, or a schedule as {"class_name", "config"}; nil leaves the optimizer's own.
  public var learningRate: JSONValue?
  /// Keras' class name and config.
  public var optimizer: String
  public var optimizerConfig: JSONValue
  /// The first group a layer belongs to counts; layers of no group have the rate itself.
  public var learningRateGroups: [LearningRateGroup]
  /// The rate of each layer with weights, as a part of that of the next one towards the output.
  public var layerDecay: Double?
  /// The arguments of ``EarlyStopping``; nil for none.
  public var earlyStopping: JSONValue?

  public init(
    _ name: String, unfreeze: UnfreezeDepth = .none, lora: LoRA? = nil, epochs: Int = 1, learningRate: Double? = nil,
    optimizer: String = "Adam",
    optimizerConfig: JSONValue = [:], learningRateGroups: [LearningRateGroup] = [], layerDecay: Double? = nil,
    earlyStopping: JSONValue? = nil
  ) {
    (self.name, self.unfreeze, self.lora, self.epochs) = (name, unfreeze, lora, epochs)
    self.learningRate = learningRate.map { .double($0) }
    (self.optimizer, self.optimizerConfig) = (optimizer, optimizerConfig)
    (self.learningRateGroups, self.layerDecay, self.earlyStopping) = (learningRateGroups, layerDecay, earlyStopping)
  }

  /// From {"name", "unfreeze", "lora", "epochs", "learning_rate", "optimizer", "learning_rate_groups", "layer_decay", "early_stopping"}, of which the
  /// name alone is required.
  public init(_ json: JSONValue) throws {
    var config = try Configuration(json, for: "Phase")
    name = try config.string("name", "")
    guard !name.isEmpty else { throw XferError.invalid("Phase: 'name' is required, \(json.text()) was given") }
    lora = try config.value("lora").map { json in
      var arguments = try Configuration(json.intValue.map { ["rank": .int($0)] } ?? json, for: "'lora'")
      let lora = try LoRA(arguments: &arguments)
      try arguments.finish()
      return lora
    }
    unfreeze = try UnfreezeDepth(config.string("unfreeze", lora == nil ? "none" : "all"))
    epochs = try config.int("epochs", 1)
    learningRate = config.value("learning_rate")
    if let learningRate, learningRate.doubleValue == nil, learningRate.objectValue == nil {
      throw config.wrong("learning_rate", "a number or a schedule as {\"class_name\", \"config\"}", learningRate)
    }
    let given = config.value("optimizer") ?? "Adam"
    guard let className = given.stringValue ?? given["class_name"]?.stringValue else {
      throw config.wrong("optimizer", "a class name or {\"class_name\", \"config\"}", given)
    }
    (optimizer, optimizerConfig) = (className, given["config"] ?? [:])
    let groups = config.value("learning_rate_groups")
    guard let list = groups?.arrayValue ?? (groups == nil ? [] : nil) else {
      throw config.wrong("learning_rate_groups", "a list of {\"layers\", \"multiplier\"}", groups ?? .null)
    }
    learningRateGroups = try list.map { try LearningRateGroup($0) }
    layerDecay = try config.number("layer_decay")
    earlyStopping = config.value("early_stopping")
    try config.finish()
    try check()
  }

  public var json: JSONValue {
    var members: [String: JSONValue] = [
      "name": .string(name), "unfreeze": .string(unfreeze.text), "epochs": .int(epochs),
      "optimizer": ["class_name": .string(optimizer), "config": optimizerConfig],
    ]
    members["lora"] = lora?.arguments
    members["learning_rate"] = learningRate
    if !learningRateGroups.isEmpty { members["learning_rate_groups"] = .array(learningRateGroups.map(\.json)) }
    members["layer_decay"] = layerDecay.map { .double($0) }
    members["early_stopping"] = earlyStopping
    return .object(members)
  }

  /// Refuses, before anything is trained, what could not be carried out.
  func check() throws {
    guard epochs >= 0 else { throw XferError.invalid("phase '\(name)': 'epochs' is to be 0 or above, \(epochs) was given") }
    guard lora == nil || unfreeze != .none else {
      throw XferError.invalid("phase '\(name)': 'lora' adapts the layers that 'unfreeze' names, and it names none")
    }
    try lora?.check("phase '\(name)'")
    guard layerDecay == nil || learningRateGroups.isEmpty else {
      throw XferError.invalid("phase '\(name)': 'layer_decay' and 'learning_rate_groups' exclude each other")
    }
    do {
      _ = try makeOptimizer()
      _ = try makeEarlyStopping()
    } catch let error as XferError {
      throw XferError(error.status, "phase '\(name)': \(error.message)")
    }
  }

  private func makeOptimizer() throws -> Optimizer {
    var config = optimizerConfig.objectValue ?? [:]
    if let learningRate { config["learning_rate"] = learningRate }
    return try Optimizer.make(optimizer, config: optimizerConfig.objectValue == nil ? optimizerConfig : .object(config))
  }

  /// A new optimizer with the rates of this model's layers.
  func makeOptimizer(_ model: Model, _ base: PretrainedBase) throws -> Optimizer {
    let optimizer = try makeOptimizer()
    if let layerDecay {
      optimizer.learningRateMultipliers = try Optimizer.layerWiseDecay(model, factor: layerDecay)
    } else if !learningRateGroups.isEmpty {
      optimizer.learningRateMultipliers = try learningRateGroups.flatMap { try $0.multipliers(model, base) }
    }
    return optimizer
  }

  func makeEarlyStopping() throws -> EarlyStopping? {
    try earlyStopping.map { config in
      var configuration = try Configuration(config, for: EarlyStopping.className)
      let callback = try EarlyStopping(config: &configuration)
      try configuration.finish()
      return callback
    }
  }

  public static func == (a: Phase, b: Phase) -> Bool { a.json == b.json }
}
