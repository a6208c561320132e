public import XferCore

/// Stages of training, one after another: what is frozen, unfrozen and trained when, as data.
///
/// ```swift
/// let plan = PhasePlan([
///   Phase("head", epochs: 20, learningRate: 1e-3),
///   Phase("top", unfreeze: .last(30), epochs: 5, learningRate: 1e-4),
/// ])
/// let history = try model.fit(photos, phases: plan)
/// ```
public struct PhasePlan: Equatable, Sendable {
  public var phases: [Phase]
  /// The nested model that is the pretrained base; nil for the only one there is.
  public var base: String?
  /// The first of the new layers, where the base's layers are the model's own: everything before it is the base.
  public var head: String?

  public init(_ phases: [Phase], base: String? = nil, head: String? = nil) { (self.phases, self.base, self.head) = (phases, base, head) }

  /// From {"phases": [...], "base", "head"}, a list of phases, the name of a preset, or {"preset": NAME, ...} with the preset's settings.
  ///
  /// - Throws: `XFER_E_INVALID_ARGUMENT` naming the phase and key, `XFER_E_NOT_FOUND` for a preset there is not.
  public init(_ json: JSONValue) throws {
    if let name = json.stringValue {
      self = try Self.preset(name)
      return
    }
    if case .array = json {
      self.init(try Self.list(json))
    } else {
      var config = try Configuration(json, for: "PhasePlan")
      if let preset = config.value("preset") {
        guard let name = preset.stringValue else { throw config.wrong("preset", "a preset's name", preset) }
        var settings = json.objectValue ?? [:]
        settings["preset"] = nil
        self = try Self.preset(name, settings: .object(settings))
        return
      }
      guard let list = config.value("phases") else { throw XferError.invalid("PhasePlan: 'phases' or 'preset' is required") }
      self.init(try Self.list(list), base: config.value("base") == nil ? nil : try config.string("base", ""))
      if config.value("head") != nil { head = try config.string("head", "") }
      try config.finish()
    }
    try check()
  }

  /// From JSON text, or the name of a preset.
  public init(text: String) throws {
    let start = text.first { !$0.isWhitespace }
    if start == "{" || start == "[" || start == "\"" {
      try self.init(JSONValue(parsing: text, what: "the plan"))
    } else {
      self = try Self.preset(text)
    }
  }

  private static func list(_ json: JSONValue) throws -> [Phase] {
    guard let list = json.arrayValue else { throw XferError.invalid("PhasePlan: 'phases' is to be a list, \(json.text()) was given") }
    return try list.map { try Phase($0) }
  }

  func check() throws {
    guard !phases.isEmpty else { throw XferError.invalid("PhasePlan: at least one phase is wanted") }
    guard base == nil || head == nil else { throw XferError.invalid("PhasePlan: 'base' and 'head' exclude each other") }
    for (index, phase) in phases.enumerated() {
      if phases[..<index].contains(where: { $0.name == phase.name }) {
        throw XferError.invalid("PhasePlan: two phases are called '\(phase.name)'")
      }
      try phase.check()
    }
  }

  public var json: JSONValue {
    var members: [String: JSONValue] = ["phases": .array(phases.map(\.json))]
    members["base"] = base.map { .string($0) }
    members["head"] = head.map { .string($0) }
    return .object(members)
  }
}
