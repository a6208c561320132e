import Glibc
import XferCore
import XferGraph

/// The file from which training by phases goes on after the process ended, however it ended.
///
/// It holds the weights that moved so far, and those outside the base; for all others a digest, which the model is to fit when it is made again.
/// A frozen base thus costs nothing to save. It is replaced as a whole, so that there is always a complete one.
final class PhaseCheckpoint {
  let path: String
  private let model: Model
  /// What it was made for: it goes on with nothing else.
  private let purpose: [String: String]
  private let weights: [Variable]
  private let versions: [UInt64]
  private let digests: [Digest]
  private let own: Set<ObjectIdentifier>

  init(_ path: String, _ model: Model, _ base: PretrainedBase, _ plan: PhasePlan, identity: JSONValue) {
    (self.path, self.model, weights) = (path, model, model.weights)
    purpose = ["plan": plan.json.text(), "identity": identity.text()]
    versions = weights.map(\.version)
    digests = model.audit().entries.map(\.digest)
    own = Set(weights.map { ObjectIdentifier($0) }).subtracting(base.weights)
    AtomicFile.removeLeftovers(of: path)
  }

  private var isKept: [Bool] {
    weights.indices.map { weights[$0].version != versions[$0] || own.contains(ObjectIdentifier(weights[$0])) }
  }

  /// The digest of the weights that are not in the file.
  private func digest(_ isKept: [Bool]) -> String {
    var digest = Digest()
    for (own, isKept) in zip(digests, isKept) where !isKept { digest.combine(own) }
    return digest.text
  }

  // MARK: Saving

  /// Where training is.
  struct Place {
    /// The running phase; the number of phases after the last one.
    var phase: Int
    /// Epochs of it that have ended.
    var epoch: Int
  }

  /// - Parameters:
  ///   - state: of the running phase; nil between two.
  ///   - inEpoch: in the middle of an epoch.
  func save(
    _ place: Place, _ history: PhaseHistory, data: any Dataset, state: TrainingState? = nil, inEpoch: Bool = false,
    stopping: EarlyStopping? = nil
  ) throws {
    let isKept = isKept
    var file: [(name: String, tensor: Tensor)] = []
    var facts = purpose
    func keep(_ kind: String, _ tensors: [Tensor]) {
      for (index, tensor) in tensors.enumerated() where isKept[index] { file.append(("\(kind)/\(index)", tensor)) }
    }
    if let state {
      let snapshot = try TrainingSnapshot(state, inEpoch: inEpoch)
      file += snapshot.tensors
      facts.merge(snapshot.facts) { $1 }
    } else {
      file += TrainingSnapshot.randomStates(model).enumerated().map { ("random/\($0)", $1) }
      if let seed = (data as? any ShuffledDataset)?.shuffleSeed { facts["shuffle_seed"] = "\(seed)" }
    }
    keep("weights", weights.map(\.tensor))
    if let stopping {
      file.append(("stopping", try TrainingSnapshot.tensor(stopping.numbers)))
      if let best = stopping.savedWeights { keep("best", best) }
    }
    for (index, entry) in history.phases.enumerated() {
      file.append(("seconds/\(index)", try TrainingSnapshot.tensor(entry.history.seconds)))
      for (number, name) in entry.history.names.enumerated() {
        file.append(("history/\(index)/\(number)", try TrainingSnapshot.tensor(entry.history.values[name] ?? [])))
      }
    }
    facts["phase"] = "\(place.phase)"
    facts["epoch"] = "\(place.epoch)"
    facts["unmoved"] = digest(isKept)
    facts["history"] =
      JSONValue.array(
        history.phases.map { entry in
          [
            "name": .string(entry.name), "figures": .array(entry.history.names.map { .string($0) }),
            "epochs": .array(entry.history.epochs.map { .int($0) }), "trained": .int(entry.trainedParameters),
            "frozen": .int(entry.frozenWeights), "audited": .bool(entry.isAudited),
          ]
        }
      ).text()
    try SafetensorsFile.write(file, metadata: facts, to: path)
  }

  // MARK: Loading

  struct Loaded {
    let place: Place
    let history: PhaseHistory
    fileprivate let file: SafetensorsFile
    /// Whether a phase was under way.
    var isInPhase: Bool { file.metadata["learning_rate"] != nil }
  }

  /// Reads the file and puts weights and random states back; nil when there is none.
  ///
  /// - Throws: `XFER_E_STATE` when it was made for another plan, run or model; `XFER_E_FORMAT` when it is damaged. Nothing has changed then.
  func load(phases: Int, data: any Dataset) throws -> Loaded? {
    guard access(path, F_OK) == 0 else { return nil }
    let file = try SafetensorsFile(path)
    let facts = file.metadata
    guard let phase = facts["phase"].flatMap({ Int($0) }), let epoch = facts["epoch"].flatMap({ Int($0) }), (0...phases).contains(phase),
      epoch >= 0, facts["plan"] != nil
    else { throw XferError.format("\(path) is no checkpoint of training by phases") }
    for (key, text) in purpose.sorted(by: { $0.key < $1.key }) where facts[key] != text {
      throw XferError.state(
        "\(path) is the checkpoint of another \(key == "plan" ? "plan" : "run"): it was made with \(facts[key] ?? "nothing"), now there is \(text); "
          + "resume with the same settings, or begin anew without it")
    }
    let history = try Self.history(file)
    let loaded = Loaded(place: Place(phase: phase, epoch: epoch), history: history, file: file)
    guard history.phases.count == (loaded.isInPhase ? phase + 1 : phase), history.phases.count <= phases else { throw Self.damaged(path) }
    var found: [Int: Tensor] = [:]
    for name in file.names where name.hasPrefix("weights/") {
      guard let index = Int(name.dropFirst("weights/".count)), weights.indices.contains(index),
        case let value = try file.tensor(name), value.shape == weights[index].shape
      else { throw XferError.state("\(path) is the checkpoint of another model: '\(name)' does not fit") }
      found[index] = value
    }
    guard facts["unmoved"] == digest(weights.indices.map { found[$0] != nil }) else {
      throw XferError.state("\(path) is the checkpoint of another model: the weights that had not been trained are not those it began with")
    }
    try TrainingSnapshot.restoreRandomStates(file, model)
    for (index, value) in found.sorted(by: { $0.key < $1.key }) { try weights[index].assign(value) }
    if let seed = facts["shuffle_seed"].flatMap({ UInt64($0) }) { (data as? any ShuffledDataset)?.shuffleSeed = seed }
    return loaded
  }

  private static func damaged(_ path: String) -> XferError { XferError.format("\(path) is damaged: its history does not fit its place") }

  private static func history(_ file: SafetensorsFile) throws -> PhaseHistory {
    var history = PhaseHistory()
    let entries = try JSONValue(parsing: file.metadata["history"] ?? "", what: "the history in \(file.path)").arrayValue ?? []
    for (index, json) in entries.enumerated() {
      guard let name = json["name"]?.stringValue, let names = json["figures"]?.arrayValue?.compactMap(\.stringValue),
        let epochs = json["epochs"]?.arrayValue?.compactMap(\.intValue), let trained = json["trained"]?.intValue,
        let frozen = json["frozen"]?.intValue
      else { throw damaged(file.path) }
      var entry = PhaseHistory.Entry(name: name, trainedParameters: trained, frozenWeights: frozen)
      entry.isAudited = json["audited"]?.boolValue ?? false
      entry.history.epochs = epochs
      entry.history.names = names
      entry.history.seconds = try TrainingSnapshot.numbers(file.tensor("seconds/\(index)"), file.path)
      for (number, name) in names.enumerated() {
        entry.history.values[name] = try TrainingSnapshot.numbers(file.tensor("history/\(index)/\(number)"), file.path)
      }
      guard entry.history.seconds.count == epochs.count else { throw damaged(file.path) }
      history.phases.append(entry)
    }
    return history
  }

  /// Puts back what belongs to the running phase: optimizer, place in the data, figures, early stopping. In `trainBegin`.
  func resume(_ loaded: Loaded, _ state: TrainingState, stopping: EarlyStopping?) throws {
    try TrainingSnapshot.restore(loaded.file, state)
    state.initialEpoch = loaded.place.epoch
    guard let stopping, loaded.file.entries["stopping"] != nil else { return }
    var best: [Tensor]?
    if loaded.file.names.contains(where: { $0.hasPrefix("best/") }) {
      // What is not in the file has not moved.
      best = try weights.enumerated().map { index, weight in
        loaded.file.entries["best/\(index)"] == nil ? try weight.tensor.copy() : try loaded.file.tensor("best/\(index)").copy()
      }
    }
    try stopping.resume(TrainingSnapshot.numbers(loaded.file.tensor("stopping"), path), bestWeights: best)
  }
}
