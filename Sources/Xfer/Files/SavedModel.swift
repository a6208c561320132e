import CXfer
import XferCore

/// Models from the config of a file.
enum SavedModel {
  /// Groups and data sets a weight file may have: far more than any model, and an end to groups that contain themselves.
  private static let memberLimit = 1_000_000

  /// A model whose weights are zeros until the file's values are read into them.
  static func build(_ config: JSONValue, values file: H5File, _ path: String) throws -> Model {
    let elements = try elementCount(file)
    return try asFormat(path) { try PendingValues.during(elements: elements) { try Deserializer().model(config) } }
  }

  /// A whole model in a legacy `.h5`, whose config is an attribute.
  static func readLegacy(_ path: String, compile: Bool) throws -> Model {
    let file = try H5File(reading: path)
    guard let root = try LegacyWeights.root(of: file), let text = try file.strings("/", "model_config")?.first else {
      throw XferError.format("\(path) holds no model: it has no 'model_config'; weights alone are read by load_weights")
    }
    let model = try build(JSONValue(parsing: text, what: "'model_config' of \(path)"), values: file, path)
    var transfer = WeightTransfer(path: path, partial: false, skipMismatch: false)
    try LegacyWeights(file, root: root).offer(to: model, &transfer, byName: false)
    try asFormat(path) { _ = try transfer.commit() }
    if compile, let text = try file.strings("/", "training_config")?.first,
      let config = try? JSONValue(parsing: text, what: "'training_config'")
    {
      let given: JSONValue = [
        "optimizer": config["optimizer_config"] ?? .null, "loss": config["loss"] ?? .null, "metrics": config["metrics"] ?? .null,
      ]
      model.restoreCompiled(given, path)
    }
    return model
  }

  /// What would be a caller's mistake elsewhere is the file's here.
  static func asFormat<T>(_ path: String, _ body: () throws -> T) throws -> T {
    do {
      return try body()
    } catch let error as XferError {
      let mistakes = [XFER_E_INVALID_ARGUMENT, XFER_E_SHAPE, XFER_E_DTYPE, XFER_E_STATE]
      let missing = error.status == XFER_E_NOT_FOUND && error.message.hasPrefix(path)
      guard missing || mistakes.contains(error.status) else { throw error }
      throw XferError.format(error.message.hasPrefix(path) ? error.message : "\(path): \(error.message)")
    }
  }

  /// Elements of all data sets of a file.
  private static func elementCount(_ file: H5File) throws -> Int {
    var (total, members) = (0, 0)
    var groups = [""]
    while let group = groups.popLast() {
      for (name, kind) in try file.members(group.isEmpty ? "/" : group) {
        members += 1
        guard members <= memberLimit else { throw XferError.format("a weight file with more than \(memberLimit) members") }
        let path = "\(group)/\(name)"
        if kind == .group {
          groups.append(path)
        } else {
          let count = try Tensor.byteCount(file.describe(path).shape, .float32) / DType.float32.size
          total = total.addingReportingOverflow(count).partialValue
        }
      }
    }
    return total
  }
}
