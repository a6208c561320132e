import ArgumentParser
import Xfer

/// How training images are changed at random: flip, rotate:0.1, … separated by commas.
struct Augment: ExpressibleByArgument {
  enum Kind: String, CaseIterable { case flip, rotate, zoom, translate, brightness, contrast }

  private let steps: [(kind: Kind, value: String?)]
  /// As it was given.
  let text: String

  static let help = """
    Random changes of the training images, new in each epoch: flip (or flip:vertical, flip:both), rotate:TURNS, zoom:PART, translate:PART, \
    brightness:PART, contrast:PART; several are separated by commas.
    """

  init?(argument: String) {
    var steps: [(Kind, String?)] = []
    for text in argument.split(separator: ",", omittingEmptySubsequences: false) {
      let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard let kind = Kind(rawValue: parts[0]) else { return nil }
      let value = parts.count == 2 ? parts[1] : nil
      if kind == .flip {
        guard [nil, "horizontal", "vertical", "both"].contains(value) else { return nil }
      } else {
        guard let value, let part = Double(value), part > 0, part <= 1 else { return nil }
      }
      steps.append((kind, value))
    }
    (self.steps, text) = (steps, argument)
  }

  /// Keras' layers that do it, each with a seed of its own.
  func layers(seed: Int) throws -> [Layer] {
    try steps.enumerated().map { index, step in
      let part = JSONValue.double(Double(step.value ?? "") ?? 0)
      let seed = JSONValue.int(seed * 1000 + index)
      switch step.kind {
      case .flip:
        let mode = step.value == "both" ? "horizontal_and_vertical" : step.value ?? "horizontal"
        return try LayerRegistry.make("RandomFlip", config: ["mode": .string(mode), "seed": seed])
      case .rotate: return try LayerRegistry.make("RandomRotation", config: ["factor": part, "seed": seed])
      case .zoom: return try LayerRegistry.make("RandomZoom", config: ["height_factor": part, "seed": seed])
      case .translate:
        return try LayerRegistry.make("RandomTranslation", config: ["height_factor": part, "width_factor": part, "seed": seed])
      case .brightness: return try LayerRegistry.make("RandomBrightness", config: ["factor": part, "seed": seed])
      case .contrast: return try LayerRegistry.make("RandomContrast", config: ["factor": [part, part], "seed": seed])
      }
    }
  }
}
