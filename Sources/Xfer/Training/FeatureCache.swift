import Glibc
import XferCore
import XferGraph

/// The frozen part of a model, run once a sample.
///
/// Its outputs are kept by a digest of the sample and of everything the frozen part is made of. Kernels give a sample the same bits in every
/// batch, so training from kept rows gives the same bits as computing them again (backends that do not promise this differ by rounding).
final class FeatureCache {
  /// What a store's rows are, and how they are kept.
  struct StoreKey: Hashable {
    let contents: Digest
    let place: FeatureCaching.Place
    let budget: Int?
  }

  let part: FrozenPart
  let store: any FeatureStore
  let storeKey: StoreKey
  private let layout: FeatureRows
  private let variants: Int
  /// Which augmentation of the samples this epoch has.
  private var variant = 0
  private let model: Unmanaged<Model>
  private let versions: [UInt64]
  /// What runs so many samples at once.
  private var plans: [Int: SamplePlans.Part] = [:]
  private let arenas: Arenas
  private let parts: SamplePlans
  private var draws: SampleDraws?
  private var rows: [Int: [Tensor]] = [:]

  /// - Parameters:
  ///   - known: stores of earlier calls.
  ///   - share: into how many caches the budget is divided.
  init(_ model: Model, _ part: FrozenPart, _ caching: FeatureCaching, known: inout [StoreKey: any FeatureStore], share: Int = 1) throws {
    (self.part, self.model) = (part, Unmanaged.passUnretained(model))
    layout = FeatureRows(counts: part.prefix.counts, dtype: caching.dtype)
    arenas = Arenas()
    parts = SamplePlans(arenas: arenas)
    variants = part.isAugmented ? caching.variants ?? 1 : 1
    versions = part.prefix.variables.map(\.version)
    var contents = part.contents(precision: model.precision)
    contents.combine(caching.dtype.name)
    let storeKey = StoreKey(contents: contents, place: caching.place, budget: caching.budget)
    self.storeKey = storeKey
    // One of another budget has the same file, which has one writer.
    known = known.filter { $0.key == storeKey || $0.key.contents != contents }
    store = try known[storeKey] ?? caching.makeStore(contents, rowBytes: layout.bytes, share: share)
  }

  /// Whether what is kept is still what the frozen part would compute.
  var isCurrent: Bool { zip(part.prefix.variables, versions).allSatisfy { $0.version == $1 } }

  func begin(epoch: Int) { variant = epoch % variants }

  /// Whether all rows of a sample are there, so that its inputs may be left out: a data set that reads ahead may do so for another epoch.
  /// The store, unlike the cache, may be asked from any thread.
  func knows() -> @Sendable (Digest) -> Bool {
    let (store, variants, seeds) = (store, variants, part.seeds)
    return { sample in (0..<variants).allSatisfy { store.contains(Self.key(sample, $0, seeds)) } }
  }

  // MARK: Rows

  /// What one of a sample's augmentations is called; the sample itself where there is none.
  private static func key(_ sample: Digest, _ variant: Int, _ seeds: Digest?) -> Digest {
    guard let seeds else { return sample }
    var digest = sample
    digest.combine(UInt64(variant))
    digest.combine(seeds)
    return digest
  }

  /// The keys of a batch's rows: from the samples' digests, which the data set knows or which are made of their bytes.
  private func keys(_ batch: Batch) -> [Digest] {
    let samples = batch.keys.isEmpty ? (0..<batch.count).map { Self.digest(batch.inputs, row: $0) } : batch.keys
    let seeds = part.seeds
    return samples.map { Self.key($0, variant, seeds) }
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
    let keys = keys(batch)
    let result = try rows[keys.count] ?? part.prefix.counts.map { try Tensor(zeros: [keys.count, $0]) }
    rows[keys.count] = result
    let row = UnsafeMutableRawPointer.allocate(byteCount: store.rowBytes, alignment: 16)
    defer { row.deallocate() }
    let missing = read(keys, from: store, through: row, to: result)
    guard !missing.isEmpty else { return result }
    guard !batch.inputs.isEmpty else { throw XferError.internal("samples were left out that are not known") }
    let inputs = missing.count == keys.count ? batch.inputs : try batch.inputs.map { try gatherRows($0, missing) }
    let made = try compute(inputs, missing.map { keys[$0] }, of: keys.count)
    for (place, index) in missing.enumerated() {
      layout.write(made, place, to: row)
      layout.read(row, to: result, index)
      store.insert(keys[index], row)
    }
    return result
  }

  /// Reads kept rows; the places of those that are not there.
  private func read(
    _ keys: [Digest], from store: any FeatureStore, through row: UnsafeMutableRawPointer, to result: [Tensor]
  ) -> [Int] {
    var missing: [Int] = []
    for (index, key) in keys.enumerated() {
      if store.read(key, into: row) { layout.read(row, to: result, index) } else { missing.append(index) }
    }
    return missing
  }

  /// Seconds it takes to read `count` kept rows among those of `samples`: the middle one of several measurements.
  func secondsToRead(_ count: Int, of samples: Int) throws -> Double {
    // As many as are sure not to be in the processor's caches.
    let rows = min(samples, max(count, (64 << 20) / layout.bytes))
    let keys = (0..<UInt64(rows)).map { Digest(high: $0 &* 0x9E37_79B9_7F4A_7C15, low: $0) }
    let kept = MemoryFeatureStore(rowBytes: layout.bytes, budget: .max)
    let row = UnsafeMutableRawPointer.allocate(byteCount: layout.bytes, alignment: 16)
    defer { row.deallocate() }
    memset(row, 0, layout.bytes)
    for key in keys { kept.insert(key, row) }
    let result = try part.prefix.counts.map { try Tensor(zeros: [count, $0]) }
    return (0..<5).map { turn in
      let batch = (0..<count).map { keys[(turn * count + $0) % rows] }
      let begin = monotonicSeconds()
      _ = read(batch, from: kept, through: row, to: result)
      return monotonicSeconds() - begin
    }.sorted()[2]
  }

  /// Runs the frozen part.
  ///
  /// - Parameter batch: samples of the batch these are of.
  private func compute(_ inputs: [Tensor], _ keys: [Digest], of batch: Int) throws -> [Tensor] {
    let model = model.takeUnretainedValue()
    let count = keys.count
    let samples = try zip(inputs, model.inputs).map { try $0.converted(to: $1.dtype) }
    // Making a plan makes the draws too.
    let division = try plan(batch).division(of: batch)
    let run: ([Tensor]) throws -> [Tensor]
    if let division {
      // In parts of one size, however many are missing: each size has a plan.
      run = { [parts] in try parts.run($0, division) { try self.makePart(model, $0, $1) } }
    } else {
      run = try whole(model, count).run
    }
    return try run(samples + (draws?.numbers(keys) ?? []))
  }

  /// The plan of the frozen part for so many samples.
  func plan(_ count: Int) throws -> Plan { try whole(model.takeUnretainedValue(), count).plan }

  private func whole(_ model: Model, _ count: Int) throws -> SamplePlans.Part {
    let part = try plans[count] ?? makePart(model, count, arenas[0])
    plans[count] = part
    return part
  }

  private func makePart(_ model: Model, _ count: Int, _ arena: Arena) throws -> SamplePlans.Part {
    let network = try part.lowered(model, batch: count)
    let cut = try part.knownCut(in: network.graph, of: model)
    if part.isAugmented, draws == nil { draws = try SampleDraws(network.draws, of: network.graph) }
    network.graph.prune(keeping: cut, updates: false)
    var options = Plan.Options()
    (options.arena, options.kept) = (arena, cut)
    return SamplePlans.Part(plan: try Plan(network.graph, options: options), inputs: network.inputs, outputs: cut)
  }
}
