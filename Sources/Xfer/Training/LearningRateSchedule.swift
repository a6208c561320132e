import Glibc
public import XferCore

/// A learning rate as a function of the steps taken. Names, formulas and defaults are Keras'.
public struct LearningRateSchedule: Sendable {
  public let className: String
  private let ownConfig: [String: JSONValue]
  private let value: @Sendable (Double) throws -> Double

  /// The rate for step `step` (0, 1, …).
  public func callAsFunction(_ step: Double) throws -> Double { try value(step) }

  /// A function of the program's own. Its config is the rate at step 0.
  public static func function(_ value: @escaping @Sendable (Double) throws -> Double) -> LearningRateSchedule {
    LearningRateSchedule(className: "", ownConfig: [:], value: value)
  }

  /// The config as Keras writes it.
  public var config: JSONValue {
    guard !className.isEmpty else { return .double((try? value(0)) ?? 0) }
    return ["module": "keras.optimizers.schedules", "class_name": .string(className), "config": .object(ownConfig), "registered_name": nil]
  }

  static let names = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay", "PolynomialDecay",
  ]

  /// From {"class_name":…,"config":{…}}.
  public init(_ json: JSONValue) throws {
    try self.init(className: json["class_name"]?.stringValue ?? "", config: json["config"] ?? .object([:]))
  }

  public init(className: String, config json: JSONValue) throws {
    var config = try Configuration(json, for: className)
    func initial() throws -> Double {
      guard config.value("initial_learning_rate") != nil else {
        throw XferError.invalid("\(className): 'initial_learning_rate' is required")
      }
      return try config.double("initial_learning_rate", 0)
    }
    func steps(_ key: String) throws -> Double {
      guard config.value(key) != nil else { throw XferError.invalid("\(className): '\(key)' is required") }
      let number = try config.double(key, 0)
      guard number > 0 else { throw XferError.invalid("\(className): '\(key)' is to be above 0, \(number) was given") }
      return number
    }
    /// Keeps whole numbers whole, as Keras does.
    func kept(_ keys: [String: JSONValue]) -> [String: JSONValue] { keys.merging(json.objectValue ?? [:]) { $1 } }

    switch className {
    case "ExponentialDecay", "InverseTimeDecay":
      let (first, span, staircase) = (try initial(), try steps("decay_steps"), try config.bool("staircase", false))
      guard config.value("decay_rate") != nil else { throw XferError.invalid("\(className): 'decay_rate' is required") }
      let rate = try config.double("decay_rate", 1)
      let name = try config.string("name", className)
      let exponential = className == "ExponentialDecay"
      value = { step in
        let p = staircase ? floor(step / span) : step / span
        return exponential ? first * pow(rate, p) : first / (1 + rate * p)
      }
      ownConfig = kept(["staircase": .bool(staircase), "name": .string(name)])
    case "PiecewiseConstantDecay":
      func list(_ key: String) throws -> [Double] {
        guard let given = config.value(key) else { throw XferError.invalid("\(className): '\(key)' is required") }
        guard let list = given.arrayValue, case let numbers = list.compactMap(\.doubleValue), numbers.count == list.count else {
          throw config.wrong(key, "a list of numbers", given)
        }
        return numbers
      }
      let (boundaries, values) = (try list("boundaries"), try list("values"))
      guard boundaries.count == values.count - 1, !boundaries.isEmpty else {
        throw XferError.invalid(
          "\(className): 'boundaries' is to have one number less than 'values', \(boundaries.count) and \(values.count) were given")
      }
      let name = try config.string("name", "PiecewiseConstant")
      value = { step in values[boundaries.firstIndex { step <= $0 } ?? boundaries.count] }
      ownConfig = kept(["name": .string(name)])
    case "PolynomialDecay":
      let (first, span, last) = (try initial(), try steps("decay_steps"), try config.double("end_learning_rate", 1e-4))
      let (power, cycle, name) = (try config.double("power", 1), try config.bool("cycle", false), try config.string("name", className))
      value = { step in
        let full = cycle ? span * (step == 0 ? 1 : ceil(step / span)) : span
        return (first - last) * pow(1 - min(step, full) / full, power) + last
      }
      ownConfig = kept(["end_learning_rate": .double(last), "power": .double(power), "cycle": .bool(cycle), "name": .string(name)])
    case "CosineDecay":
      let (first, span, alpha) = (try initial(), try steps("decay_steps"), try config.double("alpha", 0))
      let (target, warmup, name) = (
        try config.number("warmup_target"), try config.double("warmup_steps", 0), try config.string("name", className)
      )
      value = { step in
        let begin = target == nil ? 0 : warmup
        if let target, step < warmup { return (target - first) * step / warmup + first }
        let fraction = min(step - begin, span) / span
        return (target ?? first) * ((1 - alpha) * 0.5 * (1 + cos(.pi * fraction)) + alpha)
      }
      ownConfig = kept([
        "alpha": .double(alpha), "warmup_target": .optional(target), "warmup_steps": .double(warmup), "name": .string(name),
      ])
    case "CosineDecayRestarts":
      let (first, span, alpha) = (try initial(), try steps("first_decay_steps"), try config.double("alpha", 0))
      let (longer, lower, name) = (try config.double("t_mul", 2), try config.double("m_mul", 1), try config.string("name", "SGDRDecay"))
      value = { step in
        var fraction = step / span
        let restarts: Double
        if longer == 1 {
          restarts = floor(fraction)
          fraction -= restarts
        } else {
          restarts = floor(log(1 - fraction * (1 - longer)) / log(longer))
          fraction = (fraction - (1 - pow(longer, restarts)) / (1 - longer)) / pow(longer, restarts)
        }
        return first * ((1 - alpha) * 0.5 * pow(lower, restarts) * (1 + cos(.pi * fraction)) + alpha)
      }
      ownConfig = kept(["alpha": .double(alpha), "t_mul": .double(longer), "m_mul": .double(lower), "name": .string(name)])
    default: throw XferError.notFound("unknown learning rate schedule '\(className)'\(hint(className, among: Self.names))")
    }
    self.className = className
    try config.finish()
  }

  private init(className: String, ownConfig: [String: JSONValue], value: @escaping @Sendable (Double) throws -> Double) {
    (self.className, self.ownConfig, self.value) = (className, ownConfig, value)
  }
}
