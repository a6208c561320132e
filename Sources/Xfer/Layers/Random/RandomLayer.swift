public import XferCore
public import XferGraph

/// A layer that draws random numbers in training: it has a seed, and a state [seed, step] that is not a weight, as in Keras.
public class RandomLayer: Layer {
  /// The seed given, nil for one drawn from the process' stream.
  let seed: Int?
  private var state: Tensor?
  override var randomStates: [Tensor] { state.map { [$0] } ?? [] }

  init(seed: Int?, name: String?) {
    self.seed = seed
    super.init(name: name)
  }

  init(randomly config: inout Configuration) throws {
    seed = try config.seed()
    try super.init(reading: &config)
  }

  public override func build(_ inputs: [OpenShape]) throws {
    let state = try Tensor(zeros: [2], dtype: .int64)
    state.data.assumingMemoryBound(to: Int64.self)[0] = seed.map(Int64.init) ?? Int64(bitPattern: RandomSeed.next())
    self.state = state
  }

  /// Numbers that are new in each run. To draw twice, draw more at once: one state gives the same numbers to all that ask in one run.
  func draw(_ shape: [Int], normal: Bool = false, _ graph: Graph) throws -> ValueID {
    guard let state else { throw XferError.state("\(name) is not built yet") }
    return graph.random(shape, normal: normal, state: state)
  }

  /// Zeros a share `rate` of `x` and divides the rest by 1 − rate; dimensions of 1 in `noise` fall together.
  func dropped(_ x: ValueID, rate: Double, noise: [Int], _ graph: Graph) throws -> ValueID {
    let kept = try graph.binary(.greaterEqual, draw(noise, graph), graph.scalar(rate))
    return try graph.multiply(x, graph.multiply(kept, rate < 1 ? 1 / (1 - rate) : 0))
  }

  var seedConfig: JSONValue { seed.map { .int($0) } ?? .null }
}

extension Configuration {
  /// A share from 0 to 1.
  mutating func rate(_ key: String = "rate") throws -> Double {
    guard let given = value(key) else { throw XferError.invalid("\(className): '\(key)' is required") }
    let rate = try double(key, 0)
    guard (0...1).contains(rate) else { throw wrong(key, "from 0 to 1", given) }
    return rate
  }

  /// A shape whose nulls mean the input's own size.
  mutating func noiseShape() throws -> OpenShape? {
    guard let value = value("noise_shape") else { return nil }
    guard let list = value.arrayValue, list.allSatisfy({ $0.isNull || ($0.intValue ?? 0) > 0 }) else {
      throw wrong("noise_shape", "a list of sizes, null for the input's own", value)
    }
    return list.map(\.intValue)
  }
}

/// Dropout masks of a shape of their own.
enum NoiseShape {
  static func resolve(_ noise: OpenShape?, _ shape: [Int], _ layer: String) throws -> [Int] {
    guard let noise else { return shape }
    let filled = noise.enumerated().map { $1 ?? (shape.indices.contains($0) ? shape[$0] : 1) }
    guard filled.count == shape.count, zip(filled, shape).allSatisfy({ $0 == $1 || $0 == 1 }) else {
      throw XferError.shape(
        "\(layer): 'noise_shape' \(text(noise)) does not fit an input of shape \(shape): sizes are to be the input's or 1")
    }
    return filled
  }

  static func text(_ noise: OpenShape) -> String { "[\(noise.map { $0.map(String.init) ?? "null" }.joined(separator: ", "))]" }
  static func config(_ noise: OpenShape?) -> JSONValue { noise.map { .array($0.map { $0.map { .int($0) } ?? .null }) } ?? .null }
}
