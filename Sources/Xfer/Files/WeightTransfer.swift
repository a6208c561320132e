import XferCore
import XferGraph

/// Values found for weights, gathered first and assigned together: a load that fails leaves every weight as it was.
struct WeightTransfer {
  let path: String
  /// Whether weights without a value are all right.
  let partial: Bool
  let skipMismatch: Bool
  private(set) var report = LoadReport()
  private var found: [(variable: Variable, read: () throws -> Tensor)] = []
  private var complaints: [String] = []

  init(path: String, partial: Bool, skipMismatch: Bool) {
    (self.path, self.partial, self.skipMismatch) = (path, partial, skipMismatch)
  }

  /// Offers the file's tensor `name` to a weight.
  mutating func offer(_ variable: Variable, _ name: String, shape: [Int], read: @escaping () throws -> Tensor) {
    guard shape == variable.shape else {
      return mismatch([variable], "weight '\(variable.path)' has shape \(variable.shape), '\(name)' of the file \(shape)")
    }
    found.append((variable, read))
    report.loaded.append(variable.path)
  }

  /// Notes weights whose values in the file do not fit.
  mutating func mismatch(_ variables: [Variable], _ complaint: String) {
    report.mismatched += variables.map(\.path)
    complaints.append(complaint)
  }

  mutating func skip(_ names: [String]) { report.skipped += names }
  mutating func miss(_ variables: [Variable]) { report.missing += variables.map(\.path) }

  /// Assigns what was found, or throws what does not fit.
  func commit() throws -> LoadReport {
    if !skipMismatch, let first = complaints.first {
      throw XferError.shape("\(path): \(first)\(more(complaints.count)); skip_mismatch loads the others")
    }
    if !partial, let first = report.missing.first {
      throw XferError.notFound(
        "\(path) has no value for weight '\(first)'\(more(report.missing.count)); by_name or skip_mismatch loads what is there")
    }
    let values = try found.map { variable, read in
      let value = try read().converted(to: .float32)
      guard value.shape == variable.shape else { throw XferError.format("\(path): the value of '\(variable.path)' changed its shape") }
      return value
    }
    for ((variable, _), value) in zip(found, values) {
      try variable.adopt(value)
      variable.markLoaded()
      // What the file has is the sum, as Keras loads it.
      for factor in variable.lowRank.map({ [$0.a, $0.b] }) ?? [] { try factor.assign(Tensor(zeros: factor.shape)) }
    }
    return report
  }

  private func more(_ count: Int) -> String { count > 1 ? " (and \(count - 1) more)" : "" }
}
