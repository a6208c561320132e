import Glibc
import Xfer

/// How a model's outputs are read: one column for two classes, else a column a class; as logits or as probabilities.
struct Classifier {
  let model: Model
  let columns: Int
  let givesLogits: Bool

  init(_ model: Model, _ name: String) throws {
    let shape = model.outputs[0].shape
    guard model.outputs.count == 1, shape.count == 2, let columns = shape[1] else {
      throw XferError.shape(
        "\(name) is no classifier: its output is \(shape.dropFirst().map { $0 ?? 0 }), a number for each class is wanted")
    }
    (self.model, self.columns) = (model, columns)
    givesLogits = !Self.givesProbabilities(model)
  }

  var classCount: Int { columns == 1 ? 2 : columns }

  /// Names saved with the model, else nil.
  var classNames: [String]? {
    let names = model.metadata["class_names"]?.arrayValue?.compactMap(\.stringValue)
    return names?.count == classCount ? names : nil
  }

  func name(_ index: Int) -> String { classNames?[index] ?? "class \(index)" }

  var loss: Loss { columns == 1 ? BinaryCrossentropy(fromLogits: givesLogits) : SparseCategoricalCrossentropy(fromLogits: givesLogits) }
  /// The accuracy under one name, whatever the number of classes.
  var accuracy: Metric {
    columns == 1 ? BinaryAccuracy(threshold: givesLogits ? 0 : 0.5, name: "accuracy") : SparseCategoricalAccuracy(name: "accuracy")
  }

  /// A probability for each class, from one row of outputs.
  func probabilities(_ row: ArraySlice<Float>) -> [Double] {
    let values = row.map(Double.init)
    if columns == 1 {
      let second = givesLogits ? 1 / (1 + exp(-values[0])) : values[0]
      return [1 - second, second]
    }
    guard givesLogits, let largest = values.max() else { return values }
    let powers = values.map { exp($0 - largest) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }

  private static func givesProbabilities(_ model: Model) -> Bool {
    guard let last = model.layers.last else { return false }
    if let inner = last as? Model { return givesProbabilities(inner) }
    if type(of: last).className == "Softmax" { return true }
    return ["softmax", "sigmoid"].contains(last.config["activation"]?.stringValue ?? "")
  }
}
