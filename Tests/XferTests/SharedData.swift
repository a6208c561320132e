import Foundation
import XferCore
@testable import Xfer

/// Data too large for the repository: a folder given by XFER_SHARED or lying beside the checkout. Tests that need it skip without it.
enum SharedData {
  static let folder: String? = {
    let beside = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../shared").standardizedFileURL.path
    let candidates = [ProcessInfo.processInfo.environment["XFER_SHARED"], beside].compactMap { $0 }
    return candidates.first { FileManager.default.fileExists(atPath: $0 + "/reference/xception") }
  }()

  static var isHere: Bool { folder != nil }
  static let skip = "skipped: no reference data (set XFER_SHARED to its folder)"

  static func path(_ name: String) throws -> String {
    guard let folder else { throw XferError.notFound("no reference data") }
    return "\(folder)/\(name)"
  }

  static func json(_ name: String) throws -> JSONValue {
    try JSONValue(parsing: Data(contentsOf: URL(fileURLWithPath: path(name))), what: name)
  }

  /// A numpy array: float64, float32 or uint8 in C order. Doubles come as float32.
  static func npy(_ name: String) throws -> Tensor {
    let data = try Data(contentsOf: URL(fileURLWithPath: path(name)))
    let headerBytes = Int(data[8]) | Int(data[9]) << 8
    let header = String(decoding: data[10..<10 + headerBytes], as: UTF8.self)
    let shapeText = header[header.range(of: "'shape': (")!.upperBound...].prefix { $0 != ")" }
    let shape = shapeText.split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
    let body = Data(data[(10 + headerBytes)...])
    if header.contains("<f8") {
      return try Tensor(body.withUnsafeBytes { $0.bindMemory(to: Double.self).map { Float($0) } }, shape: shape)
    }
    let tensor = try Tensor(zeros: shape, dtype: header.contains("|u1") ? .uint8 : .float32)
    body.copyBytes(to: UnsafeMutableRawBufferPointer(start: tensor.data, count: tensor.byteCount))
    return tensor
  }
}

/// The backends whose plugins are beside the tests, and the one built in.
let availableBackends: [String] = (try? Backend.ordered().map(\.name)) ?? []
