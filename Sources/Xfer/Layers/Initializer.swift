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
public enum Initializer: Sendable, Equatable {
  case zeros, ones
  case constant(Double)
  case glorotUniform, glorotNormal, heUniform, heNormal, lecunUniform, lecunNormal
  case randomUniform(min: Double, max: Double)
  case randomNormal(mean: Double, stddev: Double)

  private static let names: [String: Initializer] = [
    "zeros": .zeros, "ones": .ones, "glorot_uniform": .glorotUniform, "glorot_normal": .glorotNormal, "he_uniform": .heUniform,
    "he_normal": .heNormal, "lecun_uniform": .lecunUniform, "lecun_normal": .lecunNormal,
    "random_uniform": .randomUniform(min: -0.05, max: 0.05), "random_normal": .randomNormal(mean: 0, stddev: 0.05),
    "constant": .constant(0),
  ]
  private static let classes = [
    "Zeros": "zeros", "Ones": "ones", "GlorotUniform": "glorot_uniform", "GlorotNormal": "glorot_normal", "HeUniform": "he_uniform",
    "HeNormal": "he_normal", "LecunUniform": "lecun_uniform", "LecunNormal": "lecun_normal", "RandomUniform": "random_uniform",
    "RandomNormal": "random_normal", "Constant": "constant",
  ]

  /// From a config value: "glorot_uniform", "GlorotUniform" or {"class_name":…,"config":{…}}.
  init(_ json: JSONValue?, default fallback: Initializer, layer: String) throws {
    guard let json else {
      self = fallback
      return
    }
    let name = json.stringValue ?? json["class_name"]?.stringValue ?? ""
    guard let found = Self.names[name] ?? Self.classes[name].flatMap({ Self.names[$0] }) else {
      throw XferError.invalid("\(layer): unknown initializer '\(name)'\(hint(name, among: Array(Self.names.keys) + Array(Self.classes.keys)))")
    }
    let config = json["config"]
    func number(_ key: String, _ value: Double) -> Double { config?[key]?.doubleValue ?? value }
    switch found {
    case .constant: self = .constant(number("value", 0))
    case .randomUniform(let low, let high): self = .randomUniform(min: number("minval", low), max: number("maxval", high))
    case .randomNormal(let mean, let deviation): self = .randomNormal(mean: number("mean", mean), stddev: number("stddev", deviation))
    default: self = found
    }
  }

  /// The config as Keras writes it.
  var config: JSONValue {
    func of(_ name: String, _ config: JSONValue) -> JSONValue {
      ["module": "keras.initializers", "class_name": .string(name), "config": config, "registered_name": nil]
    }
    switch self {
    case .zeros: return of("Zeros", [:])
    case .ones: return of("Ones", [:])
    case .constant(let value): return of("Constant", ["value": .double(value)])
    case .glorotUniform: return of("GlorotUniform", ["seed": nil])
    case .glorotNormal: return of("GlorotNormal", ["seed": nil])
    case .heUniform: return of("HeUniform", ["seed": nil])
    case .heNormal: return of("HeNormal", ["seed": nil])
    case .lecunUniform: return of("LecunUniform", ["seed": nil])
    case .lecunNormal: return of("LecunNormal", ["seed": nil])
    case .randomUniform(let low, let high): return of("RandomUniform", ["minval": .double(low), "maxval": .double(high), "seed": nil])
    case .randomNormal(let mean, let deviation):
      return of("RandomNormal", ["mean": .double(mean), "stddev": .double(deviation), "seed": nil])
    }
  }

  /// A new float32 tensor. Fans follow Keras' `compute_fans`: the receptive field times the last two dimensions.
  func make(_ shape: [Int]) throws -> Tensor {
    let tensor = try Tensor(zeros: shape)
    let field = shape.dropLast(2).reduce(1, *)
    let fanIn = Double(shape.count < 2 ? shape.first ?? 1 : field * shape[shape.count - 2])
    let fanOut = Double(shape.count < 2 ? shape.first ?? 1 : field * shape[shape.count - 1])
    switch self {
    case .zeros: break
    case .ones: tensor.float32.update(repeating: 1)
    case .constant(let value): tensor.float32.update(repeating: Float(value))
    case .glorotUniform: uniform(tensor, (6 / (fanIn + fanOut)).squareRoot())
    case .heUniform: uniform(tensor, (6 / fanIn).squareRoot())
    case .lecunUniform: uniform(tensor, (3 / fanIn).squareRoot())
    case .glorotNormal: truncatedNormal(tensor, (2 / (fanIn + fanOut)).squareRoot())
    case .heNormal: truncatedNormal(tensor, (2 / fanIn).squareRoot())
    case .lecunNormal: truncatedNormal(tensor, (1 / fanIn).squareRoot())
    case .randomUniform(let low, let high): fill(tensor) { low + (high - low) * $0.uniform() }
    case .randomNormal(let mean, let deviation): fill(tensor) { mean + deviation * $0.normal() }
    }
    return tensor
  }

  private func uniform(_ tensor: Tensor, _ limit: Double) { fill(tensor) { limit * (2 * $0.uniform() - 1) } }

  /// Normal within two deviations, widened so that the deviation comes out as asked, as Keras' VarianceScaling does.
  private func truncatedNormal(_ tensor: Tensor, _ deviation: Double) {
    fill(tensor) { generator in
      while true {
        let value = generator.normal()
        if abs(value) <= 2 { return value * deviation / 0.87962566103423978 }
      }
    }
  }

  private func fill(_ tensor: Tensor, _ draw: (inout SplitMix64) -> Double) {
    var generator = SplitMix64(seed: RandomSeed.next())
    for i in tensor.float32.indices { tensor.float32[i] = Float(draw(&generator)) }
  }
}
