public import XferCore
public import XferGraph

/// How the losses of single samples become one number: Keras' names.
public enum Reduction: String, Sendable, CaseIterable {
  /// Σ(weight·loss)/N, N being the count of losses, not the sum of weights. `mean` is the same.
  case sumOverBatchSize = "sum_over_batch_size"
  case mean
  case sum
  /// Σ(weight·loss)/Σ(weight).
  case meanWithSampleWeight = "mean_with_sample_weight"
  /// The losses as they are, times their weights.
  case none
}

/// A loss: values per sample, and a reduction over them.
///
/// A loss of one's own overrides ``samples(_:_:_:)`` with a few lines over the graph's builder functions; gradients come by themselves.
///
/// ```swift
/// final class Quartic: Loss {
///   override func samples(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID {
///     let square = graph.unary(.square, try graph.subtract(prediction, truth))
///     return try graph.reduce(.mean, graph.unary(.square, square), axes: [-1])
///   }
/// }
/// ```
open class Loss {
  open class var className: String { "Loss" }
  public let name: String
  public let reduction: Reduction
  let eager = EagerPlans()

  public init(name: String, reduction: Reduction = .sumOverBatchSize) { (self.name, self.reduction) = (name, reduction) }

  /// The element type targets are given in.
  open var targetDType: DType { .float32 }
  /// The losses of single samples: the predictions' shape without the dimension that was reduced.
  open func samples(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID {
    throw XferError.unsupported("\(Self.className) cannot be computed")
  }
  /// 1 for the samples that count and 0 for others, in the shape of ``samples(_:_:_:)``; nil where all count.
  open func mask(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID? { nil }
  open var ownConfig: [String: JSONValue] { [:] }
  public var config: JSONValue { .object(ownConfig.merging(["name": .string(name), "reduction": .string(reduction.rawValue)]) { $1 }) }
  /// Throws for targets no prediction of this shape can have.
  open func check(_ truth: Tensor, predictionShape: [Int]) throws {}
  /// Whether predictions are logits.
  open var fromLogits: Bool { false }
  /// The loss that computes for these shapes: another one where the name leaves it open, as "crossentropy" does.
  func resolved(_ truth: [Int], _ prediction: [Int]) -> Loss { self }

  /// The reduced loss: a scalar [1], or with reduction none the weighted losses in their own shape.
  func value(_ truth: ValueID, _ prediction: ValueID, weights: ValueID?, _ graph: Graph) throws -> ValueID {
    let outer = graph.label
    graph.label = name
    defer { graph.label = outer }
    let loss = resolved(graph.shape(truth), graph.shape(prediction))
    let cast = graph.cast(truth, to: loss.targetDType)
    var values = try loss.samples(cast, prediction, graph)
    var weights = weights
    if let mask = try loss.mask(cast, prediction, graph) { weights = try masked(weights, mask, graph) }
    if let given = weights {
      let aligned = try graph.sameRank(values, given)
      do {
        values = try graph.multiply(aligned.0, aligned.1)
      } catch {
        throw XferError.shape("sample_weight has shape \(graph.shape(given)), the losses have \(graph.shape(values))")
      }
    }
    return try reduced(values, weights, graph)
  }

  /// A mask joins the sample weights. For a mean the samples that are left are weighted up: Σ(loss)/valid.
  private func masked(_ weights: ValueID?, _ mask: ValueID, _ graph: Graph) throws -> ValueID {
    var mask = mask
    if reduction == .sumOverBatchSize || reduction == .mean {
      let count = graph.shape(mask).reduce(1, *)
      let valid = try graph.sumOfAll(mask)
      let factor = try graph.divide(graph.scalar(Double(count)), graph.binary(.maximum, valid, graph.scalar(1)))
      mask = try graph.multiply(mask, factor)
    }
    guard let weights else { return mask }
    let aligned = try graph.sameRank(mask, weights)
    return try graph.multiply(aligned.1, aligned.0)
  }

  private func reduced(_ values: ValueID, _ weights: ValueID?, _ graph: Graph) throws -> ValueID {
    switch reduction {
    case .none: return values
    case .sum: return try graph.sumOfAll(values)
    case .meanWithSampleWeight:
      // A single loss without dimensions is left alone, as Keras does.
      guard let weights, !graph.shape(values).isEmpty else { return try graph.weightedMean(values, weights: nil) }
      let total = try graph.sumOfAll(weights)
      let empty = try graph.binary(.equal, total, graph.scalar(0))
      let quotient = try graph.divide(graph.sumOfAll(values), graph.add(total, empty))
      return try graph.multiply(quotient, graph.subtract(1, minus: empty))
    case .sumOverBatchSize, .mean: return try graph.weightedMean(values, weights: nil)
    }
  }

  /// The scalar [1] that training follows.
  func total(_ truth: ValueID, _ prediction: ValueID, weights: ValueID?, _ graph: Graph) throws -> ValueID {
    guard reduction != .none else {
      throw XferError.unsupported(
        "\(name): reduction 'none' gives a value for each sample, training wants a single one: choose another reduction")
    }
    return try value(truth, prediction, weights: weights, graph)
  }

  /// The loss of data: a tensor [1], or with reduction none one value a sample.
  public func callAsFunction(_ truth: Tensor, _ prediction: Tensor, sampleWeight: Tensor? = nil, tape: GradientTape? = nil) throws -> Tensor
  {
    try resolved(truth.shape, prediction.shape).check(truth, predictionShape: prediction.shape)
    let inputs = [truth, prediction] + (sampleWeight.map { [$0] } ?? [])
    let key = EagerPlans.Key(
      inputs: inputs.map(\.description), training: false, taped: tape.map { tape in inputs.map { tape.watches($0) } }, flags: [],
      backend: Backend.choiceGeneration, precision: .float32)
    let lower: EagerPlans.Lowering = { [self] _ in
      let graph = Graph()
      let values = inputs.map { graph.input($0.description) }
      let weights = values.count > 2 ? graph.cast(values[2], to: .float32) : nil
      return (graph, values, [try value(values[0], graph.cast(values[1], to: .float32), weights: weights, graph)])
    }
    guard let tape else { return try eager.run(key, inputs, lower: lower)[0] }
    let entry = try eager.exclusive(key, variables: [], lower: lower)
    return try tape.record(entry, inputs: inputs) { [eager] in eager.giveBack(entry, key) }[0]
  }
}

extension Graph {
  /// The sum of all elements, a scalar [1].
  func sumOfAll(_ x: ValueID) throws -> ValueID {
    try reshape(reduce(.sum, reshape(x, to: [1, shape(x).reduce(1, *), 1])), to: [1])
  }

  /// Keras' rule for ranks that differ by one: a last dimension of 1 is dropped, or given to the other where that has one dimension only.
  func sameRank(_ a: ValueID, _ b: ValueID) throws -> (ValueID, ValueID) {
    let shapes = sameRankShapes(shape(a), shape(b))
    return (try reshape(a, to: shapes.0), try reshape(b, to: shapes.1))
  }
}

func sameRankShapes(_ a: [Int], _ b: [Int], expandRank1: Bool = true) -> ([Int], [Int]) {
  if a.count == b.count + 1, a.last == 1 {
    return b.count == 1 && expandRank1 ? (a, b + [1]) : (Array(a.dropLast()), b)
  }
  if b.count == a.count + 1, b.last == 1 {
    return a.count == 1 && expandRank1 ? (a + [1], b) : (a, Array(b.dropLast()))
  }
  return (a, b)
}
