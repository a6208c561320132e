import Glibc
import XferCore

/// A published weight file.
struct WeightFile: Sendable {
  let name: String
  /// Its MD5, where the publisher gives one, or how to get the file.
  let origin: String
}

/// Finds the ImageNet weights of an architecture on this machine. Nothing is downloaded.
struct ApplicationWeights {
  private let architecture: String
  private let files: [WeightFile]
  private let environment: [String: String]

  init(_ kind: Architecture, includeTop: Bool, environment: [String: String] = Self.processEnvironment) {
    self.environment = environment.filter { !$0.value.isEmpty }
    architecture = kind.name
    files = includeTop ? kind.files.classifier : kind.files.features
  }

  /// The file: XFER_WEIGHTS if that is one, else by name in the folder XFER_WEIGHTS, else in Keras' cache.
  func find() throws -> String {
    let given = environment["XFER_WEIGHTS"]
    if let given, isFile(given) { return given }
    let cache = environment["KERAS_HOME"] ?? environment["HOME"].map { "\($0)/.keras" }
    let folders = [given, cache.map { "\($0)/models" }].compactMap(\.self)
    for folder in folders {
      for file in files where isFile("\(folder)/\(file.name)") { return "\(folder)/\(file.name)" }
    }
    let wanted = files.map { "\($0.name) (\($0.origin))" }.joined(separator: " or ")
    throw XferError.notFound(
      "\(architecture): no ImageNet weights: \(wanted) is not in \(folders.joined(separator: " or ")); "
        + "set XFER_WEIGHTS to the file or its folder, or give its path as 'weights'")
  }

  /// The variables the search reads.
  static var processEnvironment: [String: String] {
    var result: [String: String] = [:]
    for name in ["XFER_WEIGHTS", "KERAS_HOME", "HOME"] { result[name] = getenv(name).map { String(cString: $0) } }
    return result
  }

  private func isFile(_ path: String) -> Bool {
    var information = stat()
    return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFREG
  }
}
