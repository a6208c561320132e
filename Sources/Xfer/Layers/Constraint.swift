public import XferCore
public import XferGraph

/// What a weight is projected to after each update. Names, formulas and defaults are Keras'; norms are taken over `axes`.
public enum Constraint: WeightRule, Equatable {
  /// Norms above the limit are brought down to it.
  case maxNorm(Double = 2, axes: [Int] = [0])
  case nonNegative
  case unitNorm(axes: [Int] = [0])
  /// Norms move by `rate` of the way into [min, max].
  case minMaxNorm(min: Double = 0, max: Double = 1, rate: Double = 1, axes: [Int] = [0])

  static let names = ["MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm"]
  private static let epsilon = 1e-7

  public func emit(_ w: ValueID, _ graph: Graph) throws -> ValueID {
    func norms(_ axes: [Int]) throws -> ValueID {
      try graph.unary(.sqrt, graph.reduce(.sum, graph.unary(.square, w), axes: axes, keepDims: true))
    }
    switch self {
    case .nonNegative: return try graph.binary(.maximum, w, graph.scalar(0))
    case .maxNorm(let limit, let axes):
      let norm = try norms(axes)
      return try graph.multiply(w, graph.divide(graph.clip(norm, 0, limit), graph.add(norm, Self.epsilon)))
    case .unitNorm(let axes): return try graph.divide(w, graph.add(norms(axes), Self.epsilon))
    case .minMaxNorm(let low, let high, let rate, let axes):
      let norm = try norms(axes)
      let desired = try graph.add(graph.multiply(graph.clip(norm, low, high), rate), graph.multiply(norm, 1 - rate))
      return try graph.multiply(w, graph.divide(desired, graph.add(norm, Self.epsilon)))
    }
  }

  /// From a config value: "max_norm", "MaxNorm" or {"class_name":…,"config":{…}}; nil for none.
  public init?(_ json: JSONValue?, layer: String) throws {
    guard let json, !json.isNull else { return nil }
    let name = json.stringValue ?? json["class_name"]?.stringValue ?? json.text()
    guard let className = Self.names.first(where: { $0 == name || AutomaticName.snakeCase($0) == name }) else {
      throw XferError.invalid("\(layer): unknown constraint '\(name)'\(hint(name, among: Self.names))")
    }
    var config = try Configuration(json["config"] ?? .object([:]), for: className)
    switch className {
    case "MaxNorm": self = .maxNorm(try config.double("max_value", 2), axes: try config.axes("axis") ?? [0])
    case "UnitNorm": self = .unitNorm(axes: try config.axes("axis") ?? [0])
    case "MinMaxNorm":
      self = .minMaxNorm(
        min: try config.double("min_value", 0), max: try config.double("max_value", 1), rate: try config.double("rate", 1),
        axes: try config.axes("axis") ?? [0])
    default: self = .nonNegative
    }
    try config.finish()
  }

  /// The config as Keras writes it.
  public var config: JSONValue {
    func of(_ name: String, _ config: JSONValue) -> JSONValue {
      ["module": "keras.constraints", "class_name": .string(name), "config": config, "registered_name": nil]
    }
    func axis(_ axes: [Int]) -> JSONValue { axes.count == 1 ? .int(axes[0]) : .array(axes.map { .int($0) }) }
    switch self {
    case .nonNegative: return of("NonNeg", [:])
    case .maxNorm(let limit, let axes): return of("MaxNorm", ["max_value": .double(limit), "axis": axis(axes)])
    case .unitNorm(let axes): return of("UnitNorm", ["axis": axis(axes)])
    case .minMaxNorm(let low, let high, let rate, let axes):
      return of("MinMaxNorm", ["min_value": .double(low), "max_value": .double(high), "rate": .double(rate), "axis": axis(axes)])
    }
  }
}
