import XferCore
import XferGraph

/// The state of a compiled model's optimizer in a file of Keras 3: `optimizer/vars/<i>`, the step count and the learning rate, then what is
/// kept for each trained weight.
enum OptimizerState {
  private static let group = "/optimizer/vars"

  static func write(_ trainer: Trainer, to file: H5File) throws {
    try file.createGroup(group)
    try file.setStrings(group, "name", [trainer.optimizer.name], scalar: true)
    for (index, value) in try trainer.optimizer.stateVariables.enumerated() { try file.write("\(group)/\(index)", value.tensor) }
  }

  /// Takes over what the file has, if it is what this optimizer keeps; otherwise says so and leaves the optimizer new, as Keras does.
  static func read(_ file: H5File, into trainer: Trainer, _ path: String) throws {
    guard file.exists(group) else { return }
    let count = try file.members(group).filter { $0.kind == .dataset }.count
    try trainer.optimizer.build(trainer.trainableWeights)
    let wanted = try trainer.optimizer.stateVariables.map(\.tensor)
    // Keras makes the slots when it first needs them; a file from before has the two numbers alone.
    guard count > 2 || wanted.count <= 2 else { return }
    var values: [Tensor] = []
    if count == wanted.count {
      for (index, own) in wanted.enumerated() where file.exists("\(group)/\(index)") {
        guard try file.describe("\(group)/\(index)").shape == own.shape else { break }
        values.append(try file.read("\(group)/\(index)"))
      }
    }
    guard values.count == wanted.count else {
      return log(
        2,
        "\(path): the state of the optimizer '\(trainer.optimizer.name)' is left out: it keeps \(wanted.count) values, the file has \(count)"
      )
    }
    try trainer.optimizer.setState(values)
  }
}
