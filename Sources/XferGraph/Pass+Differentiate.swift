public import XferCore

/// Reverse-mode differentiation: appends to a graph the nodes that compute gradients, along the paths to the wanted values only.
///
/// The rules are in `Gradient+….swift`, one function an op. Aliases need none: a gradient moves to the memory behind it.
struct Differentiate {
  let graph: Graph
  /// Values through which a wanted value is reached.
  private var relevant: Set<ValueID> = []
  private var gradients: [ValueID: ValueID] = [:]
  private let producers: [ValueID: Int]

  /// - Parameters:
  ///   - seeds: values with the gradient that comes in from above, of the same shape.
  ///   - wanted: weights and inputs whose gradients are asked for.
  ///   - completed: called as soon as a wanted value's gradient is complete, so that an update may follow at once. Its
  ///     last reader in the backward pass is already in the graph then.
  static func run(
    _ graph: Graph, seeds: [(value: ValueID, gradient: ValueID)], wanted: [ValueID], completed: (ValueID, ValueID?) throws -> Void
  ) throws {
    var pass = Differentiate(graph: graph, wanted: wanted)
    try pass.backward(seeds, wanted, completed)
  }

  private init(graph: Graph, wanted: [ValueID]) {
    self.graph = graph
    producers = graph.producers()
    relevant = Set(wanted)
    for node in graph.nodes where node.phase == .forward && node.inputs.contains(where: { relevant.contains(graph.root($0)) }) {
      relevant.formUnion(node.outputs)
    }
  }

  private mutating func backward(
    _ seeds: [(value: ValueID, gradient: ValueID)], _ wanted: [ValueID], _ completed: (ValueID, ValueID?) throws -> Void
  ) throws {
    graph.phase = .backward
    defer { graph.phase = .forward }
    let count = graph.nodes.count
    // The first node that reads a wanted value is the last whose gradient adds to it.
    var firstReader: [ValueID: Int] = [:]
    for (index, node) in graph.nodes.enumerated() where node.phase == .forward {
      for input in node.inputs where firstReader[graph.root(input)] == nil { firstReader[graph.root(input)] = index }
    }
    var finishing: [Int: [ValueID]] = [:]
    for seed in seeds { try accumulate(seed.gradient, into: seed.value) }
    for value in wanted {
      // What no op reads may be a result itself, by another name: a reshaped input.
      if let index = firstReader[value] { finishing[index, default: []].append(value) } else { try completed(value, gradients[value]) }
    }
    for index in stride(from: count - 1, through: 0, by: -1) {
      let node = graph.nodes[index]
      graph.label = node.label
      if node.phase == .forward, node.outputs.contains(where: { gradients[$0] != nil && relevant.contains($0) }) {
        for (input, gradient) in try rule(node) { try accumulate(gradient, into: input) }
      }
      for value in finishing[index] ?? [] { try completed(value, gradients[value]) }
    }
  }

  private mutating func accumulate(_ gradient: ValueID, into value: ValueID) throws {
    let target = graph.root(value)
    guard relevant.contains(target) else { return }
    let shaped = try graph.reshape(gradient, to: graph.shape(target))
    gradients[target] = try gradients[target].map { try graph.binary(.add, $0, shaped) } ?? shaped
  }

  // MARK: What rules ask

  func wants(_ value: ValueID) -> Bool { relevant.contains(graph.root(value)) }

  /// The gradient of an output, in the output's shape.
  func gradient(_ output: ValueID) throws -> ValueID? {
    try gradients[output].map { try graph.reshape($0, to: graph.shape(output)) }
  }

  func producer(of value: ValueID) -> Node? { producers[graph.root(value)].map { graph.nodes[$0] } }

  private func rule(_ node: Node) throws -> [(ValueID, ValueID)] {
    guard let dy = try gradient(node.outputs[0]) else { return [] }
    switch node.kind {
    case .matmul: return try matmul(node, dy)
    case .conv2D, .depthwiseConv2D: return try convolution(node, dy)
    case .pool2D: return pool(node, dy)
    case .reduce: return try reduce(node, dy)
    case .activation: return activation(node, dy)
    case .softmax: return [(node.inputs[0], graph.add(.softmaxBackward, .none, [node.outputs[0], dy], graph.shape(dy)))]
    case .binary: return try binary(node, dy)
    case .scaleShift: return try scaleShift(node, dy)
    case .concat: return concat(node, dy)
    case .pad: return pad(node, dy)
    case .permuteChannels: return try permuteChannels(node, dy)
    case .dropout: return [(node.inputs[0], graph.add(.dropout, node.attributes, [dy, node.inputs[1]], graph.shape(dy)))]
    case .binaryCrossentropy, .sparseCategoricalCrossentropy: return crossentropy(node, dy)
    case .unary: return try unary(node, dy)
    case .transpose: return try transpose(node, dy)
    case .gather: return gather(node, dy)
    case .slice: return slice(node, dy)
    case .select: return try select(node, dy)
    case .broadcast: return try broadcast(node, dy)
    case .conv2DBackwardInput: return convolutionTranspose(node, dy)
    case .resizeBilinear: return try resizeBilinear(node, dy)
    case .cast, .random: return []
    case .custom: return try custom(node, dy)
    default: throw XferError.unsupported("\(node.label): \(node.kind.name) has no gradient")
    }
  }
}

extension Graph {
  /// See ``Differentiate/run(_:seeds:wanted:completed:)``.
  public func differentiate(
    seeds: [(value: ValueID, gradient: ValueID)], wanted: [ValueID], completed: (ValueID, ValueID?) throws -> Void
  ) throws {
    try Differentiate.run(self, seeds: seeds, wanted: wanted, completed: completed)
  }
}
