import XferCore
import XferGraph

/// Names of a model's weights in a file of tensors by name.
enum WeightKeys {
  /// Weight paths ("dense/kernel"). Where two nested models hold the same path, the models' names come before it.
  static func of(_ model: Model) -> [(key: String, variable: Variable)] {
    var found: [(prefix: String, variable: Variable)] = []
    var seen: Set<ObjectIdentifier> = []
    func visit(_ layer: Layer, _ prefix: String) {
      for weight in layer.ownWeights where !weight.isFactor && seen.insert(ObjectIdentifier(weight)).inserted {
        found.append((prefix, weight))
      }
      for inner in layer.sublayers { visit(inner, inner is Model ? "\(prefix)\(inner.name)/" : prefix) }
    }
    visit(model, "")
    let counts = Dictionary(found.map { ($0.variable.path, 1) }, uniquingKeysWith: +)
    return found.map { (counts[$0.variable.path] == 1 ? $0.variable.path : $0.prefix + $0.variable.path, $0.variable) }
  }

  /// The names with those of automatic layers counted anew, so that they do not depend on what else the process has made.
  static func plain(_ keys: [String]) -> [String] {
    let names = WeightNames.stable(keys.flatMap { WeightNames.parts($0).layer.split(separator: "/").map(String.init) })
    return keys.map { plain($0, names) }
  }

  private static func plain(_ key: String, _ names: [String: String]) -> String {
    let (layer, weight) = WeightNames.parts(key)
    return (layer.split(separator: "/").map { names[String($0)] ?? String($0) } + [weight]).joined(separator: "/")
  }

  /// Offers the tensors of a file to the weights of equal names. Automatic layer names may count from another number.
  static func offer(_ file: SafetensorsFile, to model: Model, _ transfer: inout WeightTransfer, byName: Bool) throws {
    let keys = of(model)
    let exact = byName || keys.allSatisfy { file.entries[$0.key] != nil }
    func layers(_ keys: some Sequence<String>) -> [String] {
      keys.flatMap { WeightNames.parts($0).layer.split(separator: "/").map(String.init) }
    }
    let fileNames = exact ? [:] : WeightNames.stable(layers(file.names))
    let modelNames = exact ? [:] : WeightNames.stable(layers(keys.map(\.key)))
    var left = Dictionary(file.names.map { (plain($0, fileNames), $0) }) { first, _ in first }
    for (key, variable) in keys {
      if let name = left.removeValue(forKey: plain(key, modelNames)), let entry = file.entries[name] {
        transfer.offer(variable, name, shape: entry.shape) { try file.tensor(name) }
      } else {
        transfer.miss([variable])
      }
    }
    // Layers the model does not have, as a classifier's, are passed over; a weight too many in one it has is not.
    let known = Set(keys.map { WeightNames.parts(plain($0.key, modelNames)).layer })
    for (key, name) in left.sorted(by: { $0.value < $1.value }) {
      if !byName, known.contains(WeightNames.parts(key).layer) {
        transfer.mismatch([], "the file has '\(name)', the model's layer has no such weight")
      }
      transfer.skip([name])
    }
  }
}
