import XferCore
import XferGraph

/// The weight files Keras 1 and 2 wrote, also for a whole model: an attribute `layer_names` and a group per layer with `weight_names`.
///
/// Layers go by order, those without weights left out. Within a layer the file's names say which weight a value is for: values lie
/// as trainable then non-trainable at the time of saving, so for a nested model that was frozen then their order says nothing now.
struct LegacyWeights {
  private struct Entry {
    let layer: String
    /// Full paths of the data sets, and the names they go by.
    let paths: [String]
    let names: [String]
  }

  private let file: H5File
  private let entries: [Entry]

  /// The group that holds the layers, nil when the file is of another kind.
  static func root(of file: H5File) throws -> String? {
    for root in ["/", "/model_weights"] where root == "/" || file.exists(root) {
      if try file.strings(root, "layer_names") != nil { return root }
    }
    return nil
  }

  init(_ file: H5File, root: String) throws {
    self.file = file
    let layers = try file.strings(root, "layer_names") ?? []
    let folder = root == "/" ? "" : root
    entries = try layers.map { layer in
      let names = try file.strings("\(folder)/\(layer)", "weight_names") ?? []
      return Entry(layer: layer, paths: names.map { "\(folder)/\(layer)/\($0)" }, names: names)
    }.filter { !$0.names.isEmpty }
  }

  func offer(to model: Model, _ transfer: inout WeightTransfer, byName: Bool) throws {
    let layers = model.layers.filter { !$0.fileWeights.isEmpty }
    guard !byName else { return try offerByName(to: layers, &transfer) }
    guard layers.count == entries.count else {
      throw XferError.shape(
        "\(transfer.path) has \(entries.count) layers with weights, model '\(model.name)' has \(layers.count); "
          + "by_name loads those of equal names")
    }
    for (layer, entry) in zip(layers, entries) { try offer(entry, to: layer, &transfer) }
  }

  private func offerByName(to layers: [Layer], _ transfer: inout WeightTransfer) throws {
    var waiting = layers
    for entry in entries {
      if let index = waiting.firstIndex(where: { $0.name == WeightNames.plain(entry.layer) }) {
        try offer(entry, to: waiting.remove(at: index), &transfer)
      } else {
        transfer.skip(entry.names)
      }
    }
    for layer in waiting { transfer.miss(layer.fileWeights) }
  }

  private func offer(_ entry: Entry, to layer: Layer, _ transfer: inout WeightTransfer) throws {
    let owners = layer.allLayers.filter { !$0.ownFileWeights.isEmpty }
    guard entry.names.count == layer.fileWeights.count else {
      return transfer.mismatch(
        layer.fileWeights, "layer '\(layer.name)' has \(layer.fileWeights.count) weights, '\(entry.layer)' of the file \(entry.names.count)"
      )
    }
    guard owners.count > 1 || owners.first !== layer else {
      return try offer(entry, Array(entry.names.indices), to: layer.ownFileWeights, &transfer)
    }
    // A nested model or a wrapper: by whole paths where they tell, else first which layer of it, then which weight.
    let weights = layer.fileWeights
    if let places = byPath(entry.names, weights.map(\.path)) {
      for (weight, index) in zip(weights, places) { try offer(entry, [index], to: [weight], &transfer) }
      return
    }
    let groups = grouped(entry.names)
    let groupNames = WeightNames.stable(groups.map(\.layer))
    let ownerNames = WeightNames.stable(owners.map(\.name))
    for owner in owners {
      let wanted = ownerNames[owner.name]
      guard let group = groups.first(where: { groupNames[$0.layer] == wanted }), group.indices.count == owner.ownFileWeights.count else {
        let complaint = "'\(entry.layer)' of the file has no layer '\(owner.name)' with \(owner.ownFileWeights.count) weights"
        transfer.mismatch(owner.ownFileWeights, complaint)
        continue
      }
      try offer(entry, group.indices, to: owner.ownFileWeights, &transfer)
    }
  }

  /// Which name each path means, when that is certain for all of them. Of two paths the longer one may begin with outer models' names.
  private func byPath(_ names: [String], _ paths: [String]) -> [Int]? {
    func keys(_ names: [String]) -> [[String]] {
      let split = names.map { name in
        let (layer, weight) = WeightNames.parts(name)
        return (layers: layer.split(separator: "/").map(String.init), weight: weight)
      }
      let stable = WeightNames.stable(split.flatMap(\.layers))
      return split.map { $0.layers.map { stable[$0] ?? $0 } + [$0.weight] }
    }
    let (known, wanted) = (keys(names), keys(paths))
    var left = Array(known.indices)
    var result: [Int] = []
    for path in wanted {
      let matches = left.filter { index in
        let length = min(path.count, known[index].count)
        return length > 1 && path.suffix(length).elementsEqual(known[index].suffix(length))
      }
      guard matches.count == 1 else { return nil }
      left.removeAll { $0 == matches[0] }
      result.append(matches[0])
    }
    return result
  }

  private func offer(_ entry: Entry, _ indices: [Int], to weights: [Variable], _ transfer: inout WeightTransfer) throws {
    let places = WeightNames.match(indices.map { entry.names[$0] }, to: weights.map(\.name))
    for (weight, place) in zip(weights, places) {
      let index = indices[place]
      let path = entry.paths[index]
      transfer.offer(weight, entry.names[index], shape: try file.describe(path).shape) { [file] in try file.read(path) }
    }
  }

  /// Indices of weight names by the layer they name: the last part of the path before the weight.
  private func grouped(_ names: [String]) -> [(layer: String, indices: [Int])] {
    var order: [String] = []
    var groups: [String: [Int]] = [:]
    for (index, name) in names.enumerated() {
      let path = WeightNames.parts(name).layer
      let layer = path.split(separator: "/").last.map(String.init) ?? path
      if groups[layer] == nil { order.append(layer) }
      groups[layer, default: []].append(index)
    }
    return order.map { ($0, groups[$0] ?? []) }
  }
}

extension Layer {
  /// The weights files have values for: without the factors of LoRA.
  fileprivate var fileWeights: [Variable] { weights.filter { !$0.isFactor } }
  fileprivate var ownFileWeights: [Variable] { ownWeights.filter { !$0.isFactor } }
}
