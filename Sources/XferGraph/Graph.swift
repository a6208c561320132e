public import XferCore

/// A value of a graph: an index into ``Graph/values``.
public struct ValueID: Hashable, Sendable {
  /// Its place in the graph; lowering the same network again gives the same places.
  public let index: Int
}

/// Where a value comes from.
enum ValueSource {
  /// Bound anew for each run.
  case input
  /// A weight's memory.
  case variable(Variable)
  /// Memory whose content is fixed once the graph is made.
  case constant(Tensor)
  /// Memory of the host's that changes between runs: a learning rate, a random state.
  case state(Tensor)
  /// Another value's memory under another shape.
  case alias(ValueID)
  /// An output of a node.
  case node
  /// An output that is written over a weight's or state's own memory.
  case update(Tensor, Variable?)
}

struct Value {
  var description: TensorDescription
  var source: ValueSource
  var label: String
}

/// The part of a training step a node belongs to.
public enum NodePhase: String, Sendable { case forward, backward, update }

struct Node {
  var kind: OpKind
  var attributes: OpAttributes
  var inputs: [ValueID]
  var outputs: [ValueID]
  /// The layer it came from.
  var label: String
  var phase: NodePhase
  var fusedFrom: [String] = []
}

/// A program over tensors of known shapes: nodes in an order in which they can run.
///
/// Layers write a graph through the builder methods of `GraphBuilder+….swift`, each of which checks shapes and names the layer
/// in its errors. Passes rewrite it; a ``Plan`` runs it.
public final class Graph {
  var values: [Value] = []
  var nodes: [Node] = []
  private var variableValues: [ObjectIdentifier: ValueID] = [:]
  /// Weights this graph changes, by optimizer or moving average.
  package internal(set) var updated: Set<ObjectIdentifier> = []
  /// Values that are made a second time, and which they are once more.
  var remade: [ValueID: ValueID] = [:]
  /// Random states to advance before each run.
  var randomStates: [Tensor] = []

  /// Scalars [1] that layers add to the loss, penalties on their outputs for example.
  public var losses: [ValueID] = []

  /// The layer being lowered; labels the nodes.
  public var label = ""
  var phase = NodePhase.forward

  /// That of its products.
  public let precision: Precision

  public init(precision: Precision = .float32) { self.precision = precision }

  /// The same program once more, for passes to rewrite. Its values have the same numbers.
  func copy() -> Graph {
    let copy = Graph(precision: precision)
    (copy.values, copy.nodes, copy.variableValues, copy.updated) = (values, nodes, variableValues, updated)
    (copy.randomStates, copy.losses, copy.label, copy.phase) = (randomStates, losses, label, phase)
    copy.remade = remade
    return copy
  }

  public func shape(_ value: ValueID) -> [Int] { values[value.index].description.shape }
  public func dtype(_ value: ValueID) -> DType { values[value.index].description.dtype }
  func description(_ value: ValueID) -> TensorDescription { values[value.index].description }

  func make(_ description: TensorDescription, _ source: ValueSource) -> ValueID {
    values.append(Value(description: description, source: source, label: label))
    return ValueID(index: values.count - 1)
  }

  public func input(_ description: TensorDescription) -> ValueID { make(description, .input) }
  public func constant(_ tensor: Tensor) -> ValueID { make(tensor.description, .constant(tensor)) }
  public func state(_ tensor: Tensor) -> ValueID { make(tensor.description, .state(tensor)) }

  /// The value of a weight; one value however often it is asked for.
  public func variable(_ variable: Variable) -> ValueID {
    if let known = variableValues[ObjectIdentifier(variable)] { return known }
    let value = make(variable.tensor.description, .variable(variable))
    variableValues[ObjectIdentifier(variable)] = value
    return value
  }

  /// The same memory under another shape.
  public func reshape(_ value: ValueID, to shape: [Int]) throws -> ValueID {
    guard shape.reduce(1, *) == description(value).count else {
      throw XferError.shape("\(label): \(self.shape(value)) cannot be reshaped to \(shape)")
    }
    return self.shape(value) == shape ? value : make(TensorDescription(shape, dtype(value)), .alias(value))
  }

  /// The value an alias stands for, however deep.
  func root(_ value: ValueID) -> ValueID {
    var value = value
    while case .alias(let of) = values[value.index].source { value = of }
    return value
  }

  func add(_ kind: OpKind, _ attributes: OpAttributes, _ inputs: [ValueID], outputs: [TensorDescription]) -> [ValueID] {
    let results = outputs.map { make($0, .node) }
    nodes.append(Node(kind: kind, attributes: attributes, inputs: inputs, outputs: results, label: label, phase: phase))
    return results
  }

  func add(_ kind: OpKind, _ attributes: OpAttributes, _ inputs: [ValueID], _ shape: [Int]) -> ValueID {
    add(kind, attributes, inputs, outputs: [TensorDescription(shape)])[0]
  }

  /// A node that writes over `targets`, given as weights or state tensors.
  func update(_ kind: OpKind, _ attributes: OpAttributes, _ inputs: [ValueID], targets: [(tensor: Tensor, variable: Variable?)]) {
    let results = targets.map { make($0.tensor.description, .update($0.tensor, $0.variable)) }
    for target in targets { if let variable = target.variable { updated.insert(ObjectIdentifier(variable)) } }
    nodes.append(Node(kind: kind, attributes: attributes, inputs: inputs, outputs: results, label: label, phase: .update))
  }

  /// Which node makes each value.
  func producers() -> [ValueID: Int] {
    var result: [ValueID: Int] = [:]
    for (index, node) in nodes.enumerated() { for output in node.outputs { result[output] = index } }
    return result
  }

  /// Nodes reading each memory (aliases resolved), in order.
  func consumers() -> [ValueID: [Int]] {
    var result: [ValueID: [Int]] = [:]
    for (index, node) in nodes.enumerated() { for input in node.inputs { result[root(input), default: []].append(index) } }
    return result
  }
}

extension Graph {
  /// Nodes made within belong to the update of weights: they run with it, and no pass moves or folds them.
  public func updating(_ body: () throws -> Void) rethrows {
    let outer = phase
    phase = .update
    defer { phase = outer }
    try body()
  }

  /// The weight behind a value, if it is one.
  public func variable(of value: ValueID) -> Variable? {
    if case .variable(let variable) = values[value.index].source { variable } else { nil }
  }

  /// Results of forward nodes that backward nodes read.
  public func valuesForBackward() -> [ValueID] {
    let forward = Set(nodes.filter { $0.phase == .forward }.flatMap(\.outputs))
    let read = nodes.filter { $0.phase == .backward }.flatMap { $0.inputs.map { root($0) } }
    return Set(read).intersection(forward).sorted { $0.index < $1.index }
  }
}
