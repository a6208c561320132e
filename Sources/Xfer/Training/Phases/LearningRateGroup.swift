public import XferCore

/// A factor on the learning rate of some layers.
public struct LearningRateGroup: Equatable, Sendable {
  public enum Members: Equatable, Sendable {
    /// Layers whose name begins so, those within other layers among them.
    case prefix(String)
    /// So many layers of the base, from its input or from its output on.
    case first(Int), last(Int)
  }

  public var members: Members
  public var multiplier: Double

  public init(_ members: Members, multiplier: Double) { (self.members, self.multiplier) = (members, multiplier) }

  /// From {"layers": "block1", "multiplier": 0.1}, or with "first": N or "last": N in place of "layers".
  public init(_ json: JSONValue) throws {
    var config = try Configuration(json, for: "learning_rate_groups")
    let keys = ["layers", "first", "last"].filter { config.value($0) != nil }
    guard keys.count == 1 else {
      throw XferError.invalid("learning_rate_groups: one of 'layers', 'first' and 'last' is wanted, \(json.text()) was given")
    }
    if keys[0] == "layers" {
      members = .prefix(try config.string("layers", ""))
    } else {
      let count = try config.required(keys[0])
      members = keys[0] == "first" ? .first(count) : .last(count)
    }
    guard config.value("multiplier") != nil else { throw XferError.invalid("learning_rate_groups: 'multiplier' is required") }
    multiplier = try config.double("multiplier", 1)
    guard multiplier.isFinite, multiplier >= 0 else {
      throw XferError.invalid("learning_rate_groups: 'multiplier' is to be 0 or above, \(multiplier) was given")
    }
    try config.finish()
  }

  public var json: JSONValue {
    switch members {
    case .prefix(let text): ["layers": .string(text), "multiplier": .double(multiplier)]
    case .first(let count): ["first": .int(count), "multiplier": .double(multiplier)]
    case .last(let count): ["last": .int(count), "multiplier": .double(multiplier)]
    }
  }

  /// The factor by the paths of the weights it is for, as ``Optimizer/learningRateMultipliers`` has them.
  func multipliers(_ model: Model, _ base: PretrainedBase) throws -> [(pattern: String, factor: Double)] {
    let layers: [Layer]
    switch members {
    case .prefix(let text):
      layers = model.allLayers.filter { $0.name.hasPrefix(text) }
      guard layers.contains(where: { !$0.weights.isEmpty }) else {
        let names = model.allLayers.map(\.name)
        throw XferError.notFound("learning_rate_groups: no layer with weights has a name like '\(text)…'\(hint(text, among: names))")
      }
    case .first(let count): layers = Array(base.layers.prefix(count))
    case .last(let count): layers = Array(base.layers.suffix(count))
    }
    return layers.flatMap(\.weights).map { ($0.path, multiplier) }
  }
}
