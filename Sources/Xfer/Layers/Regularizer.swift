public import XferCore
public import XferGraph

/// A penalty on a weight or an activity, added to the loss. Names, formulas and defaults are Keras'.
public enum Regularizer: WeightRule, Equatable {
  /// `l1·Σ|x|`
  case l1(Double)
  /// `l2·Σx²`
  case l2(Double)
  case l1l2(l1: Double, l2: Double)
  /// `factor` times the mean of |cosine| between different rows, or columns, of a matrix.
  case orthogonal(factor: Double, rows: Bool)

  static let names = ["L1", "L2", "L1L2", "OrthogonalRegularizer"]

  /// The penalty, [1].
  public func emit(_ x: ValueID, _ graph: Graph) throws -> ValueID {
    switch self {
    case .l1(let factor): return try graph.multiply(graph.sum(graph.unary(.abs, x)), factor)
    case .l2(let factor): return try graph.multiply(graph.sum(graph.unary(.square, x)), factor)
    case .l1l2(let l1, let l2):
      let parts = try [l1 == 0 ? nil : Self.l1(l1), l2 == 0 ? nil : Self.l2(l2)].compactMap { try $0?.emit(x, graph) }
      guard let first = parts.first else { return try graph.multiply(graph.sum(x), 0) }
      return try parts.dropFirst().reduce(first) { try graph.add($0, $1) }
    case .orthogonal(let factor, let rows):
      let shape = graph.shape(x)
      guard shape.count == 2 else { throw XferError.shape("OrthogonalRegularizer wants a matrix, a weight of shape \(shape) was given") }
      let size = shape[rows ? 0 : 1]
      let squares = try graph.reduce(.sum, graph.unary(.square, x), axes: [rows ? 1 : 0], keepDims: true)
      // As Keras' normalize: lengths below 1e-12 are taken for it.
      let length = try graph.binary(.maximum, graph.unary(.sqrt, squares), graph.scalar(1e-12))
      let unit = try graph.divide(x, length)
      let product = try graph.matmul(unit, unit, transposeA: !rows, transposeB: rows)
      let others = try graph.constant(Tensor((0..<size * size).map { $0 / size == $0 % size ? 0 : 1 }, shape: [size, size]))
      let pairs = Double(size) * (Double(size) - 1) / 2
      return try graph.multiply(graph.sum(graph.unary(.abs, graph.multiply(product, others))), factor * 0.5 / pairs)
    }
  }

  /// From a config value: "l2", "L2" or {"class_name":…,"config":{…}}; nil for none.
  public init?(_ json: JSONValue?, layer: String) throws {
    guard let json, !json.isNull else { return nil }
    let name = json.stringValue ?? json["class_name"]?.stringValue ?? json.text()
    guard
      let className = Self.names.first(where: { $0 == name || AutomaticName.snakeCase($0) == name || $0.lowercased() == name })
        ?? (name == "l1_l2" ? "L1L2" : nil)
    else { throw XferError.invalid("\(layer): unknown regularizer '\(name)'\(hint(name, among: Self.names))") }
    var config = try Configuration(json["config"] ?? .object([:]), for: className)
    switch className {
    case "L1": self = .l1(try config.penalty("l1", 0.01))
    case "L2": self = .l2(try config.penalty("l2", 0.01))
    case "L1L2": self = .l1l2(l1: try config.penalty("l1", 0), l2: try config.penalty("l2", 0))
    default:
      let mode = try config.string("mode", "rows")
      guard mode == "rows" || mode == "columns" else {
        throw XferError.invalid("OrthogonalRegularizer: 'mode' is to be \"rows\" or \"columns\", \"\(mode)\" was given")
      }
      self = .orthogonal(factor: try config.penalty("factor", 0.01), rows: mode == "rows")
    }
    try config.finish()
  }

  /// The config as Keras writes it.
  public var config: JSONValue {
    func of(_ name: String, _ config: JSONValue) -> JSONValue {
      ["module": "keras.regularizers", "class_name": .string(name), "config": config, "registered_name": nil]
    }
    switch self {
    case .l1(let factor): return of("L1", ["l1": .double(Double(Float(factor)))])
    case .l2(let factor): return of("L2", ["l2": .double(factor)])
    case .l1l2(let l1, let l2): return of("L1L2", ["l1": .double(l1), "l2": .double(l2)])
    case .orthogonal(let factor, let rows):
      return of("OrthogonalRegularizer", ["factor": .double(Double(Float(factor))), "mode": rows ? "rows" : "columns"])
    }
  }
}

extension Configuration {
  fileprivate mutating func penalty(_ key: String, _ fallback: Double) throws -> Double {
    let number = try double(key, fallback)
    guard number >= 0, number.isFinite else { throw XferError.invalid("\(className): '\(key)' is to be 0 or above, \(number) was given") }
    return number
  }
}

extension Graph {
  /// The sum of all elements, [1].
  func sum(_ x: ValueID) throws -> ValueID {
    try reshape(reduce(.sum, reshape(x, to: [1, shape(x).reduce(1, *), 1])), to: [1])
  }
}
