public import CXfer
public import XferCore

extension Graph {
  /// Per-sample binary crossentropy [N] of `truth` and `prediction` [N,K].
  public func binaryCrossentropy(_ truth: ValueID, _ prediction: ValueID, fromLogits: Bool, labelSmoothing: Float) throws -> ValueID {
    let (t, p) = (shape(truth), shape(prediction))
    guard t == p, p.count >= 1 else { throw XferError.shape("BinaryCrossentropy: targets have shape \(t), predictions \(p)") }
    let rows = p.dropLast().reduce(1, *)
    let last = p[p.count - 1]
    let attributes = crossentropy(fromLogits, labelSmoothing)
    return add(
      .binaryCrossentropy, .crossentropy(attributes), [try reshape(truth, to: [rows, last]), try reshape(prediction, to: [rows, last])],
      [rows])
  }

  /// Per-sample crossentropy [N] of integer `truth` [N] and `prediction` [N,K].
  public func sparseCategoricalCrossentropy(_ truth: ValueID, _ prediction: ValueID, fromLogits: Bool) throws -> ValueID {
    let p = shape(prediction)
    guard let classes = p.last, description(truth).count * classes == p.reduce(1, *) else {
      throw XferError.shape("SparseCategoricalCrossentropy: labels have shape \(shape(truth)), predictions \(p)")
    }
    let rows = p.dropLast().reduce(1, *)
    return add(
      .sparseCategoricalCrossentropy, .crossentropy(crossentropy(fromLogits, 0)),
      [try reshape(truth, to: [rows]), try reshape(prediction, to: [rows, classes])], [rows])
  }

  /// What a sigmoid or softmax made `prediction` of, in the prediction's shape; nil where it comes from elsewhere.
  ///
  /// Keras on TensorFlow computes crossentropies from it, whatever the loss says of its predictions: nothing is lost to clipping.
  public func logits(behind prediction: ValueID) throws -> ValueID? {
    guard let node = nodes.last(where: { $0.outputs.contains(root(prediction)) }), node.phase == .forward else { return nil }
    switch node.attributes {
    case .activation(let attributes) where node.kind == .activation && attributes.activation.kind == Int32(XFER_ACTIVATION_SIGMOID): break
    case .none where node.kind == .softmax: break
    default: return nil
    }
    return try reshape(node.inputs[0], to: shape(prediction))
  }

  private func crossentropy(_ fromLogits: Bool, _ smoothing: Float) -> xfer_crossentropy_attributes {
    .init(struct_size: sized(xfer_crossentropy_attributes.self), from_logits: fromLogits ? 1 : 0, label_smoothing: smoothing)
  }

  /// Σ(weights·losses)/N of per-sample losses [N]: a scalar as [1].
  public func weightedMean(_ losses: ValueID, weights: ValueID?) throws -> ValueID {
    let weighted = try weights.map { try binary(.multiply, losses, reshape($0, to: shape(losses))) } ?? losses
    return try reshape(reduce(.mean, reshape(weighted, to: [1, description(losses).count, 1])), to: [1])
  }
}
