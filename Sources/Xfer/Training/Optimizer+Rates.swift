public import XferCore

extension Optimizer {
  /// The factor on the rate for a weight of this path.
  public func multiplier(_ path: String) -> Double { learningRateMultipliers.first { Self.fits(path, $0.pattern) }?.factor ?? 1 }

  /// Throws for a pattern that fits none of the weights, frozen ones included: most likely a slip of the pen.
  func checkMultipliers(_ weights: [Variable]) throws {
    for (pattern, _) in learningRateMultipliers where !weights.contains(where: { Self.fits($0.path, pattern) }) {
      let paths = weights.map(\.path)
      throw XferError.invalid(
        "learning_rate_multipliers: no weight of the model has a path like '\(pattern)'\(hint(pattern, among: paths)); "
          + "* stands for anything, ? for one character")
    }
  }

  private static func fits(_ path: String, _ pattern: String) -> Bool {
    fits(Array(path.unicodeScalars)[...], Array(pattern.unicodeScalars)[...])
  }

  /// Factors for ``learningRateMultipliers`` by which the rate shrinks towards the input: the layer next to the output keeps it, each layer
  /// with weights before has `factor` times the rate of the next (Howard & Ruder 2018).
  public static func layerWiseDecay(_ model: Layer, factor: Double) throws -> [(pattern: String, factor: Double)] {
    guard factor > 0, factor.isFinite else { throw XferError.invalid("layer-wise decay: the factor is to be above 0, \(factor) was given") }
    var rate = 1.0
    var result: [(pattern: String, factor: Double)] = []
    for layer in model.allLayers.reversed() where !layer.ownWeights.isEmpty {
      result += layer.ownWeights.map { ($0.path, rate) }
      rate *= factor
    }
    return result
  }

  private static func fits(_ text: ArraySlice<Unicode.Scalar>, _ pattern: ArraySlice<Unicode.Scalar>) -> Bool {
    // Two positions, and where to go on when the last star takes one more character: time grows with the product of lengths only.
    var (t, p) = (text.startIndex, pattern.startIndex)
    var retry: (text: Int, pattern: Int)?
    while t < text.endIndex {
      if p < pattern.endIndex, pattern[p] == "*" {
        retry = (t, p)
        p += 1
      } else if p < pattern.endIndex, pattern[p] == "?" || pattern[p] == text[t] {
        (t, p) = (t + 1, p + 1)
      } else if let (from, star) = retry {
        retry = (from + 1, star)
        (t, p) = (from + 1, star + 1)
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == "*" }
  }
}
