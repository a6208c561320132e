import Glibc
import XferCore

/// Writes a line an epoch to a file of comma-separated values: the epoch's number, then the figures by name.
public final class CSVLogger: Callback {
  public override class var className: String { "CSVLogger" }
  let path: String
  let separator: String
  let append: Bool
  private var names: [String]?
  private var file: Int32 = -1
  private var wantsHeader = true

  public init(_ path: String, separator: String = ",", append: Bool = false) {
    (self.path, self.separator, self.append) = (path, separator, append)
  }

  convenience init(config: inout Configuration) throws {
    let path = try config.string("filename", "")
    guard !path.isEmpty else { throw XferError.invalid("CSVLogger: 'filename' is required") }
    self.init(path, separator: try config.string("separator", ","), append: try config.bool("append", false))
  }

  deinit { if file >= 0 { close(file) } }

  public override func trainBegin(_ state: TrainingState) throws {
    if file >= 0 { close(file) }
    names = nil
    if append, access(path, F_OK) == 0 { wantsHeader = try readFile(path).first.map { $0 == UInt8(ascii: "\n") } ?? true }
    file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0o666)
    guard file >= 0 else { throw systemError(path, "cannot be written") }
  }

  public override func epochEnd(_ epoch: Int, _ logs: inout Logs, _ state: TrainingState) throws {
    let columns = names ?? Self.columns(logs)
    if names == nil, wantsHeader { try write(["epoch"] + columns) }
    names = columns
    try write(["\(epoch)"] + columns.map { logs[$0].map { "\($0)" } ?? "NA" })
  }

  /// Keras makes room for validation figures that later epochs may bring.
  private static func columns(_ logs: Logs) -> [String] {
    let names = logs.names.sorted()
    return names.contains { $0.hasPrefix("val_") } ? names : names + names.map { "val_\($0)" }
  }

  private func write(_ fields: [String]) throws {
    let quoted = fields.map { field in
      field.contains(separator) || field.contains("\"") || field.contains("\n") ? "\"" + field.replacing("\"", with: "\"\"") + "\"" : field
    }
    var line = quoted.joined(separator: separator) + "\r\n"
    try line.withUTF8 { try writeAll(file, UnsafeRawBufferPointer($0), path: path) }
  }

  public override func trainEnd(_ logs: Logs, _ state: TrainingState) {
    if file >= 0 { close(file) }
    file = -1
  }
}
