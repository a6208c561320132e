import Synchronization
public import XferCore
public import XferGraph

/// A shape whose batch dimension, and perhaps others, are open.
public typealias OpenShape = [Int?]

/// What a layer is told while it writes itself into a graph.
public struct LoweringContext {
  public let graph: Graph
  /// The enclosing call's `training`.
  public var training: Bool
  /// Keras' call arguments besides inputs and `training`, where the layer has any.
  var arguments: [String: JSONValue] = [:]
}

/// The base of all layers and models: a name, weights, a `trainable` flag and a way to write itself into a graph.
///
/// A subclass names its Keras class, reads its config, makes its weights in ``build(_:)`` and emits ops in ``lower(_:_:)``; everything
/// else (shapes, gradients, running, saving) follows from these.
open class Layer {
  open class var className: String { "Layer" }

  public let name: String
  /// A number no other layer ever has.
  public let identity = uniqueIdentity()
  public private(set) var built = false
  /// The input shapes the weights were made for, empty when the layer was not built by a call.
  private(set) var buildShapes: [OpenShape] = []
  /// The weights of this layer itself, in creation order.
  public private(set) var ownWeights: [Variable] = []
  private var moving: Set<ObjectIdentifier> = []
  private var trainableFlag = true
  /// A penalty on each output, divided by the batch size and added to the loss. Every layer takes it.
  public var activityRegularizer: Regularizer?
  /// The penalties on the outputs of the last call on data.
  var callLosses: [Tensor] = []
  /// That of calls on data.
  var precision: Precision { .current }
  let eager = EagerPlans()
  /// How the layer's kernel is adapted, or, before it is built, is to be; nil when it is not.
  public internal(set) var lora: LoRA?
  /// See ``setCallArguments(_:)``.
  private(set) var callArguments: [String: JSONValue] = [:]
  let penalties = EagerPlans()

  public init(name: String?) {
    self.name = name ?? AutomaticName.next(for: Self.className)
  }

  /// From a config object. Subclasses read their own keys first, then call this.
  public init(reading config: inout Configuration) throws {
    name = try config.value("name")?.stringValue ?? AutomaticName.next(for: Self.className)
    trainableFlag = try config.bool("trainable", true)
    activityRegularizer = try Regularizer(config.value("activity_regularizer"), layer: config.className)
    config.ignore("dtype", "batch_input_shape", "build_config", "module", "registered_name")
    try config.finish()
  }

  // MARK: For subclasses

  /// Layers within, for models and wrappers.
  open var sublayers: [Layer] { [] }
  /// Makes the weights for inputs of these shapes. Called once.
  open func build(_ inputs: [OpenShape]) throws {}
  /// Emits the layer's ops.
  open func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    throw XferError.unsupported("\(Self.className) cannot be called")
  }
  /// Emits the ops of a layer with several outputs; others have ``lower(_:_:)``.
  open func lowerAll(_ inputs: [ValueID], _ context: LoweringContext) throws -> [ValueID] { [try lower(inputs, context)] }
  /// The class' own config keys as Keras writes them.
  open var ownConfig: [String: JSONValue] { [:] }
  /// Where a file of Keras 3 keeps the layer's own weights: groups below the layer's, each with weights in order. Layers whose weights
  /// Keras keeps in objects within ("cell", "query_dense") say so here.
  open var weightGroups: [(group: String, weights: [Variable])] { [("", storedWeights)] }
  /// Where the layer's random numbers are: [seed, step] (int64), not weights, as in Keras.
  var randomStates: [Tensor] { [] }
  /// Whether the layer takes several inputs; others take one.
  open var mergesInputs: Bool { false }
  /// The element type the layer reads.
  open var inputDType: DType { .float32 }
  /// The element type of one of several inputs.
  func dtype(ofInput index: Int) -> DType { inputDType }
  /// How many outputs a call has.
  open var outputCount: Int { 1 }
  /// Names of the inputs of a call, for layers that take them as arguments of their own and not as a list.
  class var inputNames: [String] { [] }
  /// How many of them Keras writes by position; the others stand under their names.
  class var positionalInputs: Int { 0 }
  /// The attribute a layer within is stored under in Keras' files, nil for a list of layers.
  func attribute(of inner: Layer) -> String? { nil }
  /// Changes a value of the config after the layer was made. Plans made before are not used any more.
  public final func set(_ key: String, to value: JSONValue) throws {
    guard let change = try setter(key, value) else {
      throw XferError.unsupported("\(name): '\(key)' of a \(Self.className) is fixed when the layer is made")
    }
    change()
    Self.noteChange()
  }
  /// Plans made before are not used any more.
  static func noteChange() { changes.add(1, ordering: .relaxed) }
  /// What sets a value of the config, once it is found to be good; nil for values that are fixed.
  func setter(_ key: String, _ value: JSONValue) throws -> (() -> Void)? { nil }
  /// Counts changes of configs: plans are made for one state of them.
  private static let changes = Atomic<UInt64>(0)
  static var settingsGeneration: UInt64 { changes.load(ordering: .relaxed) }
  /// Takes call arguments or refuses them by name.
  func checkCallArguments(_ arguments: [String: JSONValue]) throws {
    if let key = arguments.keys.sorted().first {
      throw XferError.invalid("\(name): \(Self.className) has no call argument '\(key)'")
    }
  }

  /// Sets what Keras takes as call arguments besides the inputs and `training`, for the calls that follow; null counts as not given.
  ///
  /// "inputs" is a list of names for the inputs where they are not the first ones in Keras' order.
  public func setCallArguments(_ arguments: [String: JSONValue]) throws {
    var given = arguments.filter { !$0.value.isNull }
    let names = given.removeValue(forKey: "inputs")
    if let names {
      guard let list = names.arrayValue, list.allSatisfy({ Self.inputNames.contains($0.stringValue ?? "") }),
        Set(list.map { $0.text() }).count == list.count
      else {
        throw XferError.invalid(
          "\(name): 'inputs' is to list some of \(Self.inputNames.joined(separator: ", ")), \(names.text()) was given")
      }
    }
    try checkCallArguments(given)
    if let names { given["inputs"] = names }
    callArguments = given
  }

  /// The names of the inputs of one call.
  func inputNames(_ count: Int, _ arguments: [String: JSONValue]) -> [String] {
    let named = arguments["inputs"]?.arrayValue?.compactMap(\.stringValue) ?? Self.inputNames
    return Array(named.prefix(count))
  }

  /// Adds a weight, in creation order. `statistic` marks one that no optimizer moves.
  public func addWeight(_ name: String, _ shape: [Int], _ initializer: Initializer, statistic: Bool = false) throws -> Variable {
    let variable = Variable(
      name: name, path: NameScope.path(name, of: self.name), tensor: try PendingValues.initializer(initializer, shape).make(shape),
      trainable: !statistic && trainableFlag)
    ownWeights.append(variable)
    if statistic { moving.insert(ObjectIdentifier(variable)) }
    return variable
  }

  /// The weight that can be adapted, once it is there; nil for classes that have none.
  var adaptable: Variable? { nil }

  /// Adds a weight made elsewhere.
  func addWeight(_ variable: Variable) { ownWeights.append(variable) }

  /// The layer's own weights as files list them: those an optimizer may move, then the statistics, whatever the flags are. The factors of LoRA
  /// are not among them: their product is part of the kernel's ``Variable/stored()``.
  public var storedWeights: [Variable] {
    let own = ownWeights.filter { !$0.isFactor }
    return own.filter { !moving.contains(ObjectIdentifier($0)) } + own.filter { moving.contains(ObjectIdentifier($0)) }
  }

  // MARK: Trainable and weights

  /// Whether the layer's weights are trained. Setting recurses to all layers within and takes effect at the next `compile`.
  public var trainable: Bool {
    get { trainableFlag }
    set {
      trainableFlag = newValue
      for weight in ownWeights where !moving.contains(ObjectIdentifier(weight)) { weight.trainable = newValue }
      for layer in sublayers { layer.trainable = newValue }
    }
  }

  /// The flag of this layer, then those of its own weights, which may differ from it.
  var ownFlags: [Bool] {
    get { [trainableFlag] + ownWeights.map(\.trainable) }
    set {
      trainableFlag = newValue.first ?? trainableFlag
      for (weight, flag) in zip(ownWeights, newValue.dropFirst()) { weight.trainable = flag }
    }
  }
  /// All flags, which plans are made for.
  var trainableFlags: [Bool] { allLayers.flatMap(\.ownFlags) }

  /// Sets the flag of this layer alone, as when a saved model is read: the layers within bring their own.
  func setOwnTrainable(_ value: Bool) { trainableFlag = value }

  public var weights: [Variable] { unique(ownWeights + sublayers.flatMap(\.weights)) }
  public var trainableWeights: [Variable] {
    trainable ? unique(ownWeights.filter(\.trainable) + sublayers.flatMap(\.trainableWeights)) : []
  }
  public var nonTrainableWeights: [Variable] {
    let moved = Set(trainableWeights.map { ObjectIdentifier($0) })
    return weights.filter { !moved.contains(ObjectIdentifier($0)) }
  }
  public func countParams() -> Int { weights.reduce(0) { $0 + $1.count } }

  /// This layer and all within, outermost first.
  public var allLayers: [Layer] { [self] + sublayers.flatMap(\.allLayers) }

  private func unique(_ list: [Variable]) -> [Variable] {
    var seen: Set<ObjectIdentifier> = []
    return list.filter { seen.insert(ObjectIdentifier($0)).inserted }
  }

  // MARK: Calling

  /// Makes the weights if that has not happened.
  public func buildIfNeeded(_ inputs: [OpenShape]) throws {
    guard !built else { return }
    do {
      try NameScope.within(name) { try build(inputs) }
      buildShapes = inputs
      if let lora { try adapt(lora) }
    } catch let error as XferError {
      ownWeights = []
      throw XferError(error.status, error.message.hasPrefix(name) ? error.message : "\(name): \(error.message)")
    }
    built = true
  }

  /// Calls the layer on symbolic inputs: records the call and gives the output's shape.
  ///
  /// An explicit `training` wins over that of every enclosing call, for good.
  public func callAsFunction(_ inputs: [SymbolicTensor], training: Bool? = nil) throws -> SymbolicTensor {
    let outputs = try all(inputs, training: training)
    guard outputs.count == 1 else { throw XferError.invalid("\(name) has \(outputs.count) outputs: all(_:training:) gives them") }
    return outputs[0]
  }

  /// The call of a layer with any number of outputs.
  public func all(_ inputs: [SymbolicTensor], training: Bool? = nil) throws -> [SymbolicTensor] {
    try all(inputs, training: training, arguments: callArguments)
  }

  func all(_ inputs: [SymbolicTensor], training: Bool?, arguments: [String: JSONValue]) throws -> [SymbolicTensor] {
    guard !inputs.isEmpty else { throw XferError.invalid("\(name) wants at least one input, none was given") }
    try buildIfNeeded(inputs.map(\.shape))
    let shapes = try StandIns.outputs(of: inputs.map(\.shape)) { shapes in
      let scratch = Graph()
      let values = zip(inputs, shapes).map { scratch.input(TensorDescription($1, $0.dtype)) }
      return try emitAll(values, LoweringContext(graph: scratch, training: training ?? false, arguments: arguments)).map {
        TensorDescription(scratch.shape($0), scratch.dtype($0))
      }
    }
    let node = FunctionalNode(layer: self, inputs: inputs, training: training, arguments: arguments)
    return shapes.enumerated().map { index, result in
      SymbolicTensor(shape: [nil] + result.shape.dropFirst(), dtype: result.dtype, node: node, index: index)
    }
  }

  public func callAsFunction(_ input: SymbolicTensor, training: Bool? = nil) throws -> SymbolicTensor {
    try callAsFunction([input], training: training)
  }

  /// ``emitAll(_:_:)`` of a layer with one output.
  func emit(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let outputs = try emitAll(inputs, context)
    guard outputs.count == 1 else { throw XferError.unsupported("\(name) has \(outputs.count) outputs, one is wanted here") }
    return outputs[0]
  }

  /// ``lowerAll(_:_:)`` with the layer's name on what it emits and its inputs in the type it reads.
  func emitAll(_ inputs: [ValueID], _ context: LoweringContext) throws -> [ValueID] {
    guard inputs.count == 1 || mergesInputs else { throw XferError.invalid("\(name) takes one input, \(inputs.count) were given") }
    let outer = context.graph.label
    context.graph.label = name
    defer { context.graph.label = outer }
    let outputs = try lowerAll(inputs.enumerated().map { context.graph.cast($1, to: dtype(ofInput: $0)) }, context)
    try activityRegularizer.map { try context.graph.losses.append(contentsOf: penalties(on: outputs, $0, context.graph)) }
    return outputs
  }

  /// The full config as Keras writes it.
  public var config: JSONValue {
    .object(
      ownConfig.merging([
        "name": .string(name), "trainable": .bool(trainable),
        "dtype": dtypePolicy,
      ]) { own, _ in own }.with(activityConfig))
  }

  var activityConfig: [String: JSONValue] { activityRegularizer.map { ["activity_regularizer": $0.config] } ?? [:] }

  /// {"module", "class_name", "config", "registered_name", "build_config"}.
  public var serialized: JSONValue {
    var entry: [String: JSONValue] = [
      "module": "keras.layers", "class_name": .string(Self.className), "config": config, "registered_name": nil,
    ]
    if let buildConfig { entry["build_config"] = buildConfig }
    return .object(entry)
  }

  /// What Keras needs to make the weights before it reads them from a file; nil for layers that have nothing to build.
  open var buildConfig: JSONValue? {
    guard !buildShapes.isEmpty, !KerasClasses.withoutBuild.contains(Self.className) else { return nil }
    return ["input_shape": buildShapes.count == 1 ? openShape(buildShapes[0]) : .array(buildShapes.map(openShape))]
  }

  func markBuilt() { built = true }
}

/// Names for layers without one: "dense", "dense_1", …, counted per class as Keras does.
enum AutomaticName {
  private static let counts = Mutex<[String: Int]>([:])

  static func next(for className: String) -> String {
    let base = snakeCase(className)
    let index = counts.withLock { counts in
      defer { counts[base, default: 0] += 1 }
      return counts[base, default: 0]
    }
    return index == 0 ? base : "\(base)_\(index)"
  }

  /// "GlobalAveragePooling2D" → "global_average_pooling2d", "ReLU" → "re_lu".
  static func snakeCase(_ name: String) -> String {
    var result = ""
    let letters = Array(name)
    for (i, letter) in letters.enumerated() {
      let previousLower = i > 0 && (letters[i - 1].isLowercase || letters[i - 1].isNumber)
      let nextLower = i + 1 < letters.count && letters[i + 1].isLowercase
      if letter.isUppercase, i > 0, (previousLower && !letters[i - 1].isNumber) || (nextLower && letters[i - 1].isLetter) { result += "_" }
      result += letter.lowercased()
    }
    return result
  }
}
