public import XferCore

extension Initializer {
  private static let known: [Initializer] = [
    .zeros, .ones, .constant(0), .identity, .orthogonal, .glorotUniform, .glorotNormal, .heUniform, .heNormal, .lecunUniform, .lecunNormal,
    .randomUniform(), .randomNormal(), .truncatedNormal(), .varianceScaling(),
  ]
  private static let aliases = [
    "zero": "Zeros", "one": "Ones", "normal": "RandomNormal", "uniform": "RandomUniform", "IdentityInitializer": "Identity",
    "OrthogonalInitializer": "Orthogonal",
  ]

  private static func named(_ name: String) -> Initializer? {
    let name = aliases[name] ?? name
    return known.first { $0.className == name || AutomaticName.snakeCase($0.className) == name }
  }

  /// From a config value: "glorot_uniform", "GlorotUniform", {"class_name":…,"config":{…}} or an array of the weight's shape.
  init(_ json: JSONValue?, default fallback: Initializer, layer: String) throws {
    guard let json else {
      self = fallback
      return
    }
    if json.arrayValue != nil || json["class_name"]?.stringValue == "__numpy__" {
      self.init("array", .values(json))
      return
    }
    let name = json.stringValue ?? json["class_name"]?.stringValue ?? ""
    try self.init(className: name, config: json["config"] ?? .object([:]), layer: layer)
  }

  /// By class name or identifier and config, as `keras.initializers.deserialize` reads them.
  public init(className name: String, config: JSONValue, layer: String? = nil) throws {
    let prefix = layer.map { "\($0): " } ?? ""
    guard let found = Self.named(name) else {
      let names = Self.known.flatMap { [$0.className, AutomaticName.snakeCase($0.className)] }
      throw XferError.invalid("\(prefix)unknown initializer '\(name)'\(hint(name, among: names))")
    }
    var config = try Configuration(config, for: found.className)
    self = found
    switch found.kind {
    case .zeros, .ones, .values: break
    case .constant:
      let value = config.value("value") ?? .double(0)
      _ = try JSONArray(value, what: className)
      kind = .constant(value.doubleValue.map { .double($0) } ?? value)
    case .identity: kind = .identity(gain: try config.double("gain", 1))
    case .orthogonal: kind = .orthogonal(gain: try config.double("gain", 1))
    case .uniform(let low, let high): kind = .uniform(min: try config.double("minval", low), max: try config.double("maxval", high))
    case .normal(let mean, let deviation, let truncated):
      kind = .normal(mean: try config.double("mean", mean), deviation: try config.double("stddev", deviation), truncated: truncated)
    case .scaling(var scaling):
      if className == "VarianceScaling" { try scaling.read(&config) }
      (scaling.inputAxes, scaling.outputAxes) = (try config.axes("input_axes"), try config.axes("output_axes"))
      kind = .scaling(scaling)
    }
    if kind.isRandom { seed = try config.seed() }
    try config.finish()
  }

  /// The config as Keras writes it.
  public var config: JSONValue {
    if case .values(let array) = kind { return array }
    return ["module": "keras.initializers", "class_name": .string(className), "config": .object(ownConfig), "registered_name": nil]
  }

  private var ownConfig: [String: JSONValue] {
    let seed: JSONValue = self.seed.map { .int($0) } ?? .null
    switch kind {
    case .zeros, .ones, .values: return [:]
    case .constant(let value): return ["value": value]
    case .identity(let gain): return ["gain": .double(gain)]
    case .orthogonal(let gain): return ["seed": seed, "gain": .double(gain)]
    case .uniform(let low, let high): return ["seed": seed, "minval": .double(low), "maxval": .double(high)]
    case .normal(let mean, let deviation, _): return ["seed": seed, "mean": .double(mean), "stddev": .double(deviation)]
    case .scaling(let scaling):
      func axes(_ list: [Int]?) -> JSONValue { list.map { .array($0.map { .int($0) }) } ?? .null }
      var config = ["seed": seed, "input_axes": axes(scaling.inputAxes), "output_axes": axes(scaling.outputAxes)]
      if className == "VarianceScaling" {
        config["scale"] = .double(scaling.scale)
        config["mode"] = .string(scaling.mode.rawValue)
        config["distribution"] = .string(scaling.distribution.rawValue)
      }
      return config
    }
  }
}

extension Initializer.Kind {
  fileprivate var isRandom: Bool {
    switch self {
    case .uniform, .normal, .scaling, .orthogonal: true
    case .constant, .values, .zeros, .ones, .identity: false
    }
  }
}

extension Initializer.Scaling {
  fileprivate mutating func read(_ config: inout Configuration) throws {
    scale = try config.double("scale", 1)
    guard scale > 0 else { throw XferError.invalid("VarianceScaling: 'scale' is to be above 0, \(scale) was given") }
    let mode = try config.string("mode", "fan_in")
    guard let fan = Initializer.Fan(rawValue: mode) else {
      throw XferError.invalid("VarianceScaling: 'mode' is to be \"fan_in\", \"fan_out\" or \"fan_avg\", \"\(mode)\" was given")
    }
    self.mode = fan
    let name = try config.string("distribution", "truncated_normal").lowercased()
    guard let found = Initializer.Distribution(rawValue: name == "normal" ? "truncated_normal" : name) else {
      throw XferError.invalid(
        "VarianceScaling: 'distribution' is to be \"uniform\", \"truncated_normal\" or \"untruncated_normal\", \"\(name)\" was given")
    }
    distribution = found
  }
}

extension Configuration {
  /// A whole number, or a list of them; nil when missing.
  mutating func axes(_ key: String) throws -> [Int]? {
    guard let value = value(key) else { return nil }
    if let number = value.intValue { return [number] }
    guard let list = value.arrayValue, case let numbers = list.compactMap(\.intValue), numbers.count == list.count else {
      throw wrong(key, "a whole number or a list of them", value)
    }
    return numbers
  }

  /// A seed: a whole number, or what Keras writes for a SeedGenerator; nil when missing.
  mutating func seed() throws -> Int? {
    guard let value = value("seed") else { return nil }
    guard let number = value.intValue ?? value["config"]?["seed"]?.intValue else { throw wrong("seed", "a whole number", value) }
    return number
  }
}
