public import XferCore

/// What `compile` binds to one output of a model.
public struct CompiledOutput {
  /// The name logs use: "<name>_loss", "<name>_accuracy".
  public var name: String
  /// Nil for an output that is not trained.
  public var loss: Loss?
  /// What the loss counts in the total, 1 by default.
  public var lossWeight: Double?
  /// Metrics that leave sample and class weights out, and those that use them.
  public var metrics: [Metric]
  public var weightedMetrics: [Metric]

  public init(_ name: String, loss: Loss?, lossWeight: Double? = nil, metrics: [Metric] = [], weightedMetrics: [Metric] = []) {
    (self.name, self.loss, self.lossWeight) = (name, loss, lossWeight)
    (self.metrics, self.weightedMetrics) = (metrics, weightedMetrics)
  }

  var readsLogits: Bool { (metrics + weightedMetrics).contains { ($0 as? LossMetric)?.readsLogits == true } }
}

/// A metric with the name logs have it under.
struct NamedMetric {
  let name: String
  let metric: Metric
  let output: Int
  let weighted: Bool

  /// Keras' names: the output's in front where there are several, "weighted_" or a number for names met before.
  static func all(_ outputs: [CompiledOutput]) -> [NamedMetric] {
    var counts: [String: Int] = [:]
    var result: [NamedMetric] = []
    let prefix = { (index: Int) in outputs.count > 1 ? outputs[index].name + "_" : "" }
    func numbered(_ name: String) -> String {
      defer { counts[name, default: 0] += 1 }
      return counts[name].map { "\(name)_\($0)" } ?? name
    }
    for (index, output) in outputs.enumerated() {
      for metric in output.metrics {
        result.append(NamedMetric(name: numbered(prefix(index) + metric.name), metric: metric, output: index, weighted: false))
      }
    }
    for (index, output) in outputs.enumerated() {
      for metric in output.weightedMetrics {
        let plain = prefix(index) + metric.name
        let name = counts[plain] == nil ? plain : prefix(index) + "weighted_" + metric.name
        result.append(NamedMetric(name: numbered(name), metric: metric, output: index, weighted: true))
      }
    }
    // Keras lists the metrics of several outputs by name.
    return outputs.count > 1 ? result.sorted { $0.name < $1.name } : result
  }
}
