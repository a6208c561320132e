import Testing
import XferCore
@testable import Xfer

/// Every metric against Keras over several batches, with and without sample weights.
@Suite struct MetricGoldenTests {
  static let cases = goldens("metrics.json")

  @Test func thereAreGoldens() { #expect(Self.cases.count > 100) }

  @Test(arguments: cases.indices) func metricsAreKeras(_ index: Int) throws {
    let example = Self.cases[index]
    let name = example["class"]?.stringValue ?? ""
    let metric = try Metric.make(name, config: example["config"] ?? [:])
    let twin = try Metric.make(name, config: example["config"] ?? [:])
    for round in 0..<2 {
      for (batch, update) in (example["updates"]?.arrayValue ?? []).enumerated() {
        let prediction = try #require(update["prediction"]).tensor()
        let truth = update["truth"]?.isNull == false ? try #require(update["truth"]).tensor() : prediction
        let given = update["weights"] ?? .null
        try metric.update(truth, prediction, sampleWeight: given.isNull ? nil : given.tensor())
        let found = try metric.resultTensor()
        let wanted = try #require(update["result"])
        let shape = wanted["shape"]?.arrayValue?.compactMap(\.intValue) ?? []
        #expect(
          found.shape == shape && near(found.floats.map(Double.init), wanted.numbers),
          "\(name) \(example["config"]?.text() ?? "") batch \(batch), round \(round): \(found.shape) \(found.floats), Keras has \(wanted.numbers)"
        )
        twin.restore(metric.state)
        #expect(twin.result == metric.result || metric.result.isNaN, "\(name): state does not carry the result over")
      }
      metric.reset()
    }
  }

  @Test(arguments: cases.indices) func configsAreKeras(_ index: Int) throws {
    let example = Self.cases[index]
    let name = example["class"]?.stringValue ?? ""
    let metric = try Metric.make(name, config: example["config"] ?? [:])
    var (wanted, found) = (example["keras_config"]?.objectValue ?? [:], metric.config.objectValue ?? [:])
    #expect(metric.configClassName == name)
    let again = try Metric.make(name, config: metric.config)
    #expect(again.config == metric.config)
    (wanted["name"], found["name"]) = (nil, nil)
    // Where Keras prints a tensor in place of its numbers, and names the platform's integer.
    for (key, value) in wanted where value.stringValue?.hasPrefix("tf.Tensor") == true { (wanted[key], found[key]) = (nil, nil) }
    if wanted["dtype"] == "int64" { wanted["dtype"] = "int" }
    #expect(
      JSONValue.object(found).numerically(.object(wanted)),
      "\(name) \(JSONValue.object(found).text()), Keras has \(JSONValue.object(wanted).text())")
  }

  @Test func accuracyChoosesByShapes() throws {
    let p = try Tensor([0.2, 0.8, 0.6, 0.4], shape: [2, 2])
    let sparse = try Metric.make("accuracy")
    try sparse.update(Tensor(labels: [1, 1]), p)
    #expect(sparse.result == 0.5 && sparse.name == "accuracy")
    let column = try Metric.make("acc")
    try column.update(Tensor(labels: [1, 1], shape: [2, 1]), p)
    #expect(column.result == 0.5 && column.name == "acc")
    let oneHot = try Metric.make("accuracy")
    try oneHot.update(Tensor([0, 1, 1, 0], shape: [2, 2]), p)
    #expect(oneHot.result == 1)
    let binary = try Metric.make("accuracy")
    try binary.update(Tensor([1, 0, 1]), Tensor([0.6, 0.6, 0.7], shape: [3, 1]))
    #expect(abs(binary.result - 2.0 / 3) < 1e-12)
  }

  @Test func confusionMatrixCountsPairs() throws {
    let metric = try Metric.make("ConfusionMatrix", config: ["num_classes": 3])
    let scores = try Tensor([0.9, 0.1, 0, 0, 0.8, 0.1, 0.1, 0.7, 0.2], shape: [3, 3])
    try metric.update(Tensor(labels: [0, 1, 2]), scores)
    try metric.update(Tensor(labels: [2]), Tensor([0, 0, 1], shape: [1, 3]), sampleWeight: Tensor([2]))
    let found = try metric.resultTensor()
    #expect(found.shape == [3, 3] && found.floats == [1, 0, 0, 0, 1, 0, 0, 1, 2])
    #expect(metric.result == 0.8)
    metric.reset()
    #expect(try metric.resultTensor().floats == Array(repeating: 0, count: 9))
  }

  @Test func wrongArgumentsAreRefused() throws {
    for (name, config) in [
      ("Precision", ["thresholds": 1.5]), ("AUC", ["curve": "XY"]), ("AUC", ["num_thresholds": 1]), ("AUC", ["num_labels": 2]),
      ("F1Score", ["average": "mean"]), ("FBetaScore", ["beta": 0.0]), ("PrecisionAtRecall", [:]), ("PrecisionAtRecall", ["recall": 2.0]),
      ("MeanIoU", [:]), ("IoU", ["num_classes": 2, "target_class_ids": [2]]), ("BinaryAccuracy", ["treshold": 0.5]), ("precison", [:]),
    ] as [(String, JSONValue)] {
      #expect(throws: XferError.self, "\(name) \(config.text())") { try Metric.make(name, config: config) }
    }
    let y = try Tensor(zeros: [4, 3])
    #expect(throws: XferError.self) { try BinaryAccuracy().update(Tensor(zeros: [4, 2]), y) }
    #expect(throws: XferError.self) { try SparseCategoricalAccuracy().update(y, y) }
    #expect(throws: XferError.self) { try BinaryAccuracy().update(y, y, sampleWeight: Tensor(zeros: [3])) }
  }

  @Test func notANumberIsCountedNowhere() throws {
    for name in ["AUC", "Precision", "TopKCategoricalAccuracy", "F1Score", "ConfusionMatrix", "MeanIoU"] {
      let config: JSONValue = name == "ConfusionMatrix" || name == "MeanIoU" ? ["num_classes": 2] : [:]
      let metric = try Metric.make(name, config: config)
      try metric.update(Tensor([1, 0], shape: [1, 2]), Tensor([.nan, 0.5], shape: [1, 2]), sampleWeight: nil)
      _ = metric.result
    }
  }

  @Test func customMetricsAreCalled() throws {
    var seen: [Float] = []
    let metric = CustomMetric(
      name: "largest", update: { _, prediction, _ in seen += prediction.floats }, result: { Double(seen.max() ?? 0) }, reset: { seen = [] })
    try metric.update(Tensor([0]), Tensor([3, 1]))
    #expect(metric.result == 3)
    metric.reset()
    #expect(metric.result == 0)
  }
}
