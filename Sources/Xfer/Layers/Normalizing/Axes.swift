public import XferCore
public import XferGraph

extension Configuration {
  /// One dimension's number or a list of them, and whether it was a list.
  mutating func axes(_ key: String, _ fallback: Int) throws -> Axes {
    guard let value = value(key) else { return Axes(numbers: [fallback], isList: false) }
    if let number = value.intValue { return Axes(numbers: [number], isList: false) }
    let list = value.arrayValue?.compactMap(\.intValue) ?? []
    guard let given = value.arrayValue, list.count == given.count, !list.isEmpty else {
      throw wrong(key, "a dimension's number or a list of them", value)
    }
    return Axes(numbers: list, isList: true)
  }
}

/// Dimensions as a config names them: negative numbers count from the end.
struct Axes: Equatable {
  var numbers: [Int]
  var isList: Bool

  /// As Keras writes them.
  var config: JSONValue { isList ? .array(numbers.map { .int($0) }) : .int(numbers[0]) }

  /// The dimensions of a shape they are.
  func positions(in rank: Int, _ layer: String) throws -> [Int] {
    let positions = try numbers.map { number in
      let position = number < 0 ? number + rank : number
      guard (0..<rank).contains(position) else {
        throw XferError.invalid("\(layer): axis \(number) does not exist in an input of rank \(rank)")
      }
      return position
    }
    guard Set(positions).count == positions.count else { throw XferError.invalid("\(layer): axis \(numbers) names a dimension twice") }
    return positions
  }
}

extension OpenShape {
  /// The sizes of some dimensions, which are to be known.
  func sizes(_ positions: [Int], _ layer: String) throws -> [Int] {
    try positions.map { position in
      guard let size = self[position] else {
        throw XferError.shape("\(layer): dimension \(position) of the input is open, its size is to be known")
      }
      return size
    }
  }
}

/// Scale and offset after a normalization: Keras' `gamma` and `beta`.
struct AffineOptions: Equatable {
  var center = true
  var scale = true
  var beta = WeightSpec(.zeros)
  var gamma = WeightSpec(.ones)

  init(center: Bool, scale: Bool) { (self.center, self.scale) = (center, scale) }

  init(_ config: inout Configuration) throws {
    center = try config.bool("center", true)
    scale = try config.bool("scale", true)
    beta = try WeightSpec(&config, "beta", default: .zeros)
    gamma = try WeightSpec(&config, "gamma", default: .ones)
  }

  var config: [String: JSONValue] {
    ["center": .bool(center), "scale": .bool(scale)].with(beta.config("beta"), gamma.config("gamma"))
  }
}

extension Graph {
  /// The mean and biased variance over some dimensions, which stay as ones.
  func statistics(_ x: ValueID, axes: [Int]) throws -> (mean: ValueID, variance: ValueID) {
    let mean = try reduce(.mean, x, axes: axes, keepDims: true)
    return (mean, try reduce(.mean, unary(.square, subtract(x, mean)), axes: axes, keepDims: true))
  }
}
