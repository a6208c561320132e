import Glibc
import Synchronization
import CXfer

/// How exact the products of two tensors are: convolutions, dense layers and their gradients.
///
/// With ``bfloat16`` the factors are rounded to 8 bits of fraction as they are packed, weights are kept so in their packed form, and
/// sums are float32 (Kalamkar et al. 2019, A Study of BFLOAT16 for Deep Learning Training). Images that layers hand to each other are
/// kept in bfloat16 too, where the backend takes them so. Weights, optimizers, the arithmetic of normalization, losses and a head's features
/// stay float32. bfloat16 has the exponents of float32, so gradients do not vanish in it and losses need
/// no scaling, as they do in float16.
public enum Precision: Int32, Sendable, CaseIterable {
  case float32 = 0
  case bfloat16 = 1

  public var name: String { "\(self)" }

  /// "float32" or "f32", "bfloat16" or "bf16".
  public init(named name: String) throws {
    switch name {
    case "float32", "f32": self = .float32
    case "bfloat16", "bf16": self = .bfloat16
    default: throw XferError.invalid("precision is to be float32 (f32) or bfloat16 (bf16), '\(name)' was given")
    }
  }

  /// That of models compiled or, without compile, run from now on; from `XFER_PRECISION` at first, else float32.
  public static var current: Precision {
    get { chosen.withLock { $0 } }
    set { chosen.withLock { $0 = newValue } }
  }

  private static let chosen = Mutex<Precision>(
    getenv("XFER_PRECISION").flatMap { text in
      let name = String(cString: text)
      if let known = try? Precision(named: name) { return known }
      log(Int32(XFER_LOG_WARNING), "XFER_PRECISION is to be float32 or bfloat16, '\(name)' was given: float32 is used")
      return nil
    } ?? .float32)
}
