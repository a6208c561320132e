import Foundation
import Testing
import XferCore

/// What Keras computed, from Tests/goldens.
func golden(_ name: String, file: String = #filePath) throws -> JSONValue {
  let folder = URL(fileURLWithPath: file).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("goldens")
  return try JSONValue(parsing: Data(contentsOf: folder.appendingPathComponent(name)), what: name)
}

extension JSONValue {
  var floats: [Float] { (arrayValue ?? []).map { Float($0.doubleValue ?? .nan) } }
}

/// The largest difference, each measured in units of 1 + |b|.
func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
  guard a.count == b.count else { return .infinity }
  return zip(a, b).map { abs($0 - $1) / (1 + abs($1)) }.max() ?? 0
}
