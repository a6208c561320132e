/// The element types of tensors. Raw values are those of `xfer.h`.
public enum DType: Int32, Sendable, CaseIterable {
  case float32 = 1, float64, bfloat16, float16, uint8, int32, int64, bool

  /// Bytes an element takes.
  public var size: Int {
    switch self {
    case .float64, .int64: 8
    case .float32, .int32: 4
    case .bfloat16, .float16: 2
    case .uint8, .bool: 1
    }
  }

  /// Keras' name: "float32", "int64", …
  public var name: String { "\(self)" }

  public init?(name: String) {
    guard let match = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = match
  }
}
