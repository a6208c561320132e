public import XferCore

/// Inputs, targets and perhaps weights of some samples.
public struct Batch {
  /// One tensor an input of the model.
  public var inputs: [Tensor]
  /// One an output of the model, nil for an output without a loss; or one for each output with a loss. Empty for predicting.
  public var targets: [Tensor?]
  /// One an output, nil for none; or one for all outputs.
  public var sampleWeights: [Tensor?]
  /// Digests of the samples' inputs, where the data set knows them; the inputs are left out then when all of them are known (see
  /// ``IdentifiedDataset``).
  public var keys: [Digest] = []

  public init(inputs: [Tensor], targets: [Tensor?] = [], sampleWeights: [Tensor?] = []) {
    (self.inputs, self.targets) = (inputs, targets)
    self.sampleWeights = sampleWeights.contains { $0 != nil } ? sampleWeights : []
  }

  public init(x: Tensor, y: Tensor, sampleWeight: Tensor? = nil) {
    self.init(inputs: [x], targets: [y], sampleWeights: [sampleWeight])
  }

  /// The first input, of models with one.
  public var x: Tensor { inputs[0] }
  /// The first target; the input itself where there is none.
  public var y: Tensor { (targets.first ?? nil) ?? inputs[0] }
  public var sampleWeight: Tensor? { sampleWeights.first ?? nil }

  public var count: Int { inputs.first?.shape.first ?? keys.count }
}

/// A data set that tells samples apart without their inputs, and may leave these out.
public protocol IdentifiedDataset: Dataset {
  /// Asked before inputs are read, decoded or copied, from any thread. Batches carry ``Batch/keys`` while it is set.
  var isKnown: (@Sendable (Digest) -> Bool)? { get set }
}

/// Something that gives batches, epoch after epoch.
public protocol Dataset: AnyObject {
  /// Begins an epoch; 0 the first one.
  func restart(epoch: Int) throws
  /// The next batch, nil at the end of the epoch.
  func next() throws -> Batch?
  /// Batches of an epoch, where that is known.
  var batchCount: Int? { get }
}

/// A data set whose sample order is drawn from a seed and the epoch's number. The seed is saved by ``BackupAndRestore``.
public protocol ShuffledDataset: Dataset {
  var shuffleSeed: UInt64? { get set }
}

/// Batches of arrays in memory, in order or shuffled anew each epoch; the last batch may be smaller.
public final class ArrayDataset: ShuffledDataset, IdentifiedDataset {
  private let inputs: [Tensor]
  private let targets: [Tensor?]
  private let sampleWeights: [Tensor?]
  private let batchSize: Int
  public var shuffleSeed: UInt64?
  private var order: [Int]
  private var position = 0
  public var isKnown: (@Sendable (Digest) -> Bool)?
  /// Digests of the rows, made when they are first asked for.
  private lazy var digests = order.indices.map { FeatureCache.digest(inputs, row: $0) }

  /// Arrays for a model with one input and one output.
  ///
  /// - Parameter seed: nil keeps the order; else sample orders are drawn from the seed and the epoch's number.
  public convenience init(x: Tensor, y: Tensor, sampleWeight: Tensor? = nil, batchSize: Int = 32, seed: UInt64? = nil) throws {
    try self.init(inputs: [x], targets: [y], sampleWeights: [sampleWeight], batchSize: batchSize, seed: seed)
  }

  /// Arrays for any number of inputs and outputs, as ``Batch`` has them.
  public init(
    inputs: [Tensor], targets: [Tensor?] = [], sampleWeights: [Tensor?] = [], batchSize: Int = 32, seed: UInt64? = nil
  ) throws {
    guard batchSize > 0 else { throw XferError.invalid("batch_size is to be above 0, \(batchSize) was given") }
    guard let count = inputs.first?.shape.first, count > 0 else {
      throw XferError.data("there are no samples: x has shape \(inputs.first?.shape ?? [])")
    }
    let all =
      inputs.map { ("x", $0) } + targets.compactMap { $0.map { ("y", $0) } } + sampleWeights.compactMap { $0.map { ("sample_weight", $0) } }
    guard all.allSatisfy({ $1.shape.first == count }) else {
      let shapes = all.dropFirst().map { "\($0) has shape \($1.shape)" }.joined(separator: ", ")
      throw XferError.shape("x has \(count) samples, \(shapes)")
    }
    (self.inputs, self.targets, self.sampleWeights) = (inputs, targets, sampleWeights)
    (self.batchSize, shuffleSeed) = (batchSize, seed)
    order = Array(0..<count)
  }

  public var batchCount: Int? { (order.count + batchSize - 1) / batchSize }

  public func restart(epoch: Int) throws {
    position = 0
    guard let shuffleSeed else { return }
    var generator = SplitMix64(seed: shuffleSeed &+ UInt64(truncatingIfNeeded: epoch) &* 0x9E37_79B9_7F4A_7C15)
    order = Array(0..<order.count)
    order.shuffle(using: &generator)
  }

  public func next() throws -> Batch? {
    guard position < order.count else { return nil }
    let range = position..<min(position + batchSize, order.count)
    position = range.upperBound
    let rows = order[range]
    func take(_ tensor: Tensor) throws -> Tensor { shuffleSeed == nil ? tensor.rows(range) : try gatherRows(tensor, Array(rows)) }
    let keys = isKnown == nil ? [] : rows.map { digests[$0] }
    let left = isKnown.map { keys.allSatisfy($0) } ?? false
    var batch = Batch(
      inputs: left ? [] : try inputs.map(take), targets: try targets.map { try $0.map(take) },
      sampleWeights: try sampleWeights.map { try $0.map(take) })
    batch.keys = keys
    return batch
  }
}

/// Some rows of a tensor, copied.
func gatherRows(_ tensor: Tensor, _ rows: [Int]) throws -> Tensor {
  let result = try Tensor(zeros: [rows.count] + tensor.shape.dropFirst(), dtype: tensor.dtype)
  let bytes = tensor.byteCount / max(tensor.shape[0], 1)
  for (to, from) in rows.enumerated() { (result.data + to * bytes).copyMemory(from: tensor.data + from * bytes, byteCount: bytes) }
  return result
}
