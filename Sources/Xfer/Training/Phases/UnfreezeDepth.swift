import XferCore

/// Which layers of a pretrained base are trained: "all", "none", "last:N" or "last:P%" (counted from the output), "from:LAYER".
public enum UnfreezeDepth: Equatable, Sendable {
  case all, none
  /// So many layers at the end.
  case last(Int)
  /// So many percent of the layers that have weights, at the end.
  case lastPercent(Double)
  /// The layer of this name and all behind it.
  case from(String)

  /// - Throws: `XFER_E_INVALID_ARGUMENT` for any other text.
  public init(_ text: String) throws {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    switch (parts[0], parts.count) {
    case ("all", 1): self = .all
    case ("none", 1): self = .none
    case ("from", 2) where !parts[1].isEmpty: self = .from(parts[1])
    case ("last", 2):
      if parts[1].hasSuffix("%"), let percent = Double(parts[1].dropLast()), percent > 0, percent <= 100 {
        self = .lastPercent(percent)
      } else if let count = Int(parts[1]), count > 0 {
        self = .last(count)
      } else {
        throw Self.refusal(text)
      }
    default: throw Self.refusal(text)
    }
  }

  private static func refusal(_ text: String) -> XferError {
    XferError.invalid("'unfreeze' is to be all, none, last:N (layers), last:P% or from:LAYER, '\(text)' was given")
  }

  public var text: String {
    switch self {
    case .all: "all"
    case .none: "none"
    case .last(let count): "last:\(count)"
    case .lastPercent(let percent): "last:\(percent == percent.rounded() ? "\(Int(percent))" : "\(percent)")%"
    case .from(let name): "from:\(name)"
    }
  }

  /// The first trained one of these layers; their count where none is.
  ///
  /// - Throws: `XFER_E_NOT_FOUND` with the nearest name where there is no layer of the name.
  func first(of layers: [Layer]) throws -> Int {
    switch self {
    case .none: return layers.count
    case .all: return 0
    case .last(let count): return max(0, layers.count - count)
    case .lastPercent(let percent):
      let weighty = layers.indices.filter { !layers[$0].weights.isEmpty }
      // A third of nine layers is three, whatever rounding made of the third.
      let count = Int((percent / 100 * Double(weighty.count) - 1e-9).rounded(.up))
      return count > 0 ? weighty[weighty.count - count] : layers.count
    case .from(let name):
      guard let index = layers.firstIndex(where: { $0.name == name }) else {
        throw XferError.notFound("unfreeze \(text): the base has no layer '\(name)'\(hint(name, among: layers.map(\.name)))")
      }
      return index
    }
  }
}

/// The pretrained part of a model, as a plan of phases freezes it.
struct PretrainedBase {
  /// The nested model; nil where the base's layers are the model's own.
  let container: Model?
  let layers: [Layer]

  /// Finds it: the nested model called `base`, or everything before the layer called `head`, or the one nested model there is.
  init(of model: Model, base: String?, head: String?) throws {
    let nested = model.layers.compactMap { $0 as? Model }
    if let base {
      guard let found = nested.first(where: { $0.name == base }) else {
        throw XferError.notFound("'base': '\(model.name)' has no nested model '\(base)'\(hint(base, among: nested.map(\.name)))")
      }
      (container, layers) = (found, found.layers)
    } else if let head {
      guard let index = model.layers.firstIndex(where: { $0.name == head }) else {
        throw XferError.notFound("'head': '\(model.name)' has no layer '\(head)'\(hint(head, among: model.layers.map(\.name)))")
      }
      (container, layers) = (nil, Array(model.layers[..<index]))
    } else if nested.count == 1 {
      (container, layers) = (nested[0], nested[0].layers)
    } else {
      let names = nested.map { "'\($0.name)'" }.joined(separator: ", ")
      throw XferError.invalid(
        nested.isEmpty
          ? "the model '\(model.name)' has no model within that could be the base: name the first of the new layers as 'head'"
          : "the model '\(model.name)' has several models within, \(names): name the pretrained one as 'base'")
    }
  }

  /// A model that is a base itself.
  init(_ model: Model) { (container, layers) = (model, model.layers) }

  /// The weights it was pretrained with.
  var weights: [ObjectIdentifier] { layers.flatMap(\.weights).filter { !$0.isFactor }.map { ObjectIdentifier($0) } }

  /// Sets the flags of all layers of the base; they count from the next compile on.
  ///
  /// - Throws: `XFER_E_INVALID_ARGUMENT` when layers are to be trained and none of them has a weight to train.
  func unfreeze(_ depth: UnfreezeDepth) throws {
    let first = try depth.first(of: layers)
    container?.trainable = depth != .none
    for (index, layer) in layers.enumerated() { layer.trainable = index >= first }
    guard depth == .none || layers.contains(where: { !$0.trainableWeights.isEmpty }) else {
      throw XferError.invalid("unfreeze \(depth.text) leaves no weight of the base to train")
    }
  }
}

extension Model {
  /// Freezes and unfreezes the layers of a pretrained base, this model; takes effect with the next `compile` of the model around it.
  public func unfreeze(_ depth: UnfreezeDepth) throws { try PretrainedBase(self).unfreeze(depth) }
}
