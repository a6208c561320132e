public import XferCore

/// Inputs, targets and perhaps weights of some samples.
public struct Batch {
  public var x: Tensor
  public var y: Tensor
  public var sampleWeight: Tensor?

  public init(x: Tensor, y: Tensor, sampleWeight: Tensor? = nil) {
    (self.x, self.y, self.sampleWeight) = (x, y, sampleWeight)
  }

  public var count: Int { x.shape.first ?? 0 }
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

/// Batches of arrays in memory, in order or shuffled anew each epoch; the last batch may be smaller.
public final class ArrayDataset: Dataset {
  private let x: Tensor
  private let y: Tensor
  private let sampleWeight: Tensor?
  private let batchSize: Int
  private let seed: UInt64?
  private var order: [Int]
  private var position = 0

  /// - Parameter seed: nil keeps the order; else sample orders are drawn from the seed and the epoch's number.
  public init(x: Tensor, y: Tensor, sampleWeight: Tensor? = nil, batchSize: Int = 32, seed: UInt64? = nil) throws {
    guard batchSize > 0 else { throw XferError.invalid("batch_size is to be above 0, \(batchSize) was given") }
    guard let count = x.shape.first, count > 0 else { throw XferError.data("there are no samples: x has shape \(x.shape)") }
    guard y.shape.first == count, sampleWeight == nil || sampleWeight?.shape.first == count else {
      throw XferError.shape("x has \(count) samples, y has shape \(y.shape)\(sampleWeight.map { ", sample_weight \($0.shape)" } ?? "")")
    }
    (self.x, self.y, self.sampleWeight) = (x, y, sampleWeight)
    (self.batchSize, self.seed) = (batchSize, seed)
    order = Array(0..<count)
  }

  public var batchCount: Int? { (order.count + batchSize - 1) / batchSize }

  public func restart(epoch: Int) throws {
    position = 0
    guard let seed else { return }
    var generator = SplitMix64(seed: seed &+ UInt64(truncatingIfNeeded: epoch) &* 0x9E37_79B9_7F4A_7C15)
    order = Array(0..<order.count)
    order.shuffle(using: &generator)
  }

  public func next() throws -> Batch? {
    guard position < order.count else { return nil }
    let range = position..<min(position + batchSize, order.count)
    position = range.upperBound
    if seed == nil { return Batch(x: x.rows(range), y: y.rows(range), sampleWeight: sampleWeight?.rows(range)) }
    let rows = order[range]
    return Batch(x: try Self.gather(x, rows), y: try Self.gather(y, rows), sampleWeight: try sampleWeight.map { try Self.gather($0, rows) })
  }

  private static func gather(_ tensor: Tensor, _ rows: ArraySlice<Int>) throws -> Tensor {
    let result = try Tensor(zeros: [rows.count] + tensor.shape.dropFirst(), dtype: tensor.dtype)
    let bytes = tensor.byteCount / max(tensor.shape[0], 1)
    for (to, from) in rows.enumerated() { (result.data + to * bytes).copyMemory(from: tensor.data + from * bytes, byteCount: bytes) }
    return result
  }
}
