public import XferCore
public import XferGraph

/// A network: layers between input and output symbols. A model is itself a layer and nests.
public class Model: Layer {
  public override class var className: String { "Functional" }

  public private(set) var inputs: [SymbolicTensor]
  public private(set) var outputs: [SymbolicTensor]
  /// Calls in an order in which they can run.
  private(set) var nodes: [FunctionalNode] = []
  /// The layers in Keras' order: by depth, then by discovery from the outputs.
  public private(set) var layers: [Layer] = []
  /// Facts saved with the model: class names, preprocessing.
  public var metadata: [String: JSONValue] = [:]
  /// What `compile` made.
  public internal(set) var trainer: Trainer?
  /// Mistakes it was warned of.
  var warned: Set<Lint.Finding> = []
  let predictor = EagerPlans()
  /// What `fit` kept of the frozen part, for the next `fit`.
  var featureStores: [FeatureCache.StoreKey: any FeatureStore] = [:]

  /// That of its `compile`; without one, the process'.
  override var precision: Precision { trainer?.precision ?? .current }

  public init(inputs: [SymbolicTensor], outputs: [SymbolicTensor], name: String? = nil) throws {
    guard !inputs.isEmpty, !outputs.isEmpty else { throw XferError.invalid("Model wants at least one input and one output") }
    (self.inputs, self.outputs) = try Self.fromInputs(inputs, outputs)
    super.init(name: name ?? AutomaticName.next(for: Self.className))
    try connect()
    markBuilt()
  }

  public convenience init(_ input: SymbolicTensor, _ output: SymbolicTensor, name: String? = nil) throws {
    try self.init(inputs: [input], outputs: [output], name: name)
  }

  /// The ends of a model that begins at inputs: where it is to begin in the middle of a network, the calls behind are made again from new
  /// inputs, as Keras does. The layers stay the same.
  private static func fromInputs(
    _ inputs: [SymbolicTensor], _ outputs: [SymbolicTensor]
  ) throws -> (inputs: [SymbolicTensor], outputs: [SymbolicTensor]) {
    guard inputs.contains(where: { !($0.node.layer is InputLayer) }) else { return (inputs, outputs) }
    var known: [ObjectIdentifier: SymbolicTensor] = [:]
    func found(_ symbol: SymbolicTensor) throws -> SymbolicTensor {
      try known[ObjectIdentifier(symbol)] ?? { throw XferError.internal("the calls behind a model's inputs are incomplete") }()
    }
    for symbol in inputs {
      let isInput = symbol.node.layer is InputLayer
      known[ObjectIdentifier(symbol)] =
        isInput ? symbol : try InputLayer(shape: Array(symbol.shape.dropFirst()), dtype: symbol.dtype).symbol()
    }
    for node in try NetworkMap(inputs: inputs, outputs: outputs).nodes {
      let results = node.outputs.compactMap(\.symbol)
      guard !results.contains(where: { known[ObjectIdentifier($0)] != nil }) else { continue }
      let made = try node.layer.all(node.inputs.map(found), training: node.training, arguments: node.arguments)
      for symbol in results { known[ObjectIdentifier(symbol)] = made[symbol.index] }
    }
    return (try inputs.map(found), try outputs.map(found))
  }

  /// A model whose network ``rewire(inputs:outputs:)`` brings later.
  init(unconnected name: String) {
    (inputs, outputs) = ([], [])
    super.init(name: name)
  }

  func connect() throws {
    let network = try NetworkMap(inputs: inputs, outputs: outputs)
    (nodes, layers) = (network.nodes, network.layers)
    var seen: [String: Layer] = [:]
    for layer in layers {
      if let other = seen[layer.name], other !== layer {
        throw XferError.invalid("two layers of the model '\(name)' are called '\(layer.name)'; names are to be unique")
      }
      seen[layer.name] = layer
    }
  }

  func rewire(inputs: [SymbolicTensor], outputs: [SymbolicTensor]) throws {
    (self.inputs, self.outputs) = (inputs, outputs)
    try connect()
  }

  public override var sublayers: [Layer] { layers }
  public override var mergesInputs: Bool { true }
  public override var inputDType: DType { inputs.first?.dtype ?? .float32 }
  override func dtype(ofInput index: Int) -> DType { inputs.indices.contains(index) ? inputs[index].dtype : inputDType }
  public override var outputCount: Int { outputs.count }

  public override func lowerAll(_ inputs: [ValueID], _ context: LoweringContext) throws -> [ValueID] {
    try checkConnected()
    guard inputs.count == self.inputs.count else {
      throw XferError.invalid("model '\(name)' wants \(self.inputs.count) inputs, \(inputs.count) were given")
    }
    var values: [ObjectIdentifier: ValueID] = [:]
    for (symbol, value) in zip(self.inputs, inputs) {
      let (wanted, given) = (symbol.shape.dropFirst(), context.graph.shape(value).dropFirst())
      guard wanted.count == given.count, zip(wanted, given).allSatisfy({ $0 == nil || $0 == $1 }) else {
        throw XferError.shape(
          "model '\(name)' wants an input of shape [batch] + \(text(Array(wanted))), \(context.graph.shape(value)) was given")
      }
      values[ObjectIdentifier(symbol)] = value
    }
    let wanted = nodes.contains(where: \.choosesByTraining) ? wantedNodes(training: context.training) : nil
    for node in nodes where wanted?.contains(ObjectIdentifier(node)) != false {
      let results = node.outputs.compactMap(\.symbol)
      guard results.contains(where: { values[ObjectIdentifier($0)] == nil }) else { continue }
      let arguments = try node.inputs(training: context.training).map { symbol in
        try values[ObjectIdentifier(symbol)] ?? { throw XferError.internal("\(node.layer.name): an input was not computed") }()
      }
      var inner = context
      inner.training = node.training ?? context.training
      inner.arguments = node.arguments
      let made = try node.layer.emitAll(arguments, inner)
      for result in results { values[ObjectIdentifier(result)] = made[result.index] }
    }
    return try outputs.map { output in
      try values[ObjectIdentifier(output)]
        ?? { throw XferError.internal("model '\(name)' did not compute output '\(output.node.layer.name)'") }()
    }
  }

  /// The calls behind the outputs where choices by `training` take one of their two sides.
  private func wantedNodes(training: Bool) -> Set<ObjectIdentifier> {
    var found: Set<ObjectIdentifier> = []
    var waiting = outputs.map(\.node)
    while let node = waiting.popLast() {
      guard found.insert(ObjectIdentifier(node)).inserted else { continue }
      waiting.append(contentsOf: node.inputs(training: training).map(\.node))
    }
    return found
  }

  /// The inputs or outputs of a layer's first call in this model.
  public func symbols(of layer: Layer, outputs: Bool) throws -> [SymbolicTensor] {
    guard let node = nodes.first(where: { $0.layer === layer }) else {
      throw XferError.notFound("model '\(name)' does not call layer '\(layer.name)'")
    }
    // An input's layer gives out what it takes in.
    return outputs || node.inputs.isEmpty ? node.symbols : node.inputs
  }

  /// Throws for a Sequential that has not seen an input's shape yet.
  func checkConnected() throws {
    guard inputs.isEmpty else { return }
    throw XferError.state("model '\(name)' has no input shape yet: begin with an Input, call build(), or call it on data")
  }

  /// The inputs' shapes for a batch of this size. Where a model takes any size there is none to give.
  func inputShapes(batchSize: Int) throws -> [[Int]] {
    try checkConnected()
    return try inputs.map { symbol in
      let sample = symbol.shape.dropFirst().compactMap { $0 }
      guard sample.count == symbol.shape.count - 1 else {
        throw XferError.shape(
          "model '\(name)' takes inputs of any size, \(text(symbol.shape)); a plan is made for one, by calling the model on data")
      }
      return [batchSize] + sample
    }
  }

  /// The layer of this name; the error names the nearest one.
  public func getLayer(_ name: String) throws -> Layer {
    guard let layer = layers.first(where: { $0.name == name }) else {
      throw XferError.notFound("model '\(self.name)' has no layer '\(name)'\(hint(name, among: layers.map(\.name)))")
    }
    return layer
  }

  // MARK: Config

  public override var config: JSONValue {
    var index: [ObjectIdentifier: (calls: Int, nodes: [ObjectIdentifier: Int])] = [:]
    for node in nodes {
      let id = ObjectIdentifier(node.layer)
      var entry = index[id] ?? (0, [:])
      entry.nodes[ObjectIdentifier(node)] = entry.calls
      entry.calls += 1
      index[id] = entry
    }
    func history(_ symbol: SymbolicTensor) -> [JSONValue] {
      let call = index[ObjectIdentifier(symbol.node.layer)]?.nodes[ObjectIdentifier(symbol.node)] ?? 0
      return [.string(symbol.node.layer.name), .int(call), .int(symbol.index)]
    }
    func tensor(_ symbol: SymbolicTensor) -> JSONValue {
      [
        "class_name": "__keras_tensor__",
        "config": [
          "shape": .array(symbol.shape.map { $0.map { .int($0) } ?? .null }), "dtype": .string(symbol.dtype.name),
          "keras_history": .array(history(symbol)),
        ],
      ]
    }
    func inbound(_ node: FunctionalNode) -> JSONValue {
      var arguments = node.inputs.map(tensor)
      var named = node.training.map { ["training": JSONValue.bool($0)] } ?? [:]
      let names = node.layer.inputNames(arguments.count, node.arguments)
      if !names.isEmpty {
        let positional = type(of: node.layer).positionalInputs
        for (name, argument) in zip(names, arguments).dropFirst(positional) { named[name] = argument }
        for (key, value) in node.arguments where key != "inputs" { named[key] = value }
        arguments = Array(arguments.prefix(positional))
        return ["args": .array(arguments), "kwargs": .object(named)]
      }
      if let operation = node.layer as? Operation, operation.kerasEntry != nil {
        return ["args": .array(operation.kerasArguments(arguments, rank: node.inputs[0].shape.count)), "kwargs": [:]]
      }
      let mergesList = node.layer.mergesInputs && !(node.layer is Model)
      var entry: [String: JSONValue] = [
        "args": mergesList ? [.array(arguments)] : .array(arguments),
        "kwargs": .object(named),
      ]
      // Keras passes over this key; it tells a given value from the default Keras itself writes there.
      if let training = node.training, training == KerasClasses.trainingDefaults[type(of: node.layer).className] {
        entry["explicit_training"] = true
      }
      return .object(entry)
    }
    let members = layers.map { layer -> JSONValue in
      var entry = layer.serialized.objectValue ?? [:]
      entry["name"] = .string(layer.name)
      entry["inbound_nodes"] = .array(nodes.filter { $0.layer === layer && !($0.layer is InputLayer) }.map(inbound))
      return .object(entry)
    }
    return [
      "name": .string(name), "trainable": .bool(trainable), "layers": .array(members),
      "input_layers": inputs.count == 1 ? .array(history(inputs[0])) : .array(inputs.map { .array(history($0)) }),
      "output_layers": outputs.count == 1 ? .array(history(outputs[0])) : .array(outputs.map { .array(history($0)) }),
    ]
  }

  public override var serialized: JSONValue {
    [
      "module": "keras.src.models.functional", "class_name": "Functional", "config": config, "registered_name": "Functional",
      "build_config": ["input_shape": nil], "compile_config": trainer?.compileConfig ?? [:],
    ]
  }
}
