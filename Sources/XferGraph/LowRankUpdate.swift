/// A trained product of two small matrices that is added to a weight wherever it is used: `w + scale · (a · b)` (Hu et al. 2021, "LoRA").
///
/// `a` has the weight's shape with the rank in place of the last dimension, `b` is [rank, last dimension].
public struct LowRankUpdate {
  public let a: Variable
  public let b: Variable
  public let scale: Double

  public init(a: Variable, b: Variable, scale: Double) { (self.a, self.b, self.scale) = (a, b, scale) }

  public var rank: Int { b.shape[0] }
}

extension Variable {
  /// Adds a product to the weight, which itself is trained no more.
  public func adapt(_ update: LowRankUpdate) {
    lowRank = update
    update.a.isFactor = true
    update.b.isFactor = true
    trainable = false
  }
}

extension Graph {
  /// The weight as its layer uses it: with the low-rank product, where it has one.
  public func adapted(_ weight: Variable) throws -> ValueID {
    let own = variable(weight)
    guard let update = weight.lowRank, let columns = weight.shape.last else { return own }
    let rows = weight.count / max(columns, 1)
    let product = try matmul(reshape(variable(update.a), to: [rows, update.rank]), variable(update.b))
    return try add(own, reshape(multiply(product, update.scale), to: weight.shape))
  }
}
