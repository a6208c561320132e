public import XferCore
public import XferGraph

/// How a weight of a layer starts, what it costs and where it is kept: the three arguments `X_initializer`, `X_regularizer` and
/// `X_constraint` that Keras' layers have for each weight.
public struct WeightSpec: Sendable, Equatable {
  public var initializer: Initializer
  public var regularizer: Regularizer?
  public var constraint: Constraint?

  public init(_ initializer: Initializer, regularizer: Regularizer? = nil, constraint: Constraint? = nil) {
    (self.initializer, self.regularizer, self.constraint) = (initializer, regularizer, constraint)
  }

  /// Reads the three keys that begin with `name`: "kernel", "bias", "depthwise" …
  public init(_ config: inout Configuration, _ name: String, default fallback: Initializer) throws {
    let layer = config.className
    initializer = try Initializer(config.value("\(name)_initializer"), default: fallback, layer: layer)
    regularizer = try Regularizer(config.value("\(name)_regularizer"), layer: layer)
    constraint = try Constraint(config.value("\(name)_constraint"), layer: layer)
  }

  /// The three keys as Keras writes them.
  public func config(_ name: String) -> [String: JSONValue] {
    [
      "\(name)_initializer": initializer.config, "\(name)_regularizer": regularizer?.config ?? .null,
      "\(name)_constraint": constraint?.config ?? .null,
    ]
  }
}

extension Layer {
  /// Adds a weight with its regularizer and constraint, in creation order.
  public func addWeight(_ name: String, _ shape: [Int], _ spec: WeightSpec) throws -> Variable {
    let variable = try addWeight(name, shape, spec.initializer)
    (variable.regularizer, variable.constraint) = (spec.regularizer, spec.constraint)
    return variable
  }
}

extension [String: JSONValue] {
  /// These keys and those of weights, as layers with several weights write their configs.
  func with(_ more: [String: JSONValue]...) -> [String: JSONValue] { more.reduce(self) { $0.merging($1) { $1 } } }
}
