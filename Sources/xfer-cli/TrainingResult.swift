import Xfer

/// What a training run found, as a table, as history.json and as the command's JSON.
struct TrainingResult {
  struct Epoch {
    let logs: Logs
    let seconds: Double
  }

  struct Phase {
    let name: String
    let trainedParameters: Int
    let frozenWeights: Int
    var epochs: [Epoch] = []
    /// Whether the frozen weights were found bit-equal at the end.
    var audited = false
  }

  let classes: [String]
  let base: String
  let images: (train: Int, validation: Int)
  let size: ImageSize
  var before: Logs?
  var phases: [Phase] = []
  var plan: JSONValue = ["nodes": []]
  var seconds = 0.0
  var peakBytes = 0
  var skipped: [(path: String, reason: String)] = []

  private func accuracy(after phase: String) -> Double? { phases.first { $0.name == phase }?.epochs.last?.logs["val_accuracy"] }

  /// Backends by the ops they run, the busiest first.
  private var backends: [(name: String, ops: Int)] {
    var counts: [String: Int] = [:]
    for node in plan["nodes"]?.arrayValue ?? [] { counts[node["backend"]?.stringValue ?? "", default: 0] += 1 }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
  }

  // MARK: Text

  var table: String {
    func share(_ value: Double?) -> String { value.map(percent) ?? "-" }
    var rows = [
      ["validation accuracy before training", share(before?["accuracy"])],
      ["validation accuracy after the head", share(accuracy(after: "head"))],
      ["validation accuracy after fine-tuning", share(accuracy(after: "fine-tune"))],
    ]
    for phase in phases where phase.audited { rows.append(["frozen weights bit-equal, \(phase.name)", "\(phase.frozenWeights)"]) }
    rows.append(["seconds", fixed(seconds, 1)])
    rows.append(["peak memory", "\(peakBytes / 1_048_576) MiB"])
    rows.append(["backend", backends.map { "\($0.name) (\($0.ops) ops)" }.joined(separator: ", ")])
    rows.append(["skipped images", "\(skipped.count)"])
    return aligned(rows)
  }

  // MARK: JSON

  /// {"phases":[{"name","epochs":[{"loss","accuracy","val_loss","val_accuracy","seconds"}]}],"classes","plan","peak_rss_bytes"}.
  var history: JSONValue { .object(historyMembers) }

  private var historyMembers: [String: JSONValue] {
    [
      "phases": .array(phases.map { ["name": .string($0.name), "epochs": .array($0.epochs.map(Self.json))] }),
      "classes": .array(classes.map { .string($0) }), "plan": plan, "peak_rss_bytes": .int(peakBytes),
    ]
  }

  private static func json(_ epoch: Epoch) -> JSONValue {
    var members = epoch.logs.json.objectValue ?? [:]
    members["seconds"] = .double(epoch.seconds)
    return .object(members)
  }

  /// The history, and what the table says.
  var json: JSONValue {
    func number(_ value: Double?) -> JSONValue { value.map { .double($0) } ?? .null }
    var members = historyMembers
    members["base"] = .string(base)
    members["image_size"] = [.int(size.height), .int(size.width)]
    members["images"] = ["train": .int(images.train), "validation": .int(images.validation)]
    members["val_accuracy"] = [
      "before": number(before?["accuracy"]), "head": number(accuracy(after: "head")), "fine-tune": number(accuracy(after: "fine-tune")),
    ]
    members["frozen"] = .array(
      phases.map { phase in
        [
          "phase": .string(phase.name), "weights": .int(phase.frozenWeights), "bit_equal": .bool(phase.audited),
          "trained_parameters": .int(phase.trainedParameters),
        ]
      })
    members["backends"] = .object(Dictionary(backends.map { ($0.name, .int($0.ops)) }) { $1 })
    members["seconds"] = .double(seconds)
    members["skipped"] = .array(skipped.map { ["path": .string($0.path), "reason": .string($0.reason)] })
    return .object(members)
  }
}
