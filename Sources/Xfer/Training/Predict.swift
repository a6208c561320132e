import CXfer
public import XferCore

extension Model {
  /// Outputs for all rows of `x`, computed batch by batch in inference mode; for models with one input and one output.
  public func predict(_ x: Tensor, batchSize: Int = 32) throws -> Tensor {
    guard outputs.count == 1 else {
      throw XferError.invalid("model '\(name)' has \(outputs.count) outputs: predictAll gives them")
    }
    return try predictAll(ArrayDataset(inputs: [x], batchSize: batchSize))[0]
  }

  /// All outputs for all batches of a data set, whose targets are left alone.
  ///
  /// - Parameters:
  ///   - steps: batches to predict, nil for all.
  ///   - verbose: 0 silent, 1 a progress bar, 2 a line.
  public func predictAll(_ data: any Dataset, steps: Int? = nil, verbose: Int = 0, callbacks: [Callback] = []) throws -> [Tensor] {
    if let steps, steps < 1 { throw XferError.invalid("steps is to be above 0, \(steps) was given") }
    let feed = EpochFeed(data, steps: steps)
    let state = TrainingState(model: self, trainer: trainer, steps: feed.count, verbose: verbose)
    let progress = ProgressLogger()
    defer { progress.abandon() }
    let list = CallbackList(callbacks: callbacks + [progress], state: state) {}
    try list.send(.predictBegin)
    try feed.begin(epoch: 0)
    var parts: [[Tensor]] = outputs.map { _ in [] }
    var index = 0
    while let batch = try feed.next() {
      try list.send(.predictBatchBegin, index)
      for (output, tensor) in try all(batch.inputs).enumerated() { parts[output].append(tensor) }
      try list.send(.predictBatchEnd, index)
      index += 1
    }
    guard index > 0 else { throw XferError.data("the data set gave no batch") }
    try list.send(.predictEnd)
    return try parts.map { try Tensor(joining: $0) }
  }
}

extension Tensor {
  /// Tensors one below the other; their rows are to have one shape and type.
  convenience init(joining parts: [Tensor]) throws {
    let rows = parts.reduce(0) { $0 + ($1.shape.first ?? 0) }
    try self.init(zeros: [rows] + (parts.first?.shape.dropFirst() ?? []), dtype: parts.first?.dtype ?? .float32)
    var offset = 0
    for part in parts {
      guard part.shape.dropFirst() == shape.dropFirst() else {
        throw XferError.shape("batches gave outputs of different shapes: \(shape.dropFirst()) and \(part.shape.dropFirst())")
      }
      (data + offset).copyMemory(from: part.data, byteCount: part.byteCount)
      offset += part.byteCount
    }
  }
}
