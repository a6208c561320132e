import Foundation
import Glibc
import XferCore

/// A folder of its own that goes with the value.
final class TemporaryFolder {
  let path: String

  init() throws {
    var template = Array("/tmp/xfer-tests-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw XferError.io("no temporary folder") }
    path = String(cString: made)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }
  func read(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: file(name))) }
  func write(_ data: some Sequence<UInt8>, _ name: String) throws { try Data(data).write(to: URL(filePath: file(name))) }
  var names: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] }
}
