public import XferCore

extension Model {
  /// The architecture as JSON text, without weights.
  public func toJSON() -> String { serialized.text() }

  /// A model from ``toJSON()`` or a `.keras` file's `config.json`, with fresh weights.
  public static func fromJSON(_ text: String) throws -> Model {
    let json = try JSONValue(parsing: text, what: "the model's config")
    return try Deserializer().model(json)
  }
}

/// Builds layers and models from Keras config JSON. Shared layers are made once and called often.
struct Deserializer {
  /// Nesting a hostile file may ask for.
  private var depth = 0

  init() {}

  private func deeper() throws -> Deserializer {
    guard depth < 32 else { throw XferError.format("the model's config nests more than 32 models") }
    var inner = self
    inner.depth += 1
    return inner
  }

  func layer(_ json: JSONValue) throws -> Layer {
    guard let className = json["class_name"]?.stringValue else {
      throw XferError.format("a layer without 'class_name' in the model's config")
    }
    switch className {
    case "Functional", "Model", "Sequential": return try deeper().model(json)
    default: return try LayerRegistry.make(className, config: json["config"] ?? [:])
    }
  }

  func model(_ json: JSONValue) throws -> Model {
    guard let className = json["class_name"]?.stringValue, let config = json["config"] else {
      throw XferError.format("the model's config is to have 'class_name' and 'config'")
    }
    let model: Model
    switch className {
    case "Functional", "Model": model = try functional(config)
    case "Sequential": model = try sequential(config)
    default:
      throw XferError.unsupported(
        "a model of class '\(className)': Functional and Sequential models are supported, classes of a program's own are not")
    }
    if config["trainable"]?.boolValue == false { model.setOwnTrainable(false) }
    return model
  }

  private func sequential(_ config: JSONValue) throws -> Model {
    // Keras 1 wrote the list of layers alone.
    let entries = config.arrayValue ?? config["layers"]?.arrayValue ?? []
    guard let first = entries.first else { throw XferError.format("a Sequential without layers in the model's config") }
    var layers = try entries.map { try layer($0) }
    // Keras 1 and 2 put the input's shape into the first layer's config.
    let sample = first["config"]?["batch_input_shape"] ?? first["config"]?["batch_shape"]
    if !(layers[0] is InputLayer), let sample, !sample.isNull {
      var input = try Configuration(["batch_shape": sample, "dtype": first["config"]?["dtype"] ?? .null], for: "InputLayer")
      layers.insert(try InputLayer(config: &input), at: 0)
    }
    let model = try Sequential(layers, name: config["name"]?.stringValue)
    if model.inputs.isEmpty, let shape = config["build_input_shape"]?.arrayValue { try model.build(inputShape: shape.map(\.intValue)) }
    return model
  }

  private func functional(_ config: JSONValue) throws -> Model {
    let entries = config["layers"]?.arrayValue ?? []
    guard !entries.isEmpty else { throw XferError.format("a functional model without layers in the config") }
    var layers: [String: Layer] = [:]
    var symbols: [String: [Int: [SymbolicTensor]]] = [:]
    var pending: [(name: String, call: Int, node: JSONValue)] = []
    for entry in entries {
      let made = try Operation.isKerasOp(entry) ? Operation.fromKeras(entry) : layer(entry)
      let name = entry["name"]?.stringValue ?? entry["config"]?["name"]?.stringValue ?? made.name
      layers[name] = made
      if let input = made as? InputLayer {
        symbols[name] = [0: [input.symbol()]]
      }
      for (call, node) in (entry["inbound_nodes"]?.arrayValue ?? []).enumerated() { pending.append((name, call, node)) }
    }
    let counted = try Self.countingThemselves(
      entries,
      pending.map { item in
        try InboundCall(item.node, layer: item.name, names: layers[item.name].map { type(of: $0).inputNames } ?? [])
      }, ends: config["output_layers"] ?? [])
    func symbol(_ layer: String, _ call: Int, _ output: Int) -> SymbolicTensor? {
      symbols[layer]?[counted.contains(layer) ? call - 1 : call].flatMap { $0.indices.contains(output) ? $0[output] : nil }
    }
    // Calls may be listed before what they read: go round until nothing moves.
    while !pending.isEmpty {
      var waiting: [(name: String, call: Int, node: JSONValue)] = []
      for item in pending {
        let call = try InboundCall(item.node, layer: item.name, names: layers[item.name].map { type(of: $0).inputNames } ?? [])
        let arguments = call.sources.map { source in symbol(source.layer, source.call, source.output) }
        guard !arguments.contains(where: { $0 == nil }), let layer = layers[item.name] else {
          waiting.append(item)
          continue
        }
        let implied = !call.explicit && call.training == KerasClasses.trainingDefaults[type(of: layer).className]
        if call.hasConstants, !(layer is Operation) {
          throw XferError.unsupported("the model's config: layer '\(item.name)' is called with numbers beside its inputs")
        }
        try layer.setCallArguments(call.arguments)
        symbols[item.name, default: [:]][item.call] = try layer.all(arguments.compactMap { $0 }, training: implied ? nil : call.training)
        try layer.setCallArguments([:])
      }
      guard waiting.count < pending.count else {
        throw XferError.format("the model's config: '\(waiting[0].name)' reads a layer that does not exist or depends on itself")
      }
      pending = waiting
    }
    func ends(_ key: String) throws -> [SymbolicTensor] {
      // One by itself, a list of them, or a dictionary by name.
      func flat(_ item: JSONValue) -> [JSONValue] {
        if item.arrayValue?.first?.stringValue != nil { return [item] }
        if let members = item.objectValue { return members.sorted { $0.key < $1.key }.flatMap { flat($0.value) } }
        return (item.arrayValue ?? []).flatMap(flat)
      }
      return try flat(config[key] ?? []).map { item in
        guard let name = item.arrayValue?.first?.stringValue, let call = item.arrayValue?.dropFirst().first?.intValue,
          let symbol = symbol(name, call, item.arrayValue?.dropFirst(2).first?.intValue ?? 0)
        else { throw XferError.format("the model's config: '\(key)' names \(item.text()), which does not exist") }
        return symbol
      }
    }
    return try Model(inputs: ends("input_layers"), outputs: ends("output_layers"), name: config["name"]?.stringValue)
  }
}

extension Deserializer {
  /// The models within whose calls are counted from 1: Keras 2 takes a model itself for its first call. There no reader names number 0.
  private static func countingThemselves(_ entries: [JSONValue], _ calls: [InboundCall], ends: JSONValue) throws -> Set<String> {
    let models = entries.filter { entry in
      ["Functional", "Model", "Sequential"].contains(entry["class_name"]?.stringValue ?? "")
        && entry["inbound_nodes"]?.arrayValue?.first?.arrayValue != nil
    }.compactMap { $0["name"]?.stringValue ?? $0["config"]?["name"]?.stringValue }
    guard !models.isEmpty else { return [] }
    var firstRead = Set(calls.flatMap(\.sources).filter { $0.call == 0 }.map(\.layer))
    let ends = ends.arrayValue ?? []
    for end in ends.first?.stringValue != nil ? [.array(ends)] : ends {
      if let list = end.arrayValue, list.count > 1, let name = list[0].stringValue, list[1].intValue == 0 { firstRead.insert(name) }
    }
    return Set(models).subtracting(firstRead)
  }
}

/// One entry of `inbound_nodes`: Keras 3's args/kwargs, or the nested lists of Keras 2.
private struct InboundCall {
  var sources: [(layer: String, call: Int, output: Int)] = []
  var training: Bool?
  /// Whether `training` was given, even where it is what Keras writes without being told.
  var explicit = false

  /// Numbers stand among the inputs.
  var hasConstants = false

  /// The other call arguments, with the names of the inputs where the layer has names for them.
  var arguments: [String: JSONValue] = [:]

  init(_ json: JSONValue, layer: String, names: [String]) throws {
    explicit = json["explicit_training"]?.boolValue ?? false
    if let positional = json["args"] {
      let named = json["kwargs"]?.objectValue ?? [:]
      training = named["training"]?.boolValue
      if names.isEmpty {
        collect(positional)
        arguments = named.filter { $0.key != "training" && $0.key != "mask" }
      } else {
        var inputs: [JSONValue] = []
        func add(_ name: String, _ argument: JSONValue) {
          let before = sources.count
          collect(argument)
          if sources.count > before { inputs.append(.string(name)) }
        }
        for (name, argument) in zip(names, positional.arrayValue ?? []) { add(name, argument) }
        for name in names { if let argument = named[name] { add(name, argument) } }
        arguments = named.filter { $0.key != "training" && !names.contains($0.key) }
        arguments["inputs"] = .array(inputs)
      }
    } else {
      let items = json.arrayValue ?? []
      // Keras 2.4 and later write a single input without the list around it.
      for item in items.first?.stringValue != nil ? [json] : items {
        guard let list = item.arrayValue, list.count >= 3, let name = list[0].stringValue, let call = list[1].intValue else {
          throw XferError.format("the model's config: layer '\(layer)' has an inbound node that cannot be read: \(item.text())")
        }
        sources.append((name, call, list[2].intValue ?? 0))
        for (key, value) in list.count > 3 ? list[3].objectValue ?? [:] : [:] {
          switch (key, value) {
          case ("training", _): training = value.boolValue
          case (_, .null), (_, .bool(false)): break
          default: throw XferError.unsupported("layer '\(layer)' is called with \(key) = \(value.text()), which is not supported")
          }
        }
      }
    }
    guard !sources.isEmpty else { throw XferError.format("the model's config: layer '\(layer)' is called on nothing") }
  }

  private mutating func collect(_ json: JSONValue) {
    if let history = json["config"]?["keras_history"]?.arrayValue, history.count == 3, let name = history[0].stringValue,
      let call = history[1].intValue
    {
      sources.append((name, call, history[2].intValue ?? 0))
    } else {
      if json.doubleValue != nil { hasConstants = true }
      for item in json.arrayValue ?? [] { collect(item) }
    }
  }
}
