import Glibc
import Synchronization
import CXfer
import XferCore

/// Which of a backend's variants of an op is the fastest on this machine, measured once and kept for later processes.
///
/// A backend that knows several variants says how many (`variants` of its table). All give the same bits, so what is chosen never shows in a result, and they can
/// be tried in the middle of real work: the first runs of a plan use them in turn, with a clock beside them, until each has been seen often
/// enough. Nothing is computed for the sake of measuring, but for ``merges(_:_:among:)``. Variant 0, the backend's own choice, serves where `XFER_TUNE=0` switches this off, and for ops too
/// small to measure.
///
/// FFTW's planner (Frigo and Johnson 2005, The Design and Implementation of FFTW3) and cuDNN's benchmark mode measure on scratch data instead.
final class Tuner: Sendable {
  static let shared = Tuner(
    path: getenv("XFER_TUNE").map { String(cString: $0) } == "0" ? nil : "\(CacheFolder.path)/tuned-\(Machine.digest.text.prefix(16)).json")

  /// nil: everything is done in variant 0, nothing is measured.
  private let path: String?
  private struct State {
    var ops: [Digest: TunedOp] = [:]
    /// Decisions of this process that the file does not have.
    var unsaved = 0
    var isRead = false
    /// What the file had when it was read.
    var stored: [String: Decision] = [:]
  }
  private let state = Mutex(State())

  struct Decision: Equatable {
    var variant: Int
    var seconds: Double
  }

  init(path: String?) { self.path = path }

  /// The record of an op, shared by all kernels of that op and shape; nil where there is nothing to choose.
  func record(of op: OpSpecification, backend: Backend, packed: UInt64) -> TunedOp? {
    guard path != nil, op.flops >= leastFlops else { return nil }
    let variants = op.variants(on: backend)
    guard variants > 1 else { return nil }
    return record(op.tuningKey(backend: backend, packed: packed), variants: variants)
  }

  /// The variant an op is done in, as far as that is decided: nothing is put on trial by asking.
  func decidedVariant(of op: OpSpecification, backend: Backend, packed: UInt64) -> Int {
    guard path != nil, op.flops >= leastFlops else { return 0 }
    let (key, variants) = (op.tuningKey(backend: backend, packed: packed), op.variants(on: backend))
    return state.withLock { state in
      if let known = state.ops[key] { return known.decision?.variant ?? 0 }
      return stored(key, variants: variants, &state)?.variant ?? 0
    }
  }

  private func record(_ key: Digest, variants: Int) -> TunedOp {
    state.withLock { state in
      if let known = state.ops[key] { return known }
      let made = TunedOp(variants: variants, decision: stored(key, variants: variants, &state))
      state.ops[key] = made
      return made
    }
  }

  /// What the file said when it was read. What another version of the backend wrote has another key.
  private func stored(_ key: Digest, variants: Int, _ state: inout State) -> Decision? {
    if !state.isRead {
      state.isRead = true
      state.stored = path.map(Self.read) ?? [:]
    }
    return state.stored[key.text].flatMap { $0.variant < variants ? $0 : nil }
  }

  /// Whether an op is done in one go (variant 0) rather than in its parts: measured where it is not known, on memory made for the purpose and a few samples, since
  /// a plan has the one or the others.
  func merges(_ whole: OpSpecification, _ parts: [OpSpecification], among backends: [Backend]) throws -> Bool {
    guard path != nil, whole.flops >= leastFlops else { return true }
    let (whole, parts) = (whole.withFewSamples, parts.map(\.withFewSamples))
    let merged = try MeasuredOp(whole, among: backends)
    var key = merged.key
    key.combine("merged")
    let choice = record(key, variants: 2)
    if let decision = choice.decision { return decision.variant == 0 }
    let all = try OpTiming(merged)
    let each = try parts.map { try OpTiming(MeasuredOp($0, among: backends)) }
    // One op needs less memory too.
    let margin = 1.05
    while choice.isOpen {
      let variant = choice.next()
      if try choice.add(variant, seconds: variant == 0 ? all.run() : margin * each.reduce(0) { try $0 + $1.run() }) { decided() }
    }
    return choice.decision?.variant == 0
  }

  /// Called when an op was decided: writes the file once all ops under trial are, and every few decisions before.
  func decided() {
    let (count, isComplete) = state.withLock { state in
      state.unsaved += 1
      return (state.unsaved, !state.ops.values.contains { $0.isOpen })
    }
    if isComplete || count >= 16 { save() }
  }

  /// Merges this process' decisions into the file. A folder that cannot be written costs the next process its measurements and nothing else.
  private func save() {
    guard let path else { return }
    let own = state.withLock { state in
      state.unsaved = 0
      return state.ops.compactMap { key, op in op.decision.map { (key.text, $0) } }
    }
    var all = Self.read(path)
    for (key, decision) in own { all[key] = decision }
    let entries = all.mapValues { JSONValue.object(["variant": .int($0.variant), "seconds": .double($0.seconds)]) }
    let text = JSONValue.object(["format": .int(1), "machine": .string(Machine.name), "ops": .object(entries)]).text(pretty: true)
    do {
      try makeFolders(for: path)
      try AtomicFile.write(text, to: path)
    } catch { log(Int32(XFER_LOG_DEBUG), "what was tuned is not kept: \(error)") }
  }

  /// What a file holds. One that is absent, cut short or of another format holds nothing.
  private static func read(_ path: String) -> [String: Decision] {
    guard let bytes = try? readFile(path), let file = try? JSONValue(parsing: bytes, what: path), file["format"]?.intValue == 1 else {
      return [:]
    }
    return (file["ops"]?.objectValue ?? [:]).compactMapValues { entry in
      guard let variant = entry["variant"]?.intValue, variant >= 0, let seconds = entry["seconds"]?.doubleValue, seconds > 0 else {
        return nil
      }
      return Decision(variant: variant, seconds: seconds)
    }
  }
}

/// Below this a run takes as long as a neighbour's noise.
private let leastFlops = 4e6

/// One op of one shape, on one backend with one count of threads.
final class TunedOp: Sendable {
  private struct State {
    var best: [Double]
    var runs: [Int]
    var decision: Tuner.Decision?
  }
  private let state: Mutex<State>
  let variants: Int

  init(variants: Int, decision: Tuner.Decision?) {
    self.variants = variants
    state = Mutex(State(best: Array(repeating: .infinity, count: variants), runs: Array(repeating: 0, count: variants), decision: decision))
  }

  var decision: Tuner.Decision? { state.withLock { $0.decision } }
  var isOpen: Bool { decision == nil }

  /// The variant to try next: the one tried least.
  func next() -> Int {
    state.withLock { state in
      let least = state.runs.min() ?? 0
      return state.runs.firstIndex(of: least) ?? 0
    }
  }

  /// Takes down a run. True when it was the one that decided.
  func add(_ variant: Int, seconds: Double) -> Bool {
    state.withLock { state in
      guard state.decision == nil else { return false }
      state.best[variant] = min(state.best[variant], seconds)
      state.runs[variant] += 1
      guard state.runs.allSatisfy({ $0 >= wantedRuns }) else { return false }
      // The backend's own choice goes, unless another is better by more than two equal runs differ.
      let fastest = state.best.indices.min { state.best[$0] < state.best[$1] } ?? 0
      let variant = state.best[fastest] < 0.97 * state.best[0] ? fastest : 0
      state.decision = Tuner.Decision(variant: variant, seconds: state.best[variant])
      return true
    }
  }
}

/// Of each variant. The best of them counts: what disturbs a run only makes it longer.
private let wantedRuns = 4

extension OpSpecification {
  /// The same op on four images at most.
  var withFewSamples: OpSpecification {
    let batch = inputs[0].shape[0]
    func few(_ value: TensorDescription) -> TensorDescription {
      value.shape.count == 4 && value.shape[0] == batch ? TensorDescription([min(batch, 4)] + value.shape.dropFirst(), value.dtype) : value
    }
    // Kernels stand behind the image: their first dimension is not the batch.
    let kernels = kind == .separableConv2D ? 1...2 : 1...1
    return OpSpecification(
      kind: kind, attributes: attributes, inputs: inputs.enumerated().map { $0 > 0 && kernels.contains($0) ? $1 : few($1) },
      outputs: outputs.map(few),
      constants: constants, precision: precision, label: label)
  }

  /// In how many variants a backend knows the op.
  func variants(on backend: Backend) -> Int {
    guard let variants = backend.variants else { return 1 }
    return withDescription(packed: 0) { max(1, Int(variants($0))) }
  }

  /// What its time depends on.
  func tuningKey(backend: Backend, packed: UInt64) -> Digest {
    var key = Digest()
    key.combine("\(backend.name) \(backend.version) \(kind.rawValue) \(precision.rawValue) \(ThreadPool.shared.threadCount) \(packed)")
    attributes.bytes.withUnsafeBytes { key.combine($0) }
    for value in inputs + outputs { key.combine("\(value.dtype.name) \(value.shape)") }
    return key
  }
}
