public import XferCore

/// Named numbers in order.
public struct Logs: Sendable {
  public private(set) var items: [(name: String, value: Double)] = []
  public init() {}
  public subscript(name: String) -> Double? { items.first { $0.name == name }?.value }
  /// Puts a number under a name, at the end if the name is new.
  public mutating func set(_ name: String, _ value: Double) {
    if let index = items.firstIndex(where: { $0.name == name }) {
      items[index].value = value
    } else {
      items.append((name, value))
    }
  }
  public var names: [String] { items.map(\.name) }
  public var json: JSONValue { .object(Dictionary(items.map { ($0.name, .double($0.value)) }) { $1 }) }
}

/// What happened in training: one number an epoch for each name.
public struct History: Sendable {
  public internal(set) var values: [String: [Double]] = [:]
  /// Names in the order Keras prints them.
  public internal(set) var names: [String] = []
  public internal(set) var epochs: [Int] = []
  public internal(set) var seconds: [Double] = []

  public init() {}

  public var json: JSONValue { .object(values.mapValues { .array($0.map { .double($0) }) }) }

  mutating func append(_ epoch: Int, _ logs: Logs, seconds: Double) {
    epochs.append(epoch)
    self.seconds.append(seconds)
    for (name, value) in logs.items {
      if values[name] == nil { names.append(name) }
      values[name, default: []].append(value)
    }
  }
}
