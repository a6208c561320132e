public import XferCore

extension PhasePlan {
  private typealias Maker = @Sendable (inout Configuration) throws -> [Phase]

  private static let makers: [String: Maker] = [
    "linear-probe": { [try head(&$0)] },
    "head-then-all": {
      let unfreeze = try UnfreezeDepth($0.string("unfreeze", "all"))
      return try [head(&$0)] + fineTuning(&$0, [("fine-tune", unfreeze)])
    },
    "gradual-unfreeze": {
      let stages = $0.value("stages") == nil ? 3 : try $0.required("stages")
      let depths = (1...stages).map { stage -> (String, UnfreezeDepth) in
        ("unfreeze-\(stage)", stage == stages ? .all : .lastPercent(100 * Double(stage) / Double(stages)))
      }
      return try [head(&$0)] + fineTuning(&$0, depths)
    },
    "layer-decay": {
      let decay = try $0.double("layer_decay", 0.8)
      return try [head(&$0)] + fineTuning(&$0, [("fine-tune", .all)], decay: decay)
    },
  ]

  public static var presets: [String] { makers.keys.sorted() }

  /// A plan by name:
  ///
  /// - `linear-probe`: the head alone, on a frozen base.
  /// - `head-then-all`: the head, then all layers gently, as Keras' guide to transfer learning has it.
  /// - `gradual-unfreeze`: the head, then from the output on more and more of the base, in `stages` (3) (Howard & Ruder 2018).
  /// - `layer-decay`: the head, then all layers, each with `layer_decay` (0.8) times the rate of the next one towards the output.
  ///
  /// Settings: `epochs` (20) and `learning_rate` (1e-3) of the head; `fine_tune_epochs` (10) in all and `fine_tune_rate` (1e-5) behind it;
  /// `lora` of all phases behind the head; `unfreeze` ("all") of head-then-all; `optimizer` and `early_stopping` of all phases, `base` and
  /// `head` of the plan.
  public static func preset(_ name: String, settings: JSONValue = [:]) throws -> PhasePlan {
    guard let maker = makers[name] else {
      throw XferError.notFound("unknown preset '\(name)'\(hint(name, among: presets)); there are \(presets.joined(separator: ", "))")
    }
    var config = try Configuration(settings, for: name)
    var plan = PhasePlan(try maker(&config))
    if config.value("base") != nil { plan.base = try config.string("base", "") }
    if config.value("head") != nil { plan.head = try config.string("head", "") }
    // Settings that only other presets read are no mistake: the same ones go with each.
    config.ignore("fine_tune_epochs", "fine_tune_rate", "unfreeze", "stages", "layer_decay", "lora")
    try config.finish()
    try plan.check()
    return plan
  }

  private static func phase(_ name: String, _ config: inout Configuration, rate: Double, _ more: [String: JSONValue]) throws -> Phase {
    var members: [String: JSONValue] = ["name": .string(name), "learning_rate": .double(rate)]
    members["optimizer"] = config.value("optimizer")
    members["early_stopping"] = config.value("early_stopping")
    return try Phase(.object(members.merging(more) { $1 }))
  }

  private static func head(_ config: inout Configuration) throws -> Phase {
    try phase("head", &config, rate: config.double("learning_rate", 1e-3), ["epochs": .int(config.int("epochs", 20))])
  }

  /// Shares the epochs out among phases, the last ones getting what is left over; phases without an epoch, and those that unfreeze nothing, are
  /// left out.
  private static func fineTuning(
    _ config: inout Configuration, _ depths: [(name: String, unfreeze: UnfreezeDepth)], decay: Double? = nil
  ) throws -> [Phase] {
    let epochs = try config.int("fine_tune_epochs", 10)
    guard epochs >= 0 else { throw XferError.invalid("\(config.className): 'fine_tune_epochs' is to be 0 or above, \(epochs) was given") }
    let rate = try config.double("fine_tune_rate", 1e-5)
    var phases: [Phase] = []
    for (index, depth) in depths.enumerated() {
      let own = epochs * (index + 1) / depths.count - epochs * index / depths.count
      guard own > 0, depth.unfreeze != .none else { continue }
      var more: [String: JSONValue] = ["epochs": .int(own), "unfreeze": .string(depth.unfreeze.text)]
      more["lora"] = config.value("lora")
      more["layer_decay"] = decay.map { .double($0) }
      phases.append(try phase(depth.name, &config, rate: rate, more))
    }
    return phases
  }
}
