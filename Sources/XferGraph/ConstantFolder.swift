import CXfer
import XferCore

/// What a plan computes ahead of its runs: nodes whose inputs are constant, and constants packed for the backend that reads them.
final class ConstantFolder {
  private let graph: Graph
  private let constant: Set<ValueID>
  private let backends: [Backend]
  private let nodes: [Node]
  private var kernels: [Kernel] = []
  private var results: [ValueID: Tensor] = [:]
  private var packings: [PackingSite: Packing] = [:]
  /// Constant results some kernel reads as they are.
  private var plainReads: Set<ValueID> = []

  private struct PackingSite: Hashable { let output: ValueID; let input: Int }
  private struct Packing {
    let op: OpSpecification
    let value: ValueID
    let backend: Backend
    let bytes: Int
    let layout: UInt64
    var packed: Tensor?
  }

  init(_ graph: Graph, constant: Set<ValueID>, running: [Node], backends: [Backend]) throws {
    self.graph = graph
    self.constant = constant
    self.backends = backends
    var needed: Set<ValueID> = Set(running.flatMap { $0.inputs.map { graph.root($0) } })
    var order: [Node] = []
    for node in graph.nodes.reversed() where node.phase != .update && node.outputs.allSatisfy(constant.contains) {
      guard node.outputs.contains(where: needed.contains) else { continue }
      needed.formUnion(node.inputs.map { graph.root($0) })
      order.append(node)
    }
    nodes = order.reversed()
    kernels = try nodes.map { node in
      let op = graph.specification(node, constant: [])
      return try Kernel(op, backend: op.choose(among: backends), packed: 0)
    }
  }

  /// Chooses a backend for a running node and prepares its kernel, its constants packed where the backend wants that.
  func prepare(_ node: Node) throws -> Kernel {
    let op = graph.specification(node, constant: constant)
    if case .custom(let custom) = node.attributes {
      plainReads.formUnion(node.inputs.map { graph.root($0) }.filter(constant.contains))
      return try Kernel(custom, op)
    }
    let backend = try op.choose(among: backends)
    var packed: UInt64 = 0
    for (index, input) in node.inputs.enumerated().prefix(64) where op.constants >> UInt64(index) & 1 == 1 {
      let value = graph.root(input)
      if let packing = op.packing(of: index, by: backend) {
        packed |= 1 << UInt64(index)
        packings[PackingSite(output: node.outputs[0], input: index)] = Packing(
          op: op, value: value, backend: backend, bytes: packing.bytes, layout: packing.layout)
      } else {
        plainReads.insert(value)
      }
    }
    return try Kernel(op, backend: backend, packed: packed)
  }

  /// Computes and packs all constants from the weights' present values.
  func refresh() throws {
    // The old packed forms may be found again in the shared cache: keep them until the new ones are there.
    let previous = packings
    results = [:]
    var keys: [ValueID: String] = [:]
    var missing: [ValueID: [(site: PackingSite, key: String)]] = [:]
    for (site, packing) in packings {
      let key = PackedWeights.key(
        try key(packing.value, &keys), packing.op, input: site.input, backend: packing.backend, layout: packing.layout)
      packings[site]?.packed = PackedWeights.known(key)
      if packings[site]?.packed == nil { missing[packing.value, default: []].append((site, key)) }
    }
    for value in missing.keys where !isFolded(value) { try pack(value, &missing) }
    // What only packed forms are made of that are there already is not computed.
    var wanted = plainReads.union(missing.keys)
    let steps = zip(nodes, kernels).reversed().filter { node, _ in
      guard node.outputs.contains(where: wanted.contains) else { return false }
      wanted.formUnion(node.inputs.map { graph.root($0) })
      return true
    }.reversed()
    // Each result goes as soon as it is packed and nothing else reads it: folded weights are as large as the weights.
    var lastRead: [ValueID: Int] = [:]
    for (index, (node, _)) in steps.enumerated() { for input in node.inputs { lastRead[graph.root(input)] = index } }
    for (index, (node, kernel)) in steps.enumerated() {
      let outputs = try node.outputs.map { try Tensor(zeros: graph.shape($0), dtype: graph.dtype($0)) }
      let workspace = try Tensor(zeros: [kernel.workspace + 64], dtype: .uint8)
      let inputs = try node.inputs.map { UnsafeRawPointer(try source($0)) as UnsafeRawPointer? }
      let pointers = outputs.map { $0.data as UnsafeMutableRawPointer? }
      try inputs.withUnsafeBufferPointer { inputs in
        try pointers.withUnsafeBufferPointer { pointers in
          guard let ins = inputs.baseAddress, let outs = pointers.baseAddress else { return }
          try kernel.execute(ins, outs, workspace.data)
        }
      }
      for (value, tensor) in zip(node.outputs, outputs) {
        results[value] = tensor
        try pack(value, &missing)
      }
      for value in node.inputs.map({ graph.root($0) }) + node.outputs
      where lastRead[value, default: index] <= index && !plainReads.contains(value) { results[value] = nil }
    }
    _ = previous
  }

  private func isFolded(_ value: ValueID) -> Bool { if case .node = graph.values[value.index].source { true } else { false } }

  /// Makes the packed forms of a value that are missing.
  private func pack(_ value: ValueID, _ missing: inout [ValueID: [(site: PackingSite, key: String)]]) throws {
    for (site, key) in missing.removeValue(forKey: value) ?? [] {
      guard let packing = packings[site] else { continue }
      packings[site]?.packed =
        try PackedWeights.known(key)
        ?? PackedWeights.make(key, packing.op, input: site.input, backend: packing.backend, bytes: packing.bytes, source: source(value))
    }
  }

  /// Of packed and of folded constants, each layout of a value once.
  var bytes: Int {
    var sizes: [String: Int] = [:]
    for packing in packings.values { sizes["\(packing.value.index) \(packing.layout)"] = packing.bytes }
    let plain = plainReads.filter(isFolded).reduce(0) { $0 + graph.description($1).byteCount }
    return sizes.values.reduce(plain, +)
  }

  func packed(_ node: Node, _ input: Int) -> UnsafeMutableRawPointer? {
    node.outputs.first.flatMap { packings[PackingSite(output: $0, input: input)]?.packed?.data }
  }

  func address(_ value: ValueID) -> UnsafeMutableRawPointer? { results[value]?.data }

  private func source(_ value: ValueID) throws -> UnsafeMutableRawPointer {
    let root = graph.root(value)
    switch graph.values[root.index].source {
    case .variable(let variable): return variable.tensor.data
    case .constant(let tensor), .state(let tensor): return tensor.data
    default:
      guard let tensor = results[root] else { throw XferError.internal("constant '\(graph.values[root.index].label)' was not computed") }
      return tensor.data
    }
  }

  /// A text that is equal for equal constants: how a value was computed, from which weights in which version.
  private func key(_ value: ValueID, _ known: inout [ValueID: String]) throws -> String {
    let root = graph.root(value)
    if let text = known[root] { return text }
    let text: String
    switch graph.values[root.index].source {
    case .variable(let variable): text = "v\(variable.identity).\(variable.version)"
    case .constant(let tensor): text = "c\(tensor.identity)"
    default:
      guard let node = nodes.first(where: { $0.outputs.contains(root) }) else { throw XferError.internal("a constant without a source") }
      let inputs = try node.inputs.map { try key($0, &known) + "\(graph.shape($0))" }
      text = "(\(node.kind.rawValue) \(node.attributes.bytes) \(inputs.joined(separator: " ")) \(node.outputs.firstIndex(of: root) ?? 0))"
    }
    known[root] = text
    return text
  }
}
