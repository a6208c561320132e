import XferCore

/// A data set's batches with sample weights from the classes of the targets; classes without a weight weigh 1.
final class ClassWeighted: IdentifiedDataset {
  private let source: any Dataset
  private let weights: [Int: Double]

  init(_ source: any Dataset, _ weights: [Int: Double]) { (self.source, self.weights) = (source, weights) }

  var batchCount: Int? { source.batchCount }
  var isKnown: (@Sendable (Digest) -> Bool)? {
    get { (source as? any IdentifiedDataset)?.isKnown }
    set { (source as? any IdentifiedDataset)?.isKnown = newValue }
  }
  func restart(epoch: Int) throws { try source.restart(epoch: epoch) }

  func next() throws -> Batch? {
    guard let batch = try source.next() else { return nil }
    return try batch.classWeighted(weights)
  }
}

extension Batch {
  /// With sample weights from the classes of its targets.
  public func classWeighted(_ weights: [Int: Double]) throws -> Batch {
    var batch = self
    guard batch.targets.count == 1, let truth = batch.targets[0] else {
      throw XferError.invalid("class_weight is for models with one output, batches with \(batch.targets.count) targets were given")
    }
    var factors = try Self.classes(truth).map { Float(weights[$0] ?? 1) }
    if let given = batch.sampleWeight?.floats {
      guard given.count == factors.count else {
        throw XferError.shape("sample_weight has \(given.count) elements, there are \(factors.count) samples")
      }
      for index in factors.indices { factors[index] *= given[index] }
    }
    batch.sampleWeights = [try Tensor(factors)]
    return batch
  }

  /// The class of each sample: the label, or the place of the largest of several columns.
  private static func classes(_ truth: Tensor) throws -> [Int] {
    let values = truth.floats
    let columns = truth.shape.count > 1 ? truth.shape[truth.shape.count - 1] : 1
    guard columns > 1 else { return values.map { $0.isFinite ? Int($0.rounded(.toNearestOrEven)) : -1 } }
    return (0..<values.count / columns).map { row in
      var best = 0
      for column in 1..<columns where values[row * columns + column] > values[row * columns + best] { best = column }
      return best
    }
  }
}
