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
    let report = try planReport(batchSize: batchSize, training: training)
    let plan = report.plan
    let what = training ? "a training step" : "inference"
    return PlanFigure(
      title: "\(name): \(what), batch of \(batchSize), \(plan.precision.name)", PlanBoxes(report), showShapes: showShapes,
      peakBytes: plan.peakBytes,
      isTraining: training
    ).svg
  }
}
