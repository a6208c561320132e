import XferCore

/// The figures of an epoch so far: losses are means weighted by batch size (Keras' Mean metric over batches).
final class EpochFigures {
  private let trainer: Trainer
  private var total = 0.0
  private var losses: [Double]
  private var count = 0.0

  init(_ trainer: Trainer) {
    self.trainer = trainer
    losses = trainer.outputs.map { _ in 0 }
    for metric in trainer.namedMetrics { metric.metric.reset() }
  }

  func add(_ batch: Batch, _ outcome: Trainer.Outcome) throws {
    let rows = Double(batch.count)
    total += outcome.loss * rows
    for index in losses.indices { losses[index] += outcome.losses[index] * rows }
    count += rows
    guard !trainer.namedMetrics.isEmpty else { return }
    let aligned = try trainer.aligned(batch)
    for named in trainer.namedMetrics {
      guard let truth = aligned.targets[named.output] else { continue }
      let weights = named.weighted ? aligned.sampleWeights[named.output] : nil
      if let metric = named.metric as? LossMetric, metric.readsLogits, let logits = outcome.logits[named.output] {
        try metric.update(truth, logits: logits, sampleWeight: weights)
      } else {
        try named.metric.update(truth, outcome.predictions[named.output], sampleWeight: weights)
      }
    }
  }

  var logs: Logs {
    var logs = Logs()
    guard count > 0 else { return logs }
    logs.set("loss", total / count)
    for (output, name) in trainer.lossNames { logs.set(name, losses[output] / count) }
    for named in trainer.namedMetrics { logs.set(named.name, named.metric.result) }
    return logs
  }

  /// Everything gathered: for ``restore(_:)``.
  var numbers: [Double] {
    [total, count] + losses + trainer.namedMetrics.flatMap { [Double($0.metric.state.count)] + $0.metric.state }
  }

  /// Takes back what ``numbers`` gave. Numbers of other outputs or metrics are left alone.
  func restore(_ numbers: [Double]) {
    var rest = numbers[...]
    func take(_ count: Int) -> [Double]? {
      guard count >= 0, count <= rest.count else { return nil }
      defer { rest = rest.dropFirst(count) }
      return Array(rest.prefix(count))
    }
    guard let sums = take(2), let parts = take(losses.count) else { return }
    var states: [[Double]] = []
    for _ in trainer.namedMetrics {
      guard let length = take(1).flatMap({ Int(exactly: $0[0]) }), let state = take(length) else { return }
      states.append(state)
    }
    guard rest.isEmpty else { return }
    (total, count, losses) = (sums[0], sums[1], parts)
    for (named, state) in zip(trainer.namedMetrics, states) where !state.isEmpty { named.metric.restore(state) }
  }
}
