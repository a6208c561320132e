public import XferCore
public import XferGraph

/// Records calls on data and differentiates through them: Keras' hand-written loop.
///
/// ```swift
/// let tape = GradientTape()
/// let prediction = try model(images, tape: tape)
/// let value = try loss(labels, prediction, tape: tape)
/// let gradients = try tape.gradient(value, model.trainableWeights)
/// try optimizer.apply(gradients, to: model.trainableWeights)
/// ```
public final class GradientTape {
  private struct Record {
    let entry: EagerPlans.Entry
    let inputs: [Tensor]
    let outputs: [Tensor]
    let release: () -> Void
  }
  private var records: [Record] = []
  private var outputs: Set<UInt64> = []

  public init() {}

  deinit { for record in records { record.release() } }

  /// Whether a tensor was made by a call this tape recorded.
  func watches(_ tensor: Tensor) -> Bool { outputs.contains(tensor.identity) }

  func record(_ entry: EagerPlans.Entry, inputs: [Tensor], release: @escaping () -> Void) throws -> [Tensor] {
    do {
      try entry.plan.run(Array(zip(entry.inputs, inputs)), part: .forward)
      let made = try entry.outputs.map { try entry.plan.read($0).copy() }
      records.append(Record(entry: entry, inputs: inputs, outputs: made, release: release))
      outputs.formUnion(made.map(\.identity))
      return made
    } catch {
      release()
      throw error
    }
  }

  /// The gradients of a scalar with respect to weights; nil where it does not depend on one.
  public func gradient(_ target: Tensor, _ variables: [Variable]) throws -> [Tensor?] {
    guard watches(target) else { throw XferError.state("the target was not computed under this tape") }
    guard target.count == 1 else { throw XferError.shape("the target of a gradient is to be a scalar, its shape is \(target.shape)") }
    var incoming: [UInt64: Tensor] = [target.identity: try Tensor([1], shape: target.shape)]
    var result: [ObjectIdentifier: Tensor] = [:]
    for record in records.reversed() {
      guard record.outputs.contains(where: { incoming[$0.identity] != nil }) else { continue }
      let above = try zip(record.entry.seeds, record.outputs).map { seed, output in
        (seed, try incoming[output.identity] ?? Tensor(zeros: output.shape))
      }
      try record.entry.plan.run(Array(zip(record.entry.inputs, record.inputs)) + above, part: .backward)
      for (variable, value) in record.entry.weightGradients {
        try Self.accumulate(record.entry.plan.read(value), into: &result[ObjectIdentifier(variable)])
      }
      for (input, value) in zip(record.inputs, record.entry.inputGradients) {
        if let value { try Self.accumulate(record.entry.plan.read(value), into: &incoming[input.identity]) }
      }
    }
    return variables.map { result[ObjectIdentifier($0)] }
  }

  private static func accumulate(_ gradient: Tensor, into sum: inout Tensor?) throws {
    guard let known = sum else {
      sum = try gradient.copy()
      return
    }
    for i in 0..<known.count { known.float32[i] += gradient.float32[i] }
  }
}
