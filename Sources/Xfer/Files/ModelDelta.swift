public import XferCore
import XferGraph

/// A file with what training changed of a model that was pretrained: a `.safetensors` file of the weights whose values are not those that came
/// from a file, of LoRA's matrices, and of digests of all other weights. With a frozen base it is as small as the head.
enum ModelDelta {
  private static let format = "xfer-delta"

  static func isDelta(_ file: SafetensorsFile) -> Bool { file.metadata["format"] == format }

  // MARK: Saving

  static func write(_ model: Model, to path: String) throws {
    var tensors: [(name: String, tensor: Tensor)] = []
    var (weights, adapters): ([JSONValue], [String: JSONValue]) = ([], [:])
    for (key, variable) in WeightKeys.of(model) {
      let digest = variable.isAsLoaded ? JSONValue.string(variable.digest.text) : .null
      weights.append(["key": .string(key), "shape": .array(variable.shape.map { .int($0) }), "digest": digest])
      if digest.isNull { tensors.append((key, variable.tensor)) }
      for factor in variable.lowRank.map({ [$0.a, $0.b] }) ?? [] { tensors.append((name(of: factor, beside: key), factor.tensor)) }
    }
    for layer in model.allLayers {
      if let lora = layer.lora, let weight = layer.adaptable { adapters[try self.key(of: weight, in: model)] = lora.arguments }
    }
    let facts: [String: String] = [
      "format": format, "weights": JSONValue.array(weights).text(), "lora": JSONValue.object(adapters).text(),
      "model": model.toJSON(), "metadata": JSONValue.object(model.metadata).text(),
    ]
    try SafetensorsFile.write(tensors, metadata: facts, to: path)
  }

  /// "dense/kernel" → "dense/lora_kernel_a".
  private static func name(of factor: Variable, beside key: String) -> String {
    (key.split(separator: "/", omittingEmptySubsequences: false).dropLast().map(String.init) + [factor.name]).joined(separator: "/")
  }

  private static func key(of weight: Variable, in model: Model) throws -> String {
    try WeightKeys.of(model).first { $0.variable === weight }?.key
      ?? { throw XferError.internal("the weight '\(weight.path)' has no name in a file") }()
  }

  // MARK: Loading

  /// One weight of the model the file was made from.
  private struct Entry {
    let key: String
    let shape: [Int]
    /// Nil where the file has the values.
    let digest: String?

    init(_ json: JSONValue, _ path: String) throws {
      guard let key = json["key"]?.stringValue, let dims = json["shape"]?.arrayValue, let digest = json["digest"] else {
        throw XferError.format("\(path) is damaged: its list of weights has \(json.text())")
      }
      (self.key, shape, self.digest) = (key, dims.compactMap(\.intValue), digest.stringValue)
    }
  }

  private static func open(_ path: String) throws -> (file: SafetensorsFile, entries: [Entry]) {
    let file = try SafetensorsFile(path)
    guard isDelta(file), let list = file.metadata["weights"] else {
      throw XferError.format("\(path) is no delta: save_delta makes those; load_weights reads other files")
    }
    return (file, try (JSONValue(parsing: list, what: "the list of weights in \(path)").arrayValue ?? []).map { try Entry($0, path) })
  }

  /// Puts the file's values into a model that has the values it was made from. Nothing has changed when it throws.
  static func read(_ path: String, into model: Model) throws {
    let (file, entries) = try open(path)
    let weights = WeightKeys.of(model)
    guard entries.count == weights.count else {
      throw XferError.shape("\(path) was made from a model of \(entries.count) weights, '\(model.name)' has \(weights.count)")
    }
    for (entry, weight) in zip(entries, weights)
    where entry.shape != weight.variable.shape || WeightNames.parts(entry.key).weight != weight.variable.name {
      throw XferError.shape(
        "\(path) was made from another model: where that has '\(entry.key)' of shape \(entry.shape), '\(model.name)' has '\(weight.key)' of shape "
          + "\(weight.variable.shape)")
    }
    let other = zip(entries, weights).filter { entry, weight in entry.digest.map { $0 != weight.variable.digest.text } ?? false }
    if let first = other.first {
      throw XferError.state(
        "\(path) was made from another base: '\(first.1.key)'\(other.count > 1 ? " and \(other.count - 1) more" : "") had other values there; "
          + "load the same pretrained weights first")
    }
    let adapters = try loras(file, entries, weights.map(\.variable), model)
    var values: [(variable: Variable, value: Tensor)] = []
    for (entry, weight) in zip(entries, weights) where entry.digest == nil {
      values.append((weight.variable, try tensor(file, entry.key, weight.variable.shape)))
    }
    let factors = try adapters.map { adapter -> (a: Tensor, b: Tensor) in
      let (shape, rank, name) = (adapter.weight.shape, adapter.lora.rank, adapter.weight.name)
      let folder = String(adapter.key.dropLast(name.count))
      return (
        try tensor(file, "\(folder)lora_\(name)_a", shape.dropLast() + [rank]),
        try tensor(file, "\(folder)lora_\(name)_b", [rank] + shape.suffix(1))
      )
    }
    // From here on nothing fails but for want of memory.
    for (variable, value) in values { try variable.adopt(value) }
    for adapter in adapters where adapter.layer.lora == nil { try adapter.layer.enable(adapter.lora) }
    for (adapter, factor) in zip(adapters, factors) {
      guard let update = adapter.weight.lowRank else { continue }
      try update.a.adopt(factor.a)
      try update.b.adopt(factor.b)
    }
    let kept = Set(adapters.map { ObjectIdentifier($0.layer) })
    for layer in model.allLayers where !kept.contains(ObjectIdentifier(layer)) {
      if let update = layer.adaptable?.lowRank { try update.b.assign(Tensor(zeros: update.b.shape)) }
    }
  }

  private struct Adapter {
    let key: String
    let layer: Layer
    let weight: Variable
    let lora: LoRA
  }

  /// The layers of the model that the file adapts.
  private static func loras(_ file: SafetensorsFile, _ entries: [Entry], _ variables: [Variable], _ model: Model) throws -> [Adapter] {
    let json = try JSONValue(parsing: file.metadata["lora"] ?? "{}", what: "LoRA in \(file.path)").objectValue ?? [:]
    return try json.sorted { $0.key < $1.key }.map { key, arguments in
      var config = try Configuration(arguments, for: "LoRA in \(file.path)")
      let lora = try LoRA(arguments: &config)
      guard let index = entries.firstIndex(where: { $0.key == key }), case let weight = variables[index],
        let layer = model.allLayers.first(where: { $0.adaptable === weight })
      else { throw XferError.shape("\(file.path) adapts '\(key)', which '\(model.name)' cannot") }
      if let own = layer.lora {
        guard own.rank == lora.rank, own.alpha == lora.alpha else {
          throw XferError.state(
            "\(file.path) has LoRA of rank \(lora.rank) and alpha \(lora.alpha) on '\(layer.name)', the model rank \(own.rank) and alpha \(own.alpha)"
          )
        }
      } else {
        try layer.checkAdaptable()
      }
      return Adapter(key: key, layer: layer, weight: weight, lora: lora)
    }
  }

  private static func tensor(_ file: SafetensorsFile, _ name: String, _ shape: [Int]) throws -> Tensor {
    guard file.entries[name] != nil else { throw XferError.format("\(file.path) is damaged: it lacks '\(name)'") }
    let value = try file.tensor(name).converted(to: .float32)
    guard value.shape == shape else {
      throw XferError.format("\(file.path) is damaged: '\(name)' has shape \(value.shape), \(shape) is wanted")
    }
    return value
  }

  // MARK: Making the whole model

  /// The model the file was made from, with the weights that did not change taken from `base`.
  static func model(_ path: String, base: Model) throws -> Model {
    let (file, entries) = try open(path)
    guard let text = file.metadata["model"] else { throw XferError.format("\(path) is damaged: it has no 'model'") }
    let json = try JSONValue(parsing: text, what: "the model in \(path)")
    let elements = base.countParams() + file.entries.values.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let model = try SavedModel.asFormat(path) { try PendingValues.during(elements: elements) { try Deserializer().model(json) } }
    model.metadata = try JSONValue(parsing: file.metadata["metadata"] ?? "{}", what: "metadata in \(path)").objectValue ?? [:]
    let weights = WeightKeys.of(model)
    guard weights.count == entries.count else {
      throw XferError.format("\(path) is damaged: it lists \(entries.count) of \(weights.count) weights")
    }
    let sources = pretrained(entries, base)
    for (index, (entry, weight)) in zip(entries, weights).enumerated() where entry.digest != nil {
      guard let found = sources[index], found.shape == weight.variable.shape else {
        throw XferError.shape("\(path) was made from another base: '\(base.name)' has no '\(entry.key)' of shape \(weight.variable.shape)")
      }
      try weight.variable.assign(found.tensor)
      weight.variable.markLoaded()
    }
    try read(path, into: model)
    model.restoreCompiled(json["compile_config"], path)
    return model
  }
}

extension ModelDelta {
  /// For each weight of the file's model that of the pretrained one it is to be: a nested model has its weights one after another, as it has them alone;
  /// of one that was built upon in another way they go by name.
  private static func pretrained(_ entries: [Entry], _ base: Model) -> [Variable?] {
    let source = WeightKeys.of(base)
    let last = entries.count - source.count
    let start = (0...max(last, 0)).first { start in
      last >= 0
        && source.indices.allSatisfy { index in
          let (entry, weight) = (entries[start + index], source[index].variable)
          return entry.shape == weight.shape && WeightNames.parts(entry.key).weight == weight.name
        }
    }
    if let start, !source.isEmpty {
      return entries.indices.map { source.indices.contains($0 - start) ? source[$0 - start].variable : nil }
    }
    let named = Dictionary(zip(WeightKeys.plain(source.map(\.key)), source.map(\.variable))) { first, _ in first }
    return WeightKeys.plain(entries.map(\.key)).map { named[$0] }
  }
}

extension Model {
  /// Saves what training changed since the weights came from a file: the changed and the new weights, LoRA's matrices, and a digest of each
  /// weight that is still as it was loaded.
  ///
  /// ```swift
  /// try model.saveDelta("photos.delta.safetensors")
  /// // Later, with the same pretrained base under the same head:
  /// try model.loadDelta("photos.delta.safetensors")
  /// ```
  public func saveDelta(_ path: String) throws { try ModelDelta.write(self, to: path) }

  /// Loads what ``saveDelta(_:)`` wrote onto a model of the same architecture with the same pretrained weights. Layers that were adapted by LoRA
  /// then are so now; compile the model afterwards.
  ///
  /// - Throws: `XFER_E_SHAPE` for another architecture, `XFER_E_STATE` for other pretrained weights, `XFER_E_FORMAT` for a file that is damaged or no
  ///   delta. Nothing has changed then.
  public func loadDelta(_ path: String) throws { try ModelDelta.read(path, into: self) }

  /// The whole model of a delta, from the pretrained one it was made from: `base` alone, without the head, is enough.
  public static func load(delta path: String, base: Model) throws -> Model { try ModelDelta.model(path, base: base) }
}
