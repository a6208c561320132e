import Testing
import XferCore
import XferGraph
@testable import Xfer

/// Numbers of a standard normal distribution, the same for one seed.
func randomTensor(_ shape: [Int], seed: UInt64, scale: Double = 1, offset: Double = 0) throws -> Tensor {
  var generator = SplitMix64(seed: seed)
  return try Tensor((0..<shape.reduce(1, *)).map { _ in Float(generator.normal() * scale + offset) }, shape: shape)
}

/// ‖a − b‖ / ‖b‖ in double precision.
func relativeError(_ a: [Float], _ b: [Float]) -> Double {
  precondition(a.count == b.count)
  let difference = zip(a, b).reduce(0.0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }
  let norm = b.reduce(0.0) { $0 + Double($1) * Double($1) }
  return (difference / max(norm, 1e-30)).squareRoot()
}

/// The weighted sum of a layer's output: a scalar to differentiate.
final class WeightedSum: Loss {
  let factors: Tensor
  init(_ factors: Tensor) {
    self.factors = factors
    super.init(name: "weighted_sum")
  }
  override func samples(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID {
    let count = graph.shape(prediction).reduce(1, *)
    let product = try graph.binary(.multiply, graph.reshape(prediction, to: [count]), graph.constant(factors))
    return try graph.reshape(graph.reduce(.sum, graph.reshape(product, to: [1, count, 1])), to: [1])
  }
}

/// Gives every weight values that depend on its place alone: tests run side by side and share the process' random stream.
func fill(_ model: Model, scale: Double = 0.4) throws {
  for (index, weight) in model.weights.enumerated() {
    let noise = try randomTensor(weight.shape, seed: UInt64(100 + index), scale: scale)
    let positive = weight.name == "moving_variance" || weight.name == "gamma"
    try weight.assign(Tensor(noise.floats.map { positive ? 1 + abs($0) : $0 }, shape: weight.shape))
  }
}

/// A model's answer for a batch, by one backend, whatever the process' choice is.
func run(_ model: Model, _ x: Tensor, backend: String) throws -> Tensor {
  let graph = Graph()
  let input = graph.input(x.description)
  var options = Plan.Options()
  options.backend = backend
  options.kept = [try model.emit([input], LoweringContext(graph: graph, training: false))]
  let plan = try Plan(graph, options: options)
  try plan.run([(input, x)])
  return try plan.read(options.kept[0]).copy()
}
