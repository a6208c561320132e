import XferCore
import XferGraph

/// The weights of Keras 3 (`model.weights.h5` in a `.keras` file): `layers/<class>/vars/<i>`, nested models within.
///
/// The groups are called after the classes ("dense", "dense_1" within each model; `saving_lib._save_container_state`), not after the
/// layers, whose names may differ from process to process; an attribute `name` of each `vars` gives the layer's.
enum KerasWeights {
  static func write(_ model: Model, to file: H5File) throws {
    try walk(model) { layer, group in
      try file.createGroup("\(group)/vars")
      try file.setStrings("\(group)/vars", "name", [layer.name], scalar: true)
      for (index, weight) in layer.ownWeights.enumerated() { try file.write("\(group)/vars/\(index)", weight.tensor) }
    }
  }

  /// Whether a file is of this kind.
  static func recognizes(_ file: H5File) -> Bool { file.exists("/layers") || file.exists("/_layer_checkpoint_dependencies") }

  static func offer(_ file: H5File, to model: Model, _ transfer: inout WeightTransfer) throws {
    try walk(model) { layer, group in
      let weights = layer.ownWeights
      guard let vars = try place(of: layer, group, in: file) else {
        transfer.miss(weights)
        return
      }
      let members = try file.members(vars).filter { $0.kind == .dataset }.count
      guard members == weights.count else {
        transfer.mismatch(weights, "layer '\(layer.name)' has \(weights.count) weights, '\(vars)' of the file \(members)")
        return
      }
      for (index, weight) in weights.enumerated() {
        let path = "\(vars)/\(index)"
        guard file.exists(path) else {
          transfer.miss([weight])
          continue
        }
        transfer.offer(weight, path, shape: try file.describe(path).shape) { try file.read(path) }
      }
    }
  }

  /// The `vars` of a layer: under its class' name as Keras has it, under its own name, or as Keras 2.13 called the folder.
  private static func place(of layer: Layer, _ group: String, in file: H5File) throws -> String? {
    guard !layer.ownWeights.isEmpty else { return nil }
    let parent = group.split(separator: "/").dropLast().map { "/\($0)" }.joined()
    let old = group.split(separator: "/").map { $0 == "layers" ? "/_layer_checkpoint_dependencies" : "/\($0)" }.joined()
    let candidates = [group, "\(parent)/\(layer.name)", old].map { "\($0)/vars" }.filter { file.exists($0) }
    return try candidates.first { try file.strings($0, "name") == [layer.name] } ?? candidates.first
  }

  /// Each layer with its group, outermost first. A layer in two places is told once.
  private static func walk(_ model: Model, _ body: (Layer, String) throws -> Void) throws {
    var seen: Set<ObjectIdentifier> = []
    func visit(_ layer: Layer, _ group: String) throws {
      guard seen.insert(ObjectIdentifier(layer)).inserted else { return }
      try body(layer, group)
      let names = LocalNames()
      for inner in layer.sublayers {
        let place = layer.attribute(of: inner) ?? "layers/\(names.next(AutomaticName.snakeCase(type(of: inner).className)))"
        try visit(inner, "\(group)/\(place)")
      }
    }
    try visit(model, "")
  }
}
