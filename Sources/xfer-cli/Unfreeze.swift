import ArgumentParser
import Xfer

/// Which layers of the base are fine-tuned: all, last:N, from:LAYER or none.
enum Unfreeze: ExpressibleByArgument {
  case all, none
  case last(Int)
  case from(String)

  init?(argument: String) {
    let parts = argument.split(separator: ":", maxSplits: 1).map(String.init)
    switch (parts.first, parts.count) {
    case ("all", 1): self = .all
    case ("none", 1): self = .none
    case ("last", 2):
      guard let count = Int(parts[1]), count > 0 else { return nil }
      self = .last(count)
    case ("from", 2): self = .from(parts[1])
    default: return nil
    }
  }

  var isNone: Bool { if case .none = self { true } else { false } }

  /// Sets the flags of the base's layers; they count from the next compile on.
  func apply(to base: Model) throws {
    let layers = base.layers
    let first: Int
    switch self {
    case .none: return
    case .all: first = 0
    case .last(let count): first = max(0, layers.count - count)
    case .from(let name):
      guard let index = layers.firstIndex(where: { $0.name == name }) else {
        throw XferError.notFound("--unfreeze from:\(name): the base has no layer '\(name)'\(hint(name, among: layers.map(\.name)))")
      }
      first = index
    }
    base.trainable = true
    for layer in layers[..<first] { layer.trainable = false }
    guard !base.trainableWeights.isEmpty else {
      throw XferError.invalid("--unfreeze leaves no weight of the base to train: 'xfer summary' lists its layers")
    }
  }
}
