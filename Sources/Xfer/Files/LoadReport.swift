public import XferCore

/// What became of each tensor of a weight file and of each weight of the model.
public struct LoadReport: Equatable, Sendable {
  /// Paths of the weights that got values.
  public var loaded: [String] = []
  /// Names of tensors in the file that no weight wanted.
  public var skipped: [String] = []
  /// Paths of weights whose shape is another one in the file: left as they were.
  public var mismatched: [String] = []
  /// Paths of weights the file has no value for: left as they were.
  public var missing: [String] = []

  /// {"loaded": […], "skipped": […], "mismatched": […], "missing": […]}.
  public var json: JSONValue {
    func list(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
    return ["loaded": list(loaded), "skipped": list(skipped), "mismatched": list(mismatched), "missing": list(missing)]
  }
}
