public import XferCore
import XferGraph

/// Fingerprints of weights at one moment, to prove later that not one bit of the frozen ones moved.
///
/// ```swift
/// let audit = model.audit()
/// _ = try model.fit(photos)
/// try audit.verify()
/// ```
public struct FreezeAudit {
  /// A weight with the fingerprint of its values.
  public struct Entry {
    public let path: String
    public let trainable: Bool
    public let digest: Digest
    fileprivate let variable: Variable
  }

  public let entries: [Entry]

  /// - Parameter statistics: weights that no optimizer moves and that are to move all the same.
  init(_ model: Model, statistics: [Variable] = []) {
    let moving = Set((model.trainableWeights + statistics).map { ObjectIdentifier($0) })
    entries = model.weights.map { weight in
      Entry(path: weight.path, trainable: moving.contains(ObjectIdentifier(weight)), digest: weight.freshDigest, variable: weight)
    }
  }

  /// Weights and statistics that were not trained then.
  public var frozen: [Entry] { entries.filter { !$0.trainable } }

  /// Paths of the frozen ones that are not what they were.
  public var moved: [String] { frozen.filter { $0.variable.freshDigest != $0.digest }.map(\.path) }

  /// - Throws: `XFER_E_INTERNAL` naming the frozen weights that moved.
  public func verify() throws {
    let moved = moved
    guard moved.isEmpty else {
      throw XferError.internal("frozen weights moved: \(moved.prefix(5).joined(separator: ", ")) (\(moved.count) in all)")
    }
  }

  /// {"weights":[{"path","trainable","digest"}]}: equal digests are equal bits.
  public var json: JSONValue {
    ["weights": .array(entries.map { ["path": .string($0.path), "trainable": .bool($0.trainable), "digest": .string($0.digest.text)] })]
  }
}

extension Model {
  /// Fingerprints of all weights and statistics as they are now.
  public func audit() -> FreezeAudit { FreezeAudit(self) }
}
