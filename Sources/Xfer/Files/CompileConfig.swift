public import XferCore

extension Trainer {
  /// What `compile` was given, as Keras writes it into a file.
  public var compileConfig: JSONValue {
    func entry(_ module: String, _ className: String, _ config: JSONValue) -> JSONValue {
      ["module": .string("keras.\(module)"), "class_name": .string(className), "config": config, "registered_name": nil]
    }
    return [
      "optimizer": entry("optimizers", type(of: optimizer).className, optimizer.config),
      "loss": entry("losses", type(of: loss).className, loss.config), "loss_weights": nil,
      "metrics": metrics.isEmpty
        ? nil
        : .array(metrics.map { $0 is AutomaticAccuracy ? .string($0.name) : entry("metrics", type(of: $0).className, $0.config) }),
      "weighted_metrics": nil, "run_eagerly": false, "steps_per_execution": 1, "jit_compile": false,
    ]
  }
}

extension Model {
  /// Compiles the model as a file's `compile_config` says.
  ///
  /// - Throws: for an optimizer, loss or metric Xfer does not have, and for what it knows no counterpart of.
  func compile(config: JSONValue) throws {
    for key in ["loss_weights", "weighted_metrics"] {
      if let value = config[key], !value.isNull { throw XferError.unsupported("'\(key)' = \(value.text())") }
    }
    guard let optimizer = try SerializedObject(config["optimizer"], "optimizer"), let loss = try SerializedObject(config["loss"], "loss") else {
      throw XferError.format("it names no optimizer or no loss")
    }
    let metrics = try (config["metrics"]?.arrayValue ?? []).compactMap { item -> Metric? in
      // With one output Keras also writes a list of one list.
      guard let metric = try SerializedObject(item.arrayValue?.count == 1 ? item.arrayValue?.first : item, "metrics") else { return nil }
      return try Metric.make(metric.className, config: metric.config)
    }
    try compile(
      optimizer: Optimizer.make(optimizer.className, config: optimizer.config), loss: Loss.make(loss.className, config: loss.config),
      metrics: metrics)
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
