import CXfer
public import XferCore

/// Where a network can be cut into a part that is the same in every epoch and the part that is trained.
///
/// Below the cut there is no weight that moves and nothing random, and every value of a sample is computed from that sample alone: what is
/// there for a sample once is there for good. The cut is named by fingerprints of the values, which do not depend on the batch size.
public struct FrozenPrefix {
  /// The values at the cut, in a fixed order.
  public let cut: [Digest]
  /// Elements of each value, per sample.
  public let counts: [Int]
  /// The weights and statistics the prefix reads.
  public let variables: [Variable]

  /// Elements of all values at the cut, per sample.
  public var count: Int { counts.reduce(0, +) }
}

extension Graph {
  /// Batch size of the graph that is analysed: a prime no layer has as a size, so that the batch can be told from other dimensions.
  public static let analysisBatch = 1009

  /// The best cut of a forward graph made for a batch of ``analysisBatch``; nil where nothing worth keeping is fixed.
  ///
  /// - Parameters:
  ///   - inputs: the samples.
  ///   - outputs: what the rest of the training step reads of the model.
  ///   - plastic: weights that move.
  public func frozenPrefix(inputs: [ValueID], outputs: [ValueID], plastic: Set<ObjectIdentifier>) throws -> FrozenPrefix? {
    let still = constantValues(plastic: plastic)
    let rowwise = rowwiseValues(inputs: inputs, still)
    // Arithmetic on the way to each value, counted once a node.
    var ancestors: [ValueID: Set<Int>] = [:]
    for (index, node) in nodes.enumerated() where node.outputs.count == 1 && rowwise.contains(node.outputs[0]) {
      var all: Set<Int> = [index]
      for value in node.inputs.map({ root($0) }) where rowwise.contains(value) { all.formUnion(ancestors[value] ?? []) }
      ancestors[node.outputs[0]] = all
    }
    func work(_ indices: Set<Int>) -> Double { indices.reduce(0) { $0 + flops(nodes[$1]) } / Double(Self.analysisBatch) }

    // What the moving part reads of the fixed one.
    var border: Set<ValueID> = []
    for node in nodes where !node.outputs.allSatisfy({ rowwise.contains($0) || still.contains($0) }) {
      border.formUnion(node.inputs.map { root($0) }.filter(rowwise.contains))
    }
    border.formUnion(outputs.map { root($0) }.filter(rowwise.contains))
    guard !border.isEmpty else { return nil }
    let everything = work(border.reduce(into: Set<Int>()) { $0.formUnion(ancestors[$1] ?? []) })
    guard everything > 0 else { return nil }

    // An input that the moving part reads itself is kept beside what is computed.
    let passed = border.intersection(inputs.map { root($0) })
    guard passed.allSatisfy({ dtype($0) == .float32 }) else { return nil }
    border.subtract(passed)
    let computed = smallestCut(from: inputs, to: border, rowwise) { value in
      // A cut that saves a tenth less memory and computes half of the network again is none.
      border.contains(value) || work(ancestors[value] ?? []) >= 0.9 * everything
    }
    guard !computed.isEmpty, !computed.contains(where: inputs.contains) else { return nil }
    let cut = computed + passed
    let fingerprints = fingerprints()
    let named = cut.compactMap { value in fingerprints[value].map { ($0, value) } }.sorted { ($0.0.high, $0.0.low) < ($1.0.high, $1.0.low) }
    let used = named.reduce(into: Set<Int>()) { $0.formUnion(ancestors[$1.1] ?? []) }
    return FrozenPrefix(
      cut: named.map(\.0), counts: named.map { description($0.1).count / Self.analysisBatch },
      variables: variables(of: used))
  }

  /// Whether each sample's part of every output is made of that sample alone; for a forward graph made for a batch of ``analysisBatch``.
  public func isSamplewise(inputs: [ValueID], outputs: [ValueID]) -> Bool {
    let rowwise = rowwiseValues(inputs: inputs, constantValues(plastic: []))
    return outputs.allSatisfy { rowwise.contains(root($0)) }
  }

  private func rowwiseValues(inputs: [ValueID], _ still: Set<ValueID>) -> Set<ValueID> {
    var rowwise = Set(inputs)
    let alike = alikeInEveryRow(still)
    for node in nodes where node.phase != .update && node.outputs.count == 1 && isRowwise(node, rowwise, still, alike) {
      rowwise.insert(node.outputs[0])
    }
    return rowwise
  }

  /// Fixed values that have a row for each sample and the same in each: numbers spread over the batch, and what is made of them element by element.
  private func alikeInEveryRow(_ still: Set<ValueID>) -> Set<ValueID> {
    var alike: Set<ValueID> = []
    for node in nodes where node.outputs.count == 1 && still.contains(node.outputs[0]) {
      switch node.kind {
      case .broadcast: if isSpread(node) { alike.insert(node.outputs[0]) }
      case .unary, .binary:
        if node.inputs.allSatisfy({ alike.contains(root($0)) || description($0).count == 1 }) { alike.insert(node.outputs[0]) }
      default: break
      }
    }
    return alike
  }

  /// Whether a broadcast repeats one row.
  private func isSpread(_ node: Node) -> Bool { node.kind == .broadcast && shape(node.inputs[0])[0] == 1 }

  private func variables(of indices: Set<Int>) -> [Variable] {
    var found: [Variable] = []
    var (seen, pending) = (Set<ValueID>(), indices.sorted().flatMap { nodes[$0].inputs.map { root($0) } })
    let producers = producers()
    while let value = pending.popLast() {
      guard seen.insert(value).inserted else { continue }
      if case .variable(let variable) = values[value.index].source { found.append(variable) }
      if let index = producers[value] { pending += nodes[index].inputs.map { root($0) } }
    }
    return found.sorted { $0.identity < $1.identity }
  }

  /// Whether each sample's part of the output is made of that sample's parts of the inputs, and of values that stay.
  private func isRowwise(_ node: Node, _ rowwise: Set<ValueID>, _ still: Set<ValueID>, _ alike: Set<ValueID>) -> Bool {
    let n = Self.analysisBatch
    let moving = node.inputs.filter { !still.contains(root($0)) }
    guard !moving.isEmpty, moving.allSatisfy({ rowwise.contains(root($0)) }), description(node.outputs[0]).count % n == 0 else {
      return false
    }
    let first = shape(node.inputs[0])
    let output = shape(node.outputs[0])
    switch node.kind {
    case .conv2D, .depthwiseConv2D, .pool2D, .activation, .scaleShift, .permuteChannels, .cast, .resizeBilinear, .unary, .select,
      .conv2DBackwardInput:
      return moving.count == node.inputs.count || root(moving[0]) == root(node.inputs[0])
    case .softmax, .reduce, .broadcast, .gather: return first[0] % n == 0 && moving.count == 1
    case .matmul:
      guard case .matmul(let attributes) = node.attributes, root(moving[0]) == root(node.inputs[0]), !still.contains(root(node.inputs[0]))
      else { return false }
      return first.count == 3 ? first[0] % n == 0 && shape(node.inputs[1])[0] % n == 0 : attributes.transpose_a == 0 && first[0] % n == 0
    case .binary:
      // A fixed operand may not differ from sample to sample.
      return node.inputs.allSatisfy { input in
        let s = shape(input)
        guard still.contains(root(input)) else { return s.first.map { $0 % n == 0 } ?? false }
        return alike.contains(root(input)) || s.first == 1 || s.count < output.count
      }
    case .pad, .slice, .transpose: return first.first == output.first && first.first.map { $0 % n == 0 } ?? false
    case .concat:
      guard case .axis(let attributes) = node.attributes else { return false }
      return attributes.axis != 0 && node.inputs.allSatisfy { rowwise.contains(root($0)) || alike.contains(root($0)) }
    case .imageTransform: return node.inputs.allSatisfy { rowwise.contains(root($0)) || alike.contains(root($0)) }
    default: return false
    }
  }

  /// Names a weight within this process.
  public static func identity(_ variable: Variable) -> Digest {
    var digest = Digest()
    digest.combine(variable.identity)
    return digest
  }

  /// Fingerprints of values by how they are computed; equal for equal computations of other graphs and batch sizes.
  ///
  /// - Parameter naming: what stands for a weight: its identity, or something another process would call it by too.
  public func fingerprints(naming: (Variable) -> Digest = Graph.identity) -> [ValueID: Digest] {
    var result: [ValueID: Digest] = [:]
    // What is made of weights and constants alone.
    var fixed: Set<ValueID> = []
    var inputs = 0
    for (index, value) in values.enumerated() {
      var digest = Digest()
      switch value.source {
      case .input:
        // Inputs are told apart by their order: a shared layer makes different values of two of them.
        digest.combine("input \(inputs) \(value.description.dtype.name) \(value.description.shape.dropFirst())")
        inputs += 1
      case .variable(let variable):
        fixed.insert(ValueID(index: index))
        digest.combine("variable")
        digest.combine(naming(variable))
      case .constant(let tensor):
        fixed.insert(ValueID(index: index))
        digest.combine("constant \(tensor.shape)")
        digest.combine(UnsafeRawBufferPointer(start: tensor.data, count: tensor.byteCount))
      default: continue
      }
      result[ValueID(index: index)] = digest
    }
    for node in nodes where node.phase == .forward {
      let inputs = node.inputs.map { result[root($0)] }
      guard inputs.allSatisfy({ $0 != nil }) else { continue }
      if node.inputs.allSatisfy({ fixed.contains(root($0)) }) { fixed.formUnion(node.outputs) }
      if isSpread(node), fixed.contains(node.outputs[0]), let input = inputs[0] {
        // In a batch of one sample nothing is repeated.
        result[node.outputs[0]] = input
        continue
      }
      for (place, output) in node.outputs.enumerated() {
        var digest = Digest()
        digest.combine("\(node.kind.rawValue) \(place) \(shape(output).dropFirst()) \(node.inputs.map { shape($0).dropFirst() })")
        node.attributes.bytes.withUnsafeBytes { digest.combine($0) }
        for input in inputs { if let input { digest.combine(input) } }
        result[output] = digest
      }
    }
    return result
  }

  // MARK: Two graphs of one

  /// Makes values inputs of the graph: what computed them goes. For the part above a cut.
  public func cut(at cutValues: [ValueID]) {
    for value in cutValues { values[value.index].source = .input }
    let chosen = Set(cutValues)
    nodes.removeAll { node in node.outputs.contains(where: chosen.contains) }
  }

  /// Drops every node that no kept value and no update needs.
  ///
  /// - Parameter updates: whether what updates weights and statistics stays.
  public func prune(keeping kept: [ValueID], updates: Bool = true) {
    var needed = Set(kept.map { root($0) })
    var order: [Node] = []
    for node in nodes.reversed() where (updates && node.phase == .update) || node.outputs.contains(where: needed.contains) {
      needed.formUnion(node.inputs.map { root($0) })
      order.append(node)
    }
    nodes = order.reversed()
    // What is not drawn from any more does not move on.
    randomStates.removeAll { state in
      !needed.contains { value in if case .state(let tensor) = values[value.index].source { tensor === state } else { false } }
    }
  }
}
