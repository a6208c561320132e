public import XferCore

extension Optimizer {
  /// The config as Keras writes it, and what Keras does not have: rates by path.
  public var config: JSONValue {
    guard !learningRateMultipliers.isEmpty, case .object(let own) = kerasConfig else { return kerasConfig }
    return .object(own.merging(["learning_rate_multipliers": multipliersConfig]) { $1 })
  }

  var multipliersConfig: JSONValue { .array(learningRateMultipliers.map { [.string($0.pattern), .double($0.factor)] }) }

  /// The config as Keras reads it: the rate is a float32 there.
  var kerasConfig: JSONValue {
    let shared: [String: JSONValue] = [
      "name": .string(name), "learning_rate": schedule?.config ?? .double(Double(Float(learningRate))),
      "weight_decay": .optional(options.weightDecay), "clipnorm": .optional(options.clipnorm), "clipvalue": .optional(options.clipvalue),
      "global_clipnorm": .optional(options.globalClipnorm), "use_ema": .bool(options.useEMA), "ema_momentum": .double(options.emaMomentum),
      "ema_overwrite_frequency": options.emaOverwriteFrequency.map { .int($0) } ?? .null,
      "loss_scale_factor": .optional(options.lossScaleFactor),
      "gradient_accumulation_steps": options.gradientAccumulationSteps.map { .int($0) } ?? .null,
    ]
    return .object(shared.merging(ownConfig) { $1 })
  }

  /// Rates by path from `[[pattern, factor], …]`.
  static func multipliers(_ json: JSONValue) throws -> [(pattern: String, factor: Double)] {
    try (json.arrayValue ?? [json]).map { pair in
      guard let list = pair.arrayValue, list.count == 2, let pattern = list[0].stringValue, let factor = list[1].doubleValue, factor >= 0,
        factor.isFinite
      else { throw XferError.invalid("'learning_rate_multipliers' is to be a list of [pattern, factor], \(pair.text()) was given") }
      return (pattern, factor)
    }
  }

  private static let makers: [String: @Sendable (inout Configuration) throws -> Optimizer] = [
    "SGD": { try SGD(config: &$0) }, "RMSprop": { try RMSprop(config: &$0) }, "Adagrad": { try Adagrad(config: &$0) },
    "Adadelta": { try Adadelta(config: &$0) }, "Adam": { try Adam(config: &$0) }, "AdamW": { try AdamW(config: &$0) },
    "Adamax": { try Adamax(config: &$0) }, "Nadam": { try Nadam(config: &$0) }, "Ftrl": { try Ftrl(config: &$0) },
    "Lion": { try Lion(config: &$0) }, "Lamb": { try Lamb(config: &$0) },
  ]

  /// By class name or identifier ("Adam", "adam").
  public static func make(_ className: String, config: JSONValue = [:]) throws -> Optimizer {
    guard let (name, maker) = makers.first(where: { $0.key == className || $0.key.lowercased() == className.lowercased() }) else {
      throw XferError.notFound("unknown optimizer '\(className)'\(hint(className, among: makers.keys.sorted()))")
    }
    var configuration = try Configuration(config, for: name)
    let optimizer = try maker(&configuration)
    if let value = configuration.value("learning_rate"), value.objectValue != nil { optimizer.schedule = try LearningRateSchedule(value) }
    if let pairs = configuration.value("learning_rate_multipliers") {
      optimizer.learningRateMultipliers = try multipliers(pairs)
    }
    configuration.ignore("jit_compile", "is_legacy_optimizer", "decay")
    try configuration.finish()
    return optimizer
  }
}

extension OptimizerOptions {
  init(_ config: inout Configuration, weightDecay: Double? = nil) throws {
    self.weightDecay = try config.number("weight_decay") ?? weightDecay
    clipnorm = try config.number("clipnorm")
    clipvalue = try config.number("clipvalue")
    globalClipnorm = try config.number("global_clipnorm")
    useEMA = try config.bool("use_ema", false)
    emaMomentum = try config.double("ema_momentum", 0.99)
    emaOverwriteFrequency = try config.number("ema_overwrite_frequency").map { _ in try config.int("ema_overwrite_frequency", 0) }
    lossScaleFactor = try config.number("loss_scale_factor")
    gradientAccumulationSteps = try config.number("gradient_accumulation_steps").map { _ in try config.int("gradient_accumulation_steps", 0)
    }
    if gradientAccumulationSteps == 0 { gradientAccumulationSteps = nil }
  }
}

extension Configuration {
  /// A number, nil when missing.
  mutating func number(_ key: String) throws -> Double? {
    guard value(key) != nil else { return nil }
    return try double(key, 0)
  }

  /// The rate as a number; a schedule is read by ``Optimizer/make(_:config:)``.
  mutating func learningRate(_ fallback: Double = 1e-3) throws -> Double {
    if let value = value("learning_rate"), value.objectValue != nil { return fallback }
    return try double("learning_rate", fallback)
  }

  mutating func optimizerName() throws -> String? { value("name") == nil ? nil : try string("name", "") }
}

extension JSONValue {
  static func optional(_ number: Double?) -> JSONValue { number.map { .double($0) } ?? .null }
}
