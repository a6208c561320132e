public import XferCore
public import XferGraph

/// What an epoch of training will cost with a base unfrozen to some depth, before it is run.
///
/// Times are those of the ops, each measured on its own with the present threads, backend and precision, and of reading what is kept; what threads
/// run side by side is measured on one of them and divided. Decoding images,
/// callbacks and validation are not in them: where a step takes less than a millisecond, as that of a head on kept features, these tell more than the
/// ops. The first call measures for some seconds.
///
/// ```swift
/// for cost in try model.forecast(images: 2000, batchSize: 32) { print(cost.unfreeze.text, cost.uncached.seconds) }
/// ```
public struct TrainingForecast: Sendable {
  /// An epoch, or as much of one as its name says.
  public struct Epoch: Sendable {
    /// Multiplications and additions.
    public let flops: Double
    public let seconds: Double
  }

  /// Which layers of the base are trained.
  public let unfreeze: UnfreezeDepth
  public let trainedParameters: Int
  /// Every epoch, when nothing is kept of the frozen part.
  public let uncached: Epoch
  /// The most bytes that training takes then: weights, optimizer state, constants made of frozen weights, intermediate values, two batches.
  public let uncachedBytes: Int
  /// The first epoch and each later one, when the frozen part's outputs are kept in memory; nil where there is no frozen part worth it.
  public let cached: (first: Epoch, later: Epoch)?
  /// The same with the cache, which is in it.
  public let cachedBytes: Int?

  /// {"unfreeze","trained_parameters","uncached":{"flops","seconds","bytes"},"cached":null or {"first":{…},"later":{…},"bytes"}}.
  public var json: JSONValue {
    func object(_ epoch: Epoch) -> [String: JSONValue] { ["flops": .double(epoch.flops), "seconds": .double(epoch.seconds)] }
    let kept: JSONValue? = cached.map { first, later in
      ["first": .object(object(first)), "later": .object(object(later)), "bytes": .int(cachedBytes ?? 0)]
    }
    return [
      "unfreeze": .string(unfreeze.text), "trained_parameters": .int(trainedParameters),
      "uncached": .object(object(uncached).merging(["bytes": .int(uncachedBytes)]) { $1 }), "cached": kept ?? .null,
    ]
  }
}

extension Model {
  /// The cost of an epoch for each depth to which the base of this compiled model may be unfrozen. Flags, weights and the optimizer stay as they are.
  ///
  /// - Parameters:
  ///   - images: samples of an epoch.
  ///   - depths: nil for none, the last 10, 33 and 67 percent, and all.
  /// - Throws: `XFER_E_NOT_COMPILED`; `XFER_E_INVALID_ARGUMENT` where the model has no nested model that could be the base, no layer of a depth's
  ///   name, and for no image or batch.
  public func forecast(images: Int, batchSize: Int, depths: [UnfreezeDepth]? = nil) throws -> [TrainingForecast] {
    guard images > 0 else { throw XferError.invalid("images is to be above 0, \(images) was given") }
    try checkBatchSize(batchSize)
    let trainer = try compiled()
    let base = try PretrainedBase(of: self, base: nil, head: nil)
    let (flags, stores) = (allLayers.map { ($0, $0.ownFlags) }, featureStores)
    defer {
      for (layer, own) in flags { layer.ownFlags = own }
      featureStores = stores
    }
    return try (depths ?? [.none, .lastPercent(10), .lastPercent(33), .lastPercent(67), .all]).map { depth in
      try base.unfreeze(depth)
      // With LoRA it is the matrices that are trained.
      for layer in allLayers where layer.lora != nil { layer.adaptable?.trainable = false }
      let optimizer = try Optimizer.make(type(of: trainer.optimizer).className, config: trainer.optimizer.config)
      return try Trainer(model: self, optimizer: optimizer, outputs: trainer.outputs).forecast(
        depth, images: images, batchSize: min(batchSize, images))
    }
  }
}

/// Runs of a plan; of a part's, as many at the same time as threads that have one of their own.
private struct Work {
  let plan: Plan
  let runs: Double
  var division: Plan.Division?

  var flops: Double { plan.flops * runs }

  func seconds() throws -> Double {
    guard let division else { return try runs * plan.forecastSeconds() }
    return try runs / Double(division.threads) * division.part(plan.forecastSeconds)
  }
}

extension Trainer {
  fileprivate func forecast(_ depth: UnfreezeDepth, images: Int, batchSize: Int) throws -> TrainingForecast {
    let steps = Double(images) / Double(batchSize)
    func epoch(_ work: [Work], reading: Double = 0) throws -> TrainingForecast.Epoch {
      try TrainingForecast.Epoch(flops: work.reduce(0) { $0 + $1.flops }, seconds: work.reduce(reading) { try $0 + $1.seconds() })
    }
    let model = try model
    let batches = 2 * batchSize * model.inputs.reduce(0) { $0 + $1.shape.dropFirst().reduce(4) { $0 * ($1 ?? 1) } }
    let whole = try plan(batchSize: batchSize)
    let fixed = try fixedBytes + batches
    let uncached = try epoch([Work(plan: whole, runs: steps)])
    let uncachedBytes = fixed + whole.peakBytes + whole.constantBytes

    let trained = trainableWeights.reduce(0) { $0 + $1.tensor.count }
    func forecast(_ cached: (first: TrainingForecast.Epoch, later: TrainingForecast.Epoch)?, _ bytes: Int?) -> TrainingForecast {
      TrainingForecast(
        unfreeze: depth, trainedParameters: trained, uncached: uncached, uncachedBytes: uncachedBytes, cached: cached, cachedBytes: bytes)
    }
    guard let parts = try cachedPlans(images: images, batchSize: batchSize) else { return forecast(nil, nil) }
    let division = parts.division
    let prefixRuns = steps * Double(batchSize) / Double(division.rows)
    // What there is no room to keep is computed in every epoch.
    let missing = prefixRuns * Double(images - parts.kept) / Double(images)
    func prefix(_ runs: Double) -> Work { Work(plan: parts.prefix, runs: runs, division: division) }
    let rest = Work(plan: parts.rest, runs: steps)
    let later = try epoch([rest, prefix(missing)], reading: steps * parts.readSeconds)
    let first = try epoch([rest, prefix(prefixRuns)])
    let plans =
      parts.prefix.peakBytes * division.threads + parts.prefix.constantBytes + parts.rest.peakBytes + parts.rest.constantBytes
    return forecast((first, later), fixed + plans + parts.kept * parts.rowBytes)
  }
}
