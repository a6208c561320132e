public import XferCore

extension Trainer {
  /// What `compile` was given, as Keras writes it into a file.
  public var compileConfig: JSONValue {
    func entry(_ module: String, _ className: String, _ config: JSONValue) -> JSONValue {
      ["module": .string("keras.\(module)"), "class_name": .string(className), "config": config, "registered_name": nil]
    }
    func listed(_ metrics: [Metric]) -> JSONValue {
      .array(metrics.map { $0 is AutomaticAccuracy ? .string($0.name) : entry("metrics", $0.configClassName, $0.config) })
    }
    /// One element an output, or the element itself for one output.
    func spread(_ list: [JSONValue]) -> JSONValue { list.count == 1 ? list[0] : .array(list) }
    func figures(_ lists: [[Metric]]) -> JSONValue { lists.allSatisfy(\.isEmpty) ? nil : spread(lists.map(listed)) }
    return [
      "optimizer": entry("optimizers", type(of: optimizer).className, optimizer.kerasConfig),
      "loss": spread(outputs.map { $0.loss.map { entry("losses", type(of: $0).className, $0.config) } ?? .null }),
      "loss_weights": outputs.allSatisfy { $0.lossWeight == nil } ? nil : .array(outputs.map { .double($0.lossWeight ?? 1) }),
      "metrics": figures(outputs.map(\.metrics)), "weighted_metrics": figures(outputs.map(\.weightedMetrics)),
      "run_eagerly": false, "steps_per_execution": 1, "jit_compile": false,
    ]
  }
}

extension Model {
  /// Compiles the model as a file's `compile_config` says.
  ///
  /// - Throws: for an optimizer, loss or metric Xfer does not have, and for what it knows no counterpart of.
  func compile(config: JSONValue) throws {
    guard let optimizer = try SerializedObject(config["optimizer"], "optimizer"), let loss = config["loss"], !loss.isNull else {
      throw XferError.format("it names no optimizer or no loss")
    }
    let losses = try perOutput(loss, "loss")
    let weights = try config["loss_weights"].flatMap { $0.isNull ? nil : try perOutput($0, "loss_weights") }
    let metrics = try figures(config["metrics"], "metrics")
    let weighted = try figures(config["weighted_metrics"], "weighted_metrics")
    let parts = try outputNames.enumerated().map { index, name in
      let loss = try SerializedObject(losses[index], "loss")
      return CompiledOutput(
        name, loss: try loss.map { try Loss.make($0.className, config: $0.config) }, lossWeight: weights?[index].doubleValue,
        metrics: metrics[index], weightedMetrics: weighted[index])
    }
    try compile(optimizer: Optimizer.make(optimizer.className, config: optimizer.config), outputs: parts)
  }

  /// One element an output of a list, a dict by output name, or the element of a model with one output.
  private func perOutput(_ json: JSONValue, _ what: String) throws -> [JSONValue] {
    if let list = json.arrayValue, list.count == outputs.count { return list }
    if let members = json.objectValue, Set(members.keys).isSubset(of: Set(outputNames)), !members.isEmpty {
      return outputNames.map { members[$0] ?? .null }
    }
    guard json.arrayValue == nil, outputs.count == 1 else {
      throw XferError.unsupported("'\(what)' = \(json.text()) for \(outputs.count) outputs")
    }
    return [json]
  }

  private func figures(_ json: JSONValue?, _ what: String) throws -> [[Metric]] {
    guard let json, !json.isNull else { return outputs.map { _ in [] } }
    // With one output a list is that of its metrics; Keras also writes a list of one list.
    let single = outputs.count == 1 && !(json.arrayValue?.count == 1 && json.arrayValue?.first?.arrayValue != nil) && json.arrayValue != nil
    return try (single ? [json] : perOutput(json, what)).map { list in
      try (list.arrayValue ?? (list.isNull ? [] : [list])).compactMap { item in
        guard let metric = try SerializedObject(item, what) else { return nil }
        return try Metric.make(metric.className, config: metric.config)
      }
    }
  }

  /// Compiles as the file says, or, where it asks for what Xfer does not have, leaves the model uncompiled and says why.
  func restoreCompiled(_ config: JSONValue?, _ path: String) {
    guard let config, config["optimizer"].map({ !$0.isNull }) ?? false else { return }
    do {
      try compile(config: config)
    } catch {
      log(2, "\(path): the model is loaded without what it was compiled with: \((error as? XferError)?.message ?? "\(error)")")
    }
  }
}

/// An object in a config: "adam", {"class_name", "config"}, or the name of a function.
private struct SerializedObject {
  let className: String
  let config: JSONValue

  init?(_ json: JSONValue?, _ what: String) throws {
    guard let json, !json.isNull else { return nil }
    if let name = json.stringValue {
      (className, config) = (name, [:])
    } else if let name = json["class_name"]?.stringValue, name == "function", let function = json["config"]?.stringValue {
      (className, config) = (function, [:])
    } else if let name = json["class_name"]?.stringValue {
      (className, config) = (name, json["config"] ?? [:])
    } else {
      throw XferError.unsupported("'\(what)' = \(json.text())")
    }
  }
}
