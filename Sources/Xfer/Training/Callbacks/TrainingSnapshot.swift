import Glibc
import XferCore

/// Everything that training moves besides the weights: optimizer, random layers, the place in the data and the figures of an epoch that is
/// under way, as tensors and words of a safetensors file.
struct TrainingSnapshot {
  var tensors: [(name: String, tensor: Tensor)] = []
  var facts: [String: String] = [:]

  /// - Parameter inEpoch: whether the epoch is to go on, not the next one to begin.
  init(_ state: TrainingState, inEpoch: Bool) throws {
    let optimizer = try state.optimizer
    tensors += try optimizer.stateVariables.enumerated().map { (name: "optimizer/\($0)", tensor: $1.tensor) }
    tensors += Self.randomStates(state.model).enumerated().map { (name: "random/\($0)", tensor: $1) }
    if inEpoch, let figures = state.figures { tensors.append((name: "figures", tensor: try Self.tensor(figures.numbers))) }
    // The state has the rate as a Float only.
    facts["learning_rate"] = "\(optimizer.constantRate)"
    if let seed = (state.data as? any ShuffledDataset)?.shuffleSeed { facts["shuffle_seed"] = "\(seed)" }
    if let place = state.feed?.place(inEpoch: inEpoch) { facts["place"] = "\(place.epoch) \(place.taken) \(place.given)" }
  }

  static func randomStates(_ model: Model) -> [Tensor] { model.allLayers.flatMap(\.randomStates) }

  /// The tensors of a kind, "kind/0", "kind/1", …
  static func tensors(_ kind: String, _ file: SafetensorsFile) throws -> [Tensor] {
    try (0..<file.names.count { $0.hasPrefix(kind + "/") }).map { try file.tensor("\(kind)/\($0)") }
  }

  static func tensor(_ numbers: [Double]) throws -> Tensor {
    let tensor = try Tensor(zeros: [numbers.count], dtype: .float64)
    numbers.withUnsafeBytes { tensor.data.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(tensor.data), byteCount: $0.count) }
    return tensor
  }

  static func numbers(_ tensor: Tensor, _ path: String) throws -> [Double] {
    guard tensor.dtype == .float64, tensor.shape.count == 1 else { throw XferError.format("\(path) is no backup of a training") }
    return withExtendedLifetime(tensor) {
      Array(UnsafeBufferPointer(start: tensor.data.assumingMemoryBound(to: Double.self), count: tensor.count))
    }
  }

  /// Puts the random states of a model's layers back.
  static func restoreRandomStates(_ file: SafetensorsFile, _ model: Model) throws {
    let (random, saved) = (randomStates(model), try tensors("random", file))
    guard random.count == saved.count, zip(random, saved).allSatisfy({ $0.description == $1.description }) else {
      throw XferError.shape("\(file.path) is the backup of another model: it has \(saved.count) random layers, the model \(random.count)")
    }
    for (own, value) in zip(random, saved) { own.data.copyMemory(from: value.data, byteCount: own.byteCount) }
  }

  /// Puts everything back but the weights. In `trainBegin`.
  static func restore(_ file: SafetensorsFile, _ state: TrainingState) throws {
    let place = (file.metadata["place"] ?? "").split(separator: " ").compactMap { Int($0) }
    guard place.allSatisfy({ $0 >= 0 }), place.isEmpty || place.count == 3 else {
      throw XferError.format("\(file.path) is no backup of a training")
    }
    try restoreRandomStates(file, state.model)
    let optimizer = try state.optimizer
    if let trainer = state.trainer { try optimizer.build(trainer.trainableWeights) }
    try optimizer.setState(tensors("optimizer", file))
    if let rate = file.metadata["learning_rate"].flatMap({ Double($0) }), rate.isFinite, rate >= 0 { optimizer.constantRate = rate }
    if let seed = file.metadata["shuffle_seed"].flatMap({ UInt64($0) }) { (state.data as? any ShuffledDataset)?.shuffleSeed = seed }
    if place.count == 3 { try state.feed?.resume(.init(epoch: place[0], taken: place[1], given: place[2])) }
    if file.entries["figures"] != nil { state.resumedFigures = try numbers(file.tensor("figures"), file.path) }
  }
}
