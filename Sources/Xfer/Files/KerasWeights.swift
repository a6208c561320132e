import XferCore
import XferGraph

/// The weights of Keras 3 (`model.weights.h5` in a `.keras` file): `layers/<class>/vars/<i>`, nested models within.
///
/// The groups are called after the classes ("dense", "dense_1" within each model; `saving_lib._save_container_state`), not after the
/// layers, whose names may differ from process to process; an attribute `name` of each `vars` gives the layer's. What a layer keeps in
/// objects within lies in groups called after the attributes ("forward_layer", "cell").
enum KerasWeights {
  static func write(_ model: Model, to file: H5File) throws {
    var seen: Set<ObjectIdentifier> = []
    func visit(_ layer: Layer, _ group: String) throws {
      guard seen.insert(ObjectIdentifier(layer)).inserted else { return }
      let parts = layer.weightGroups
      for (part, weights) in parts.contains(where: { $0.group.isEmpty }) ? parts : [(group: "", weights: [])] + parts {
        let vars = "\(group)\(part.isEmpty ? "" : "/\(part)")/vars"
        try file.createGroup(vars)
        try file.setStrings(vars, "name", [part.isEmpty ? layer.name : part], scalar: true)
        for (index, weight) in weights.enumerated() { try file.write("\(vars)/\(index)", weight.stored()) }
      }
      for (inner, name) in children(of: layer) { try visit(inner, "\(group)/\(name)") }
    }
    try visit(model, "")
  }

  /// Whether a file is of this kind.
  static func recognizes(_ file: H5File) -> Bool { file.exists("/layers") || file.exists("/_layer_checkpoint_dependencies") }

  /// Offers the file's values to the weights of the model. With `byName` only layers whose names the file has get theirs.
  static func offer(_ file: H5File, to model: Model, _ transfer: inout WeightTransfer, byName: Bool = false) throws {
    var seen: Set<ObjectIdentifier> = []
    func visit(_ layer: Layer, _ groups: [String]) throws {
      guard seen.insert(ObjectIdentifier(layer)).inserted else { return }
      for (part, weights) in layer.weightGroups where !weights.isEmpty {
        let inner = part.isEmpty ? "vars" : "\(part)/vars"
        try offer(weights, of: layer, groups.map { "\($0)/\(inner)" }.first { file.exists($0) }, file, &transfer)
      }
      if byName, layer is Model {
        try visitByName(layer, groups)
      } else {
        for (inner, name) in children(of: layer) { try visit(inner, try place(of: inner, name, in: groups, file)) }
      }
    }
    /// Layers by the `name` attribute the groups of the file have.
    func visitByName(_ model: Layer, _ groups: [String]) throws {
      var named: [String: String] = [:]
      for folder in groups.flatMap({ ["\($0)/layers", "\($0)/_layer_checkpoint_dependencies"] }) where file.exists(folder) {
        for member in try file.members(folder) where member.kind == .group && file.exists("\(folder)/\(member.name)/vars") {
          if let name = try file.strings("\(folder)/\(member.name)/vars", "name")?.first { named[name] = "\(folder)/\(member.name)" }
        }
      }
      for layer in model.sublayers {
        if let group = named.removeValue(forKey: layer.name) {
          try visit(layer, [group])
        } else if seen.insert(ObjectIdentifier(layer)).inserted {
          transfer.miss(layer.weights)
        }
      }
      for group in named.values.sorted() {
        let names = try file.members("\(group)/vars").filter { $0.kind == .dataset }.map { "\(group)/vars/\($0.name)" }
        transfer.skip(names)
      }
    }
    try visit(model, [""])
  }

  private static func offer(
    _ weights: [Variable], of layer: Layer, _ vars: String?, _ file: H5File, _ transfer: inout WeightTransfer
  ) throws {
    guard let vars else { return transfer.miss(weights) }
    let members = try file.members(vars).filter { $0.kind == .dataset }.count
    guard members == weights.count else {
      return transfer.mismatch(weights, "layer '\(layer.name)' has \(weights.count) weights, '\(vars)' of the file \(members)")
    }
    for (index, weight) in weights.enumerated() {
      let path = "\(vars)/\(index)"
      guard file.exists(path) else {
        transfer.miss([weight])
        continue
      }
      transfer.offer(weight, path, shape: try file.describe(path).shape) { try file.read(path) }
    }
  }

  /// The groups a layer may lie in: under its class' name as Keras has it, under its own name, or in the folder of Keras 2.13. Of two that
  /// are there, the one that tells the layer's name comes first.
  private static func place(of layer: Layer, _ name: String, in groups: [String], _ file: H5File) throws -> [String] {
    var candidates: [String] = []
    for group in groups {
      candidates.append("\(group)/\(name)")
      if name.hasPrefix("layers/") {
        candidates.append("\(group)/layers/\(layer.name)")
        candidates.append("\(group)/_layer_checkpoint_dependencies/\(name.dropFirst("layers/".count))")
      }
    }
    let found = candidates.filter { file.exists($0) }
    guard found.count > 1 else { return found }
    let named = try found.filter { file.exists("\($0)/vars") ? try file.strings("\($0)/vars", "name") == [layer.name] : false }
    return named + found.filter { !named.contains($0) }
  }

  /// The layers within with the names of their groups.
  private static func children(of layer: Layer) -> [(layer: Layer, group: String)] {
    let names = LocalNames()
    return layer.sublayers.map { ($0, layer.attribute(of: $0) ?? "layers/\(names.next(AutomaticName.snakeCase(type(of: $0).className)))") }
  }
}
