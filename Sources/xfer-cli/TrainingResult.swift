import Xfer

/// What a training run found, as a table, as history.json and as the command's JSON.
struct TrainingResult {
  let classes: [String]
  let base: String
  let images: (train: Int, validation: Int)
  let size: ImageSize
  var before: Logs?
  var history = PhaseHistory()
  var plan: JSONValue = ["nodes": []]
  /// The training step drawn as SVG, where a report wants it.
  var drawing: String?
  var seconds = 0.0
  var peakBytes = 0
  var skipped: [(path: String, reason: String)] = []

  var phases: [PhaseHistory.Entry] { history.phases }

  private func accuracy(after phase: String) -> Double? {
    phases.first { $0.name == phase }.flatMap { $0.logs($0.history.epochs.count - 1)["val_accuracy"] }
  }

  private static let usual = ["head", "fine-tune"]

  /// The phases of the usual plan, whether they ran or not, and all others.
  private var phaseNames: [String] { Self.usual + phases.map(\.name).filter { !Self.usual.contains($0) } }

  /// Backends by the ops they run, the busiest first.
  private var backends: [(name: String, ops: Int)] {
    var counts: [String: Int] = [:]
    for node in plan["nodes"]?.arrayValue ?? [] { counts[node["backend"]?.stringValue ?? "", default: 0] += 1 }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
  }

  // MARK: Text

  var table: String { aligned(rows) }

  var rows: [[String]] {
    func share(_ value: Double?) -> String { value.map(percent) ?? "-" }
    let titles = ["head": "the head", "fine-tune": "fine-tuning"]
    var rows = [["validation accuracy before training", share(before?["accuracy"])]]
    let isUsual = phases.allSatisfy { Self.usual.contains($0.name) }
    for name in isUsual ? Self.usual : phases.map(\.name) {
      rows.append(["validation accuracy after \(titles[name] ?? name)", share(accuracy(after: name))])
    }
    for phase in phases where phase.isAudited { rows.append(["frozen weights bit-equal, \(phase.name)", "\(phase.frozenWeights)"]) }
    rows.append(["seconds", fixed(seconds, 1)])
    rows.append(["peak memory", "\(peakBytes / 1_048_576) MiB"])
    rows.append(["backend", backends.map { "\($0.name) (\($0.ops) ops)" }.joined(separator: ", ")])
    rows.append(["skipped images", "\(skipped.count)"])
    return rows
  }

  // MARK: JSON

  /// {"phases":[{"name","epochs":[{"loss","accuracy","val_loss","val_accuracy","seconds"}]}],"classes","plan","peak_rss_bytes"}.
  var historyJSON: JSONValue { .object(historyMembers) }

  private var historyMembers: [String: JSONValue] {
    [
      "phases": history.json["phases"] ?? [], "classes": .array(classes.map { .string($0) }), "plan": plan,
      "peak_rss_bytes": .int(peakBytes),
    ]
  }

  /// The history, and what the table says.
  var json: JSONValue {
    func number(_ value: Double?) -> JSONValue { value.map { .double($0) } ?? .null }
    var members = historyMembers
    members["base"] = .string(base)
    members["image_size"] = [.int(size.height), .int(size.width)]
    members["images"] = ["train": .int(images.train), "validation": .int(images.validation)]
    members["val_accuracy"] = .object(
      Dictionary([("before", number(before?["accuracy"]))] + phaseNames.map { ($0, number(accuracy(after: $0))) }) { $1 })
    members["frozen"] = .array(
      phases.map { phase in
        [
          "phase": .string(phase.name), "weights": .int(phase.frozenWeights), "bit_equal": .bool(phase.isAudited),
          "trained_parameters": .int(phase.trainedParameters),
        ]
      })
    members["backends"] = .object(Dictionary(backends.map { ($0.name, .int($0.ops)) }) { $1 })
    members["seconds"] = .double(seconds)
    members["skipped"] = .array(skipped.map { ["path": .string($0.path), "reason": .string($0.reason)] })
    return .object(members)
  }
}
