import XferCore

/// Finds which dimensions of an output are open when some of the input are.
///
/// A graph's shapes are all numbers, and plans are made for numbers. So a layer is lowered twice into scratch graphs, with two sizes in place
/// of each open dimension: what differs between the results depends on it and is open too. There are no shape rules beside the lowering.
enum StandIns {
  /// Pairs of sizes, tried in turn: small ones first, because some layers emit ops for every step of a sequence; large ones for large windows.
  private static let pairs = [(64, 200), (512, 1100), (4096, 9000)]

  /// - Parameter lower: the outputs for inputs of these shapes.
  static func outputs(
    of inputs: [OpenShape], lower: ([[Int]]) throws -> [TensorDescription]
  ) throws -> [(shape: OpenShape, dtype: DType)] {
    func filled(_ size: Int) -> [[Int]] {
      inputs.map { shape in shape.enumerated().map { $1 ?? ($0 == 0 ? 1 : size) } }
    }
    guard inputs.contains(where: { $0.dropFirst().contains { $0 == nil } }) else {
      return try lower(filled(1)).map { ($0.shape, $0.dtype) }
    }
    var refusal: XferError?
    for (small, large) in pairs {
      do {
        // Products of such sizes must not overflow in a layer.
        for shape in filled(large) where try Tensor.byteCount(shape, .float32) > 1 << 48 {
          throw XferError.shape("an input of shape \(shape) is too large, in place of \(inputs.map(text).joined(separator: ", "))")
        }
        let (first, second) = (try lower(filled(small)), try lower(filled(large)))
        guard first.map(\.shape.count) == second.map(\.shape.count) else {
          throw XferError.unsupported("the rank of the output depends on the size of the input")
        }
        return zip(first, second).map { a, b in (zip(a.shape, b.shape).map { $0 == $1 ? $0 : nil }, a.dtype) }
      } catch let error as XferError {
        refusal = refusal ?? error
      }
    }
    throw refusal ?? XferError.internal("no stand-in for an open dimension was tried")
  }
}
