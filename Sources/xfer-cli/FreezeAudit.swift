import Xfer

/// Fingerprints of the weights that are not trained, taken to prove later that not one bit of them moved.
struct FreezeAudit {
  private let prints: [(variable: Variable, hash: UInt64)]

  init(_ model: Model) { prints = model.nonTrainableWeights.map { ($0, Self.hash($0)) } }

  var count: Int { prints.count }

  /// Throws for weights that are not what they were.
  func verify(_ phase: String) throws {
    let moved = prints.filter { Self.hash($0.variable) != $0.hash }.map(\.variable.path)
    guard moved.isEmpty else {
      throw XferError.internal("frozen weights moved in phase '\(phase)': \(moved.prefix(5).joined(separator: ", ")) (\(moved.count) in all)")
    }
  }

  /// FNV-1a over 64-bit words: every step is a bijection of the state, so a change of one word always shows.
  private static func hash(_ variable: Variable) -> UInt64 {
    let bytes = UnsafeRawBufferPointer(start: variable.tensor.data, count: variable.tensor.byteCount)
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    var offset = 0
    while offset + 8 <= bytes.count {
      hash = (hash ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x100_0000_01b3
      offset += 8
    }
    for byte in bytes[offset...] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return hash
  }
}
