import Glibc
public import XferCore
import XferGraph

/// Where `fit` keeps what the frozen part of a model makes of each sample.
public enum FeatureCaching: Sendable, Equatable {
  /// Nowhere: everything is computed in every epoch.
  case off
  /// In memory, up to `budget` bytes; nil for a quarter of the machine's.
  case memory(budget: Int? = nil)
  /// In a file of `folder` that outlives the process; nil for `$XFER_CACHE`, else `~/.cache/xfer/features`.
  case disk(folder: String? = nil, budget: Int? = nil)
}

/// The frozen part of a model, run once a sample.
///
/// Its outputs are kept by a digest of the sample and of everything the frozen part is made of. Kernels give a sample the same bits in every
/// batch, so training from kept rows gives the same bits as computing them again (backends that do not promise this differ by rounding).
final class FeatureCache {
  let prefix: FrozenPrefix
  let store: any FeatureStore
  private let model: Unmanaged<Model>
  private let versions: [UInt64]
  private var plans: [Int: (plan: Plan, inputs: [ValueID], cut: [ValueID])] = [:]
  private var rows: [Int: [Tensor]] = [:]
  private let arena = Arena()

  /// Nil when the model has no part worth it: nothing frozen below the first trained layer, random layers there, or open dimensions.
  ///
  /// - Parameter known: stores of earlier calls, by the digest of what filled them.
  init?(_ model: Model, plastic: [Variable], caching: FeatureCaching, known: inout [Digest: any FeatureStore]) throws {
    guard caching != .off, model.inputs.allSatisfy({ !$0.shape.dropFirst().contains(nil) }) else { return nil }
    let (graph, inputs, outputs) = try Self.lower(model, batch: Graph.analysisBatch, training: true)
    let moving = Set(plastic.map { ObjectIdentifier($0) })
    // Losses read the logits behind an output where there are any.
    let read = try outputs + outputs.compactMap { try graph.logits(behind: $0) } + graph.losses
    guard let prefix = try graph.frozenPrefix(inputs: inputs, outputs: read, plastic: moving), !prefix.variables.isEmpty
    else { return nil }
    // What looks different in another batch cannot be cut there.
    for batch in [1, 3] {
      let found = Set(try Self.lower(model, batch: batch, training: true).graph.fingerprints().values)
      guard prefix.cut.allSatisfy(found.contains) else { return nil }
    }
    self.prefix = prefix
    self.model = Unmanaged.passUnretained(model)
    versions = prefix.variables.map(\.version)
    let digest = Self.contents(graph, prefix)
    if let store = known[digest] {
      self.store = store
      return
    }
    let rowBytes = prefix.count * DType.float32.size
    let quarter = max(1 << 28, physicalMemory / 4)
    switch caching {
    case .off: return nil
    case .memory(let budget): store = MemoryFeatureStore(rowBytes: rowBytes, budget: budget ?? quarter)
    case .disk(let folder, let budget):
      store = try DiskFeatureStore(
        folder: folder ?? Self.defaultFolder, prefix: digest, rowBytes: rowBytes, budget: budget ?? Self.diskBudget)
    }
    // Those of other prefixes will hardly be asked for again.
    known = [digest: store]
  }

  private static let diskBudget = 8 << 30

  private static var defaultFolder: String {
    if let folder = getenv("XFER_CACHE") { return String(cString: folder) }
    let home = getenv("HOME").map { String(cString: $0) } ?? "."
    return "\(home)/.cache/xfer/features"
  }

  /// What the kept rows depend on beside the sample: the computation, the contents of its weights, the backend.
  private static func contents(_ graph: Graph, _ prefix: FrozenPrefix) -> Digest {
    let own = Set(prefix.variables.map { ObjectIdentifier($0) })
    let names = graph.fingerprints { variable in
      var digest = Digest()
      if own.contains(ObjectIdentifier(variable)) {
        digest.combine(UnsafeRawBufferPointer(start: variable.tensor.data, count: variable.tensor.byteCount))
      }
      return digest
    }
    let places = graph.fingerprints()
    let values = Dictionary(places.map { ($0.value, $0.key) }) { first, _ in first }
    var digest = Digest()
    for value in prefix.cut { if let found = values[value].flatMap({ names[$0] }) { digest.combine(found) } }
    digest.combine(graph.precision.name)
    digest.combine(((try? Backend.ordered()) ?? []).map { "\($0.name) \($0.version)" }.joined(separator: ","))
    return digest
  }

  /// Whether what is kept is still what the frozen part would compute.
  var isCurrent: Bool { zip(prefix.variables, versions).allSatisfy { $0.version == $1 } }

  static func lower(_ model: Model, batch: Int, training: Bool) throws -> (graph: Graph, inputs: [ValueID], outputs: [ValueID]) {
    let graph = Graph(precision: model.precision)
    let inputs = model.inputs.map { graph.input(TensorDescription([batch] + $0.shape.dropFirst().map { $0 ?? 1 }, $0.dtype)) }
    return (graph, inputs, try model.emitAll(inputs, LoweringContext(graph: graph, training: training)))
  }

  /// The values of the cut in another lowering of the model; nil where it computes something else.
  func cut(in graph: Graph) -> [ValueID]? {
    let found = Dictionary(graph.fingerprints().map { ($0.value, $0.key) }) { first, second in first.index < second.index ? first : second }
    let values = prefix.cut.compactMap { found[$0] }
    return values.count == prefix.cut.count ? values : nil
  }

  // MARK: Rows

  /// The digests of a batch's samples, from the data set or from their bytes.
  static func keys(_ batch: Batch) -> [Digest] {
    if !batch.keys.isEmpty { return batch.keys }
    return (0..<batch.count).map { row in digest(batch.inputs, row: row) }
  }

  static func digest(_ inputs: [Tensor], row: Int) -> Digest {
    var digest = Digest()
    for input in inputs {
      let bytes = input.byteCount / max(input.shape.first ?? 1, 1)
      digest.combine(UInt64(input.dtype.rawValue))
      digest.combine(UnsafeRawBufferPointer(start: input.data + row * bytes, count: bytes))
    }
    return digest
  }

  /// The values of the cut for a batch: what is kept, and the rest computed and kept. Valid until the next call.
  func features(_ batch: Batch) throws -> [Tensor] {
    let keys = Self.keys(batch)
    let result = try rows[keys.count] ?? prefix.counts.map { try Tensor(zeros: [keys.count, $0]) }
    rows[keys.count] = result
    let row = UnsafeMutableRawPointer.allocate(byteCount: store.rowBytes, alignment: 16)
    defer { row.deallocate() }
    var missing: [Int] = []
    for (index, key) in keys.enumerated() {
      if store.read(key, into: row) { spread(row, to: result, index) } else { missing.append(index) }
    }
    guard !missing.isEmpty else { return result }
    guard !batch.inputs.isEmpty else { throw XferError.internal("samples were left out that are not known") }
    let inputs = missing.count == keys.count ? batch.inputs : try batch.inputs.map { try gatherRows($0, missing) }
    let made = try compute(inputs)
    for (place, index) in missing.enumerated() {
      for (tensor, count) in zip(zip(made, result), prefix.counts) {
        (tensor.1.data + index * count * 4).copyMemory(from: tensor.0.data + place * count * 4, byteCount: count * 4)
      }
      gather(result, index, to: row)
      store.insert(keys[index], row)
    }
    return result
  }

  private func spread(_ row: UnsafeMutableRawPointer, to tensors: [Tensor], _ index: Int) {
    var offset = 0
    for (tensor, count) in zip(tensors, prefix.counts) {
      (tensor.data + index * count * 4).copyMemory(from: row + offset, byteCount: count * 4)
      offset += count * 4
    }
  }

  private func gather(_ tensors: [Tensor], _ index: Int, to row: UnsafeMutableRawPointer) {
    var offset = 0
    for (tensor, count) in zip(tensors, prefix.counts) {
      (row + offset).copyMemory(from: tensor.data + index * count * 4, byteCount: count * 4)
      offset += count * 4
    }
  }

  /// Runs the frozen part.
  private func compute(_ inputs: [Tensor]) throws -> [Tensor] {
    let model = model.takeUnretainedValue()
    let count = inputs[0].shape[0]
    let converted = try zip(inputs, model.inputs).map { try $0.converted(to: $1.dtype) }
    let part = try plan(model, count).plan.rowsAtATime(of: count)
    if part == count { return try run(model, converted) }
    let parts = try stride(from: 0, to: count, by: part).map { begin in
      try run(model, converted.map { $0.rows(begin..<min(begin + part, count)) }).map { try $0.copy() }
    }
    return try parts[0].indices.map { index in try Tensor(joining: parts.map { $0[index] }) }
  }

  private func run(_ model: Model, _ inputs: [Tensor]) throws -> [Tensor] {
    let step = try plan(model, inputs[0].shape[0])
    try step.plan.run(Array(zip(step.inputs, inputs)))
    return try step.cut.map { try step.plan.read($0) }
  }

  /// The plan of the frozen part for so many samples.
  func plan(_ count: Int) throws -> Plan { try plan(model.takeUnretainedValue(), count).plan }

  private func plan(_ model: Model, _ count: Int) throws -> (plan: Plan, inputs: [ValueID], cut: [ValueID]) {
    let step = try plans[count] ?? makePlan(model, count)
    plans[count] = step
    return step
  }

  private func makePlan(_ model: Model, _ count: Int) throws -> (plan: Plan, inputs: [ValueID], cut: [ValueID]) {
    let (graph, inputs, _) = try Self.lower(model, batch: count, training: true)
    guard let cut = cut(in: graph) else { throw XferError.internal("the frozen part of '\(model.name)' was not found again") }
    graph.prune(keeping: cut, updates: false)
    var options = Plan.Options()
    (options.arena, options.kept) = (arena, cut)
    return (try Plan(graph, options: options), inputs, cut)
  }
}
