/// A fingerprint of bytes in 128 bits: two lanes of multiply and mix. It tells contents apart; it is no defence against an adversary.
public struct Digest: Hashable, Sendable {
  public private(set) var high: UInt64 = 0x9E37_79B9_7F4A_7C15
  public private(set) var low: UInt64 = 0xD1B5_4A32_D192_ED03

  public init() {}

  /// 32 hexadecimal digits.
  public var text: String {
    [high, low].map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  /// A digest read back from where it was stored.
  public init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

  public mutating func combine(_ word: UInt64) {
    high = (high ^ word) &* 0xFF51_AFD7_ED55_8CCD
    high ^= high >> 32
    low = (low &+ word) &* 0xC4CE_B9FE_1A85_EC53
    low ^= low >> 29
  }

  public mutating func combine(_ other: Digest) {
    combine(other.high)
    combine(other.low)
  }

  public mutating func combine(_ bytes: UnsafeRawBufferPointer) {
    combine(UInt64(bytes.count))
    var offset = 0
    while offset + 8 <= bytes.count {
      combine(bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      offset += 8
    }
    var rest: UInt64 = 0
    while offset < bytes.count {
      rest = rest << 8 | UInt64(bytes[offset])
      offset += 1
    }
    combine(rest)
  }

  public mutating func combine(_ text: String) {
    var text = text
    text.withUTF8 { combine(UnsafeRawBufferPointer($0)) }
  }
}
