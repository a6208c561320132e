import XferGraph

/// Reads the names weights and layers have in files of many years.
enum WeightNames {
  /// Layers by a name that does not depend on how many were made before in the process: automatic names ("conv2d_4", Keras 1's
  /// "convolution2d_5") are numbered anew, in the order in which they were made.
  static func stable(_ names: [String]) -> [String: String] {
    var automatic: [String: [(number: Int, name: String)]] = [:]
    var result: [String: String] = [:]
    for name in Set(names) {
      if let (base, number) = automaticParts(name) {
        automatic[base, default: []].append((number, name))
      } else {
        result[name] = plain(name)
      }
    }
    for (base, list) in automatic {
      for (rank, entry) in list.sorted(by: { $0.number < $1.number }).enumerated() { result[entry.name] = "\(base)#\(rank)" }
    }
    return result
  }

  /// The names Keras gives layers itself, and its first version's spelling of them.
  private static let automaticBases: [String: String] = {
    let classes = LayerRegistry.classNames + ["Functional", "Sequential", "Model"]
    let own = classes.map { ($0, AutomaticName.snakeCase($0)) }.map { ($0.1, $0.1) }
    let old = [
      ("convolution2d", "conv2d"), ("separableconvolution2d", "separable_conv2d"), ("batchnormalization", "batch_normalization"),
      ("maxpooling2d", "max_pooling2d"), ("averagepooling2d", "average_pooling2d"), ("merge", "add"),
    ]
    return Dictionary(own + old) { first, _ in first }
  }()

  private static func automaticParts(_ name: String) -> (base: String, number: Int)? {
    if let base = automaticBases[name] { return (base, 0) }
    guard let underscore = name.lastIndex(of: "_"), let number = Int(name[name.index(after: underscore)...]),
      let base = automaticBases[String(name[..<underscore])]
    else { return nil }
    return (base, number)
  }

  /// Keras 1 allowed slashes in layer names, Keras 3 does not.
  static func plain(_ name: String) -> String { String(name.map { $0 == "/" ? "_" : $0 }) }

  /// "block1_conv1/kernel:0" → ("block1_conv1", "kernel").
  static func parts(_ name: String) -> (layer: String, weight: String) {
    var text = Substring(name)
    if let colon = text.lastIndex(of: ":"), Int(text[text.index(after: colon)...]) != nil { text = text[..<colon] }
    guard let slash = text.lastIndex(of: "/") else { return ("", String(text)) }
    return (String(text[..<slash]), String(text[text.index(after: slash)...]))
  }

  /// Which of `names` holds each weight of one layer: by role where the name tells it ("conv1_b" is a bias), the others in order.
  static func match(_ names: [String], to weights: [String]) -> [Int] {
    var left = Array(names.indices)
    var result = [Int?](repeating: nil, count: weights.count)
    for (index, weight) in weights.enumerated() {
      if let place = left.firstIndex(where: { role(names[$0], among: weights) == weight }) { result[index] = left.remove(at: place) }
    }
    return result.map { $0 ?? left.removeFirst() }
  }

  private static let synonyms = ["W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"]

  /// The weight a name means, if it is one of `weights`.
  private static func role(_ name: String, among weights: [String]) -> String? {
    let own = parts(name).weight
    func means(_ word: String) -> Bool { own == word || own.hasSuffix("_\(word)") }
    // Longer words first: "depthwise_kernel" also ends in "kernel".
    if let weight = weights.sorted(by: { $0.count > $1.count }).first(where: means) { return weight }
    return synonyms.first { means($0.key) && weights.contains($0.value) }?.value
  }
}
