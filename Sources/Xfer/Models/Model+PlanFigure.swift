import XferCore
import XferGraph

extension Model {
  /// A drawing (SVG) of how the model runs: a box a layer with its op, backend and arithmetic, coloured by whether its weights are frozen, run
  /// once a sample by `fit`, or trained.
  ///
  /// ```swift
  /// let drawing = try model.planFigure(batchSize: 32, training: true)
  /// ```
  ///
  /// - Parameters:
  ///   - training: a training step of the compiled model; else inference.
  ///   - showShapes: with the shape of each output, and the bytes each box reads and writes.
  /// - Throws: what ``plan(batchSize:training:)`` throws.
  public func planFigure(batchSize: Int = 1, training: Bool = false, showShapes: Bool = false) throws -> String {
    let plan = try plan(batchSize: batchSize, training: training)
    let boxes =
      training
      ? PlanBoxes(plan.report(), cached: try valuesRunOnce(batchSize: batchSize)) : PlanBoxes(plan.report(), trainable: trainableLayers)
    let what = training ? "a training step" : "inference"
    return PlanFigure(
      title: "\(name): \(what), batch of \(batchSize), \(plan.precision.name)", boxes, showShapes: showShapes, peakBytes: plan.peakBytes,
      isTraining: training
    ).svg
  }

  /// The layers with weights that training would change.
  private var trainableLayers: Set<String> {
    let weights = Set(trainableWeights.map { ObjectIdentifier($0) })
    return Set(allLayers.filter { $0.ownWeights.contains { weights.contains(ObjectIdentifier($0)) } }.map(\.name))
  }

  /// The values of a training step's graph that are made once a sample: another lowering of the same network has them in the same places.
  private func valuesRunOnce(batchSize: Int) throws -> Set<ValueID> {
    var stores: [Digest: any FeatureStore] = [:]
    guard let cache = try FeatureCache(self, plastic: compiled().trainableWeights, caching: .memory(), known: &stores) else { return [] }
    let (graph, _, _) = try FeatureCache.lower(self, batch: batchSize, training: true)
    return graph.ancestors(of: cache.cut(in: graph) ?? [])
  }
}
