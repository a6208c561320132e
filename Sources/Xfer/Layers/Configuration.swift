public import XferCore

/// Reads a Keras config object key by key and, at the end, refuses what nobody asked for.
public struct Configuration {
  /// The class the config is for; names errors.
  public let className: String
  private let values: [String: JSONValue]
  private var known: Set<String> = []

  public init(_ json: JSONValue, for className: String) throws {
    guard let values = json.objectValue ?? (json.isNull ? [:] : nil) else {
      throw XferError.invalid("\(className): the config is to be a JSON object, \(json.text()) was given")
    }
    self.className = className
    self.values = values
  }

  /// The value under a key, nil when it is missing or null.
  public mutating func value(_ key: String) -> JSONValue? {
    known.insert(key)
    // Spelled out: a bare `nil` in an expression of JSONValue would be JSON's null, which is a value.
    guard let value = values[key], !value.isNull else { return nil }
    return value
  }

  /// Whether the key is there, be it null.
  func has(_ key: String) -> Bool { values[key] != nil }

  public mutating func int(_ key: String, _ fallback: Int) throws -> Int {
    guard let value = value(key) else { return fallback }
    return try value.intValue ?? { throw wrong(key, "a whole number", value) }()
  }

  public mutating func double(_ key: String, _ fallback: Double) throws -> Double {
    guard let value = value(key) else { return fallback }
    return try value.doubleValue ?? { throw wrong(key, "a number", value) }()
  }

  public mutating func bool(_ key: String, _ fallback: Bool) throws -> Bool {
    guard let value = value(key) else { return fallback }
    return try value.boolValue ?? { throw wrong(key, "true or false", value) }()
  }

  public mutating func string(_ key: String, _ fallback: String) throws -> String {
    guard let value = value(key) else { return fallback }
    return try value.stringValue ?? { throw wrong(key, "a string", value) }()
  }

  /// Windows, strides, paddings beyond it are a mistake or an attack: sums of them must not overflow.
  static let sane = -1_048_576...1_048_576

  /// A pair given as [h, w] or as one number for both.
  public mutating func pair(_ key: String, _ fallback: (Int, Int)) throws -> (Int, Int) {
    guard let value = value(key) else { return fallback }
    let list = value.intValue.map { [$0, $0] } ?? value.arrayValue?.compactMap(\.intValue) ?? []
    guard list.count == 2, list.allSatisfy({ Self.sane ~= $0 }) else {
      throw wrong(key, "a whole number or two of them, up to \(Self.sane.upperBound)", value)
    }
    return (list[0], list[1])
  }

  /// Whole numbers given as a list or as a single one; nil when missing or null.
  public mutating func integers(_ key: String) throws -> [Int]? {
    guard let value = value(key) else { return nil }
    if let single = value.intValue { return [single] }
    let list = value.arrayValue?.compactMap(\.intValue) ?? []
    guard list.count == value.arrayValue?.count, list.allSatisfy({ Self.sane ~= $0 }) else {
      throw wrong(key, "a whole number or a list of them", value)
    }
    return list
  }

  /// Refuses a null that was written out, where Keras wants a value.
  public mutating func refuseNull(_ keys: String...) throws {
    known.formUnion(keys)
    for key in keys where values[key]?.isNull == true {
      throw XferError.invalid("\(className): '\(key)' is to have a value, null was given")
    }
  }

  public mutating func required(_ key: String) throws -> Int {
    guard value(key) != nil else { throw XferError.invalid("\(className): '\(key)' is required") }
    let number = try int(key, 0)
    guard number > 0 else { throw XferError.invalid("\(className): '\(key)' is to be above 0, \(number) was given") }
    return number
  }

  /// Marks keys as known whose value makes no difference here.
  public mutating func ignore(_ keys: String...) { known.formUnion(keys) }

  /// Refuses a key unless it is missing or null: a feature this class does not have.
  public mutating func refuse(_ keys: String...) throws {
    for key in keys {
      if let value = value(key) { throw XferError.unsupported("\(className): '\(key)' = \(value.text()) is not supported") }
    }
  }

  /// Throws for keys nobody read, with the nearest known one.
  public func finish() throws {
    if let stray = values.keys.filter({ !known.contains($0) }).sorted().first {
      throw XferError.invalid("\(className): unknown argument '\(stray)'\(hint(stray, among: known.sorted()))")
    }
  }

  public func wrong(_ key: String, _ wanted: String, _ given: JSONValue) -> XferError {
    XferError.invalid("\(className): '\(key)' is to be \(wanted), \(given.text()) was given")
  }
}
