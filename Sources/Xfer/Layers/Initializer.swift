import Glibc
import Synchronization
public import XferCore

/// The generator behind initializers, shuffling and dropout seeds: SplitMix64 (Steele, Lea & Flood 2014).
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Uniform in [0, 1).
  public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Standard normal, by Box and Muller.
  public mutating func normal() -> Double { (-2 * log(1 - uniform())).squareRoot() * cos(2 * .pi * uniform()) }

  /// Standard normal, drawn again until it lies within two deviations.
  public mutating func truncatedNormal() -> Double {
    while true {
      let value = normal()
      if abs(value) <= 2 { return value }
    }
  }
}

/// The process' seed and the streams drawn from it.
public enum RandomSeed {
  private static let source = Mutex(SplitMix64(seed: 0))

  /// Restarts every stream, as `keras.utils.set_random_seed` does.
  public static func set(_ seed: UInt64) { source.withLock { $0 = SplitMix64(seed: seed) } }
  /// A fresh seed for one layer, initializer or data set.
  public static func next() -> UInt64 { source.withLock { $0.next() } }
}

/// How a weight gets its first values. Names and formulas are Keras'.
///
/// With a `seed` an initializer makes the same values each time; without one it draws from the process' seed.
public struct Initializer: Sendable, Equatable {
  /// How VarianceScaling counts the numbers that meet in one unit.
  public enum Fan: String, Sendable { case fanIn = "fan_in", fanOut = "fan_out", average = "fan_avg" }
  public enum Distribution: String, Sendable {
    case uniform, truncatedNormal = "truncated_normal", untruncatedNormal = "untruncated_normal"
  }
  /// The scale of VarianceScaling and its relatives; axes nil for Keras' reading of a kernel's shape.
  struct Scaling: Sendable, Equatable {
    var scale = 1.0
    var mode = Fan.fanIn
    var distribution = Distribution.truncatedNormal
    var inputAxes: [Int]?
    var outputAxes: [Int]?
  }
  enum Kind: Sendable, Equatable {
    /// Stretched to the weight's shape; as written in the config.
    case constant(JSONValue)
    /// An array of the weight's own shape, without a class of Keras'.
    case values(JSONValue)
    case zeros, ones
    case identity(gain: Double)
    case uniform(min: Double, max: Double)
    case normal(mean: Double, deviation: Double, truncated: Bool)
    case scaling(Scaling)
    case orthogonal(gain: Double)
  }
  /// Keras' class.
  let className: String
  var kind: Kind
  var seed: Int?

  init(_ className: String, _ kind: Kind, seed: Int? = nil) { (self.className, self.kind, self.seed) = (className, kind, seed) }

  public static let zeros = Initializer("Zeros", .zeros)
  public static let ones = Initializer("Ones", .ones)
  public static let identity = Initializer("Identity", .identity(gain: 1))
  public static let orthogonal = Initializer("Orthogonal", .orthogonal(gain: 1))
  public static let glorotUniform = Initializer("GlorotUniform", .scaling(.init(mode: .average, distribution: .uniform)))
  public static let glorotNormal = Initializer("GlorotNormal", .scaling(.init(mode: .average)))
  public static let heUniform = Initializer("HeUniform", .scaling(.init(scale: 2, distribution: .uniform)))
  public static let heNormal = Initializer("HeNormal", .scaling(.init(scale: 2)))
  public static let lecunUniform = Initializer("LecunUniform", .scaling(.init(distribution: .uniform)))
  public static let lecunNormal = Initializer("LecunNormal", .scaling(.init()))
  public static func constant(_ value: Double) -> Initializer { Initializer("Constant", .constant(.double(value))) }
  public static func randomUniform(min: Double = -0.05, max: Double = 0.05, seed: Int? = nil) -> Initializer {
    Initializer("RandomUniform", .uniform(min: min, max: max), seed: seed)
  }
  public static func randomNormal(mean: Double = 0, stddev: Double = 0.05, seed: Int? = nil) -> Initializer {
    Initializer("RandomNormal", .normal(mean: mean, deviation: stddev, truncated: false), seed: seed)
  }
  public static func truncatedNormal(mean: Double = 0, stddev: Double = 0.05, seed: Int? = nil) -> Initializer {
    Initializer("TruncatedNormal", .normal(mean: mean, deviation: stddev, truncated: true), seed: seed)
  }
  public static func varianceScaling(
    scale: Double = 1, mode: Fan = .fanIn, distribution: Distribution = .truncatedNormal, seed: Int? = nil
  ) -> Initializer {
    Initializer("VarianceScaling", .scaling(.init(scale: scale, mode: mode, distribution: distribution)), seed: seed)
  }

  /// The same with a seed of its own.
  public func seeded(_ seed: Int) -> Initializer {
    var copy = self
    copy.seed = seed
    return copy
  }
}

extension Initializer {
  /// Fans follow Keras' `compute_fans`: the receptive field times the last two dimensions, or the axes given.
  static func fans(_ shape: [Int], _ scaling: Scaling) -> (input: Double, output: Double) {
    if let inputs = scaling.inputAxes, let outputs = scaling.outputAxes {
      func product(_ axes: [Int]) -> Double {
        Double(axes.map { $0 < 0 ? $0 + shape.count : $0 }.filter(shape.indices.contains).reduce(1) { $0 * shape[$1] })
      }
      return (product(inputs), product(outputs))
    }
    guard shape.count >= 2 else { return (Double(shape.first ?? 1), Double(shape.first ?? 1)) }
    let field = shape.dropLast(2).reduce(1, *)
    return (Double(field * shape[shape.count - 2]), Double(field * shape[shape.count - 1]))
  }

  /// A new float32 tensor.
  public func make(_ shape: [Int]) throws -> Tensor {
    let tensor = try Tensor(zeros: shape)
    switch kind {
    case .zeros: break
    case .ones: tensor.float32.update(repeating: 1)
    case .constant(let value): try copy(value, stretched: true, to: tensor)
    case .values(let value): try copy(value, stretched: false, to: tensor)
    case .identity(let gain):
      guard shape.count == 2 else { throw XferError.shape("Identity makes matrices, a weight of shape \(shape) was asked for") }
      for i in 0..<min(shape[0], shape[1]) { tensor.float32[i * shape[1] + i] = Float(gain) }
    case .uniform(let low, let high): fill(tensor) { low + (high - low) * $0.uniform() }
    case .normal(let mean, let deviation, let truncated):
      fill(tensor) { mean + deviation * (truncated ? $0.truncatedNormal() : $0.normal()) }
    case .scaling(let scaling):
      let fans = Self.fans(shape, scaling)
      let count =
        switch scaling.mode {
        case .fanIn: fans.input;
        case .fanOut: fans.output;
        case .average: (fans.input + fans.output) / 2
        }
      let variance = scaling.scale / max(1, count)
      switch scaling.distribution {
      case .uniform:
        let limit = (3 * variance).squareRoot()
        fill(tensor) { limit * (2 * $0.uniform() - 1) }
      case .truncatedNormal:
        // Cutting at two deviations narrows the distribution by this factor.
        let deviation = variance.squareRoot() / 0.87962566103423978
        fill(tensor) { deviation * $0.truncatedNormal() }
      case .untruncatedNormal:
        let deviation = variance.squareRoot()
        fill(tensor) { deviation * $0.normal() }
      }
    case .orthogonal(let gain): try fillOrthogonal(tensor, gain)
    }
    return tensor
  }

  private var generator: SplitMix64 { SplitMix64(seed: seed.map { UInt64(bitPattern: Int64($0)) } ?? RandomSeed.next()) }

  private func fill(_ tensor: Tensor, _ draw: (inout SplitMix64) -> Double) {
    var generator = generator
    for i in tensor.float32.indices { tensor.float32[i] = Float(draw(&generator)) }
  }

  private func copy(_ value: JSONValue, stretched: Bool, to tensor: Tensor) throws {
    let array = try JSONArray(value, what: className)
    guard stretched || array.shape == tensor.shape else {
      throw XferError.shape("an array of shape \(array.shape) is given for a weight of shape \(tensor.shape)")
    }
    let lead = tensor.shape.count - array.shape.count
    guard lead >= 0, zip(array.shape, tensor.shape.dropFirst(lead)).allSatisfy({ $0 == 1 || $0 == $1 }) else {
      throw XferError.shape("\(className): a value of shape \(array.shape) cannot fill a weight of shape \(tensor.shape)")
    }
    var steps = Array(repeating: 0, count: tensor.shape.count)
    var step = 1
    for axis in array.shape.indices.reversed() {
      steps[lead + axis] = array.shape[axis] == 1 ? 0 : step
      step *= array.shape[axis]
    }
    for i in 0..<tensor.count {
      var (rest, from) = (i, 0)
      for axis in tensor.shape.indices.reversed() {
        from += rest % tensor.shape[axis] * steps[axis]
        rest /= tensor.shape[axis]
      }
      tensor.float32[i] = Float(array.values[from])
    }
  }

  /// Rows or columns of length one at right angles (Saxe, McClelland & Ganguli 2014): random columns, each freed of its
  /// part along those before it, twice against rounding. That is the Q of a QR decomposition whose R has a positive diagonal.
  private func fillOrthogonal(_ tensor: Tensor, _ gain: Double) throws {
    let shape = tensor.shape
    guard shape.count >= 2 else {
      throw XferError.shape("Orthogonal makes tensors of rank 2 or above, a weight of shape \(shape) was asked for")
    }
    let (rows, columns) = (shape.dropLast().reduce(1, *), shape[shape.count - 1])
    let (length, count) = (max(rows, columns), min(rows, columns))
    var generator = generator
    var basis: [[Double]] = []
    while basis.count < count {
      var vector = (0..<length).map { _ in generator.normal() }
      for _ in 0..<2 {
        for known in basis {
          let along = zip(vector, known).reduce(0) { $0 + $1.0 * $1.1 }
          for i in vector.indices { vector[i] -= along * known[i] }
        }
      }
      let norm = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
      // A draw that lies in the span of the others by chance is drawn again.
      if norm > 1e-6 { basis.append(vector.map { $0 / norm }) }
    }
    for row in 0..<rows {
      for column in 0..<columns {
        tensor.float32[row * columns + column] = Float(gain * (rows < columns ? basis[row][column] : basis[column][row]))
      }
    }
  }
}

/// Nested lists of numbers with their shape.
struct JSONArray {
  var shape: [Int]
  var values: [Double] = []

  init(_ json: JSONValue, what: String) throws {
    // Arrays as Keras serializes them: {"class_name":"__numpy__","config":{"value":[…],"dtype":…}}.
    let json = json["config"]?["value"] ?? json
    shape = []
    var level = json
    while let list = level.arrayValue {
      shape.append(list.count)
      guard let first = list.first, shape.count <= 8 else { break }
      level = first
    }
    try read(json, 0, what)
  }

  private mutating func read(_ json: JSONValue, _ depth: Int, _ what: String) throws {
    if depth == shape.count, let number = json.doubleValue ?? json.boolValue.map({ $0 ? 1 : 0 }) {
      values.append(number)
    } else if depth < shape.count, let list = json.arrayValue, list.count == shape[depth] {
      for element in list { try read(element, depth + 1, what) }
    } else {
      throw XferError.invalid("\(what): a number or a full array of numbers is wanted, \(json.text().prefix(80)) was given")
    }
  }
}
