import Glibc
import XferCore

/// A `.keras` file: a zip archive of `metadata.json`, `config.json` and `model.weights.h5`, as Keras 3 writes and reads it. What Xfer knows
/// beyond that (class names, preprocessing) lies in an entry `xfer.json`, which Keras passes over.
enum KerasArchive {
  private static let config = "config.json"
  private static let weights = "model.weights.h5"
  private static let metadata = "metadata.json"
  private static let extra = "xfer.json"
  private static let multipliers = "learning_rate_multipliers"
  /// The release whose format is written.
  private static let kerasVersion = "3.15.1"

  static func write(_ model: Model, to path: String) throws {
    try AtomicFile.replace(path) { temporary in
      let weightsPath = temporary + ".h5"
      defer { unlink(weightsPath) }
      let file = try H5File(creating: weightsPath)
      try KerasWeights.write(model, to: file)
      if let trainer = model.trainer { try OptimizerState.write(trainer, to: file) }
      try file.close()
      let archive = try ZipFile(creating: temporary)
      let facts: JSONValue = ["keras_version": .string(kerasVersion), "date_saved": .string(now())]
      try archive.write(metadata, text: facts.text())
      try archive.write(config, text: model.serialized.text())
      var known = model.metadata
      // Keras refuses arguments it does not have: rates by path cannot stand in its own config.
      if let optimizer = model.trainer?.optimizer, !optimizer.learningRateMultipliers.isEmpty {
        known[multipliers] = optimizer.multipliersConfig
      }
      if !known.isEmpty { try archive.write(extra, text: JSONValue.object(known).text()) }
      let written = try MappedFile(weightsPath)
      try withExtendedLifetime(written) { try archive.write(weights, UnsafeRawBufferPointer(written.bytes)) }
      try archive.close()
    }
  }

  static func read(_ path: String, compile: Bool) throws -> Model {
    let archive = try ZipFile(reading: path)
    let json = try json(config, archive, path)
    let file = try weights(in: archive, path)
    let model = try SavedModel.build(json, values: file, path)
    var rates: JSONValue?
    if try archive.entries().contains(where: { $0.name == extra }) {
      model.metadata = try Self.json(extra, archive, path).objectValue ?? [:]
      rates = model.metadata.removeValue(forKey: multipliers)
    }
    var transfer = WeightTransfer(path: path, partial: false, skipMismatch: false)
    try KerasWeights.offer(file, to: model, &transfer)
    try SavedModel.asFormat(path) { _ = try transfer.commit() }
    if compile {
      model.restoreCompiled(json["compile_config"], path)
      if let rates, let optimizer = model.trainer?.optimizer {
        optimizer.learningRateMultipliers = try SavedModel.asFormat(path) { try Optimizer.multipliers(rates) }
      }
      if let trainer = model.trainer { try SavedModel.asFormat(path) { try OptimizerState.read(file, into: trainer, path) } }
    }
    return model
  }

  /// The weights of an archive, opened in memory.
  static func weights(in archive: ZipFile, _ path: String) throws -> H5File {
    try H5File(reading: entry(weights, archive, path), name: "\(weights) of \(path)")
  }

  private static func json(_ name: String, _ archive: ZipFile, _ path: String) throws -> JSONValue {
    let bytes = try entry(name, archive, path)
    return try JSONValue(parsing: UnsafeRawBufferPointer(start: bytes.data, count: bytes.byteCount), what: "\(name) of \(path)")
  }

  private static func entry(_ name: String, _ archive: ZipFile, _ path: String) throws -> Tensor {
    guard try archive.entries().contains(where: { $0.name == name }) else {
      throw XferError.format("\(path) is no .keras file: it has no \(name)")
    }
    return try archive.read(name)
  }

  /// "2026-11-24@04:05:45", as Keras dates its files.
  private static func now() -> String {
    var seconds = time(nil)
    var parts = tm()
    localtime_r(&seconds, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let count = strftime(&text, text.count, "%Y-%m-%d@%H:%M:%S", &parts)
    return String(decoding: text.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
