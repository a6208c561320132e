public import XferCore
import XferGraph

/// Binary crossentropy of targets in [0,1]: mean over `axis`; probabilities are clipped to [1e-7, 1−1e-7], but where a model's sigmoid made
/// them, its logits are taken in their place.
public final class BinaryCrossentropy: FunctionLoss {
  public override class var className: String { "BinaryCrossentropy" }
  let logits: Bool
  let labelSmoothing: Double
  let axis: Int

  public init(
    fromLogits: Bool = false, labelSmoothing: Double = 0, axis: Int = -1, reduction: Reduction = .sumOverBatchSize,
    name: String = "binary_crossentropy"
  ) {
    (logits, self.labelSmoothing, self.axis) = (fromLogits, labelSmoothing, axis)
    super.init(name: name, reduction: reduction)
  }

  init(config: inout Configuration) throws {
    logits = try config.bool("from_logits", false)
    labelSmoothing = try config.labelSmoothing()
    axis = try config.int("axis", -1)
    try super.init(&config, name: "binary_crossentropy")
  }

  public override var fromLogits: Bool { logits }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    try graph.same(t, p)
    let (values, areLogits) = try graph.logits(p, logits)
    let (t, p) = (try graph.moved(t, toEnd: axis), try graph.moved(values, toEnd: axis))
    let rows = try graph.binaryCrossentropy(t, p, fromLogits: areLogits, labelSmoothing: Float(labelSmoothing))
    return try graph.reshape(rows, to: graph.shape(p).dropLast())
  }
  public override var ownConfig: [String: JSONValue] {
    ["from_logits": .bool(logits), "label_smoothing": .double(labelSmoothing), "axis": .int(axis)]
  }
}

/// Binary crossentropy times (1 − p_t)^gamma, which turns down what is already right (Lin et al. 2017, "Focal Loss for Dense Object Detection").
public final class BinaryFocalCrossentropy: FunctionLoss {
  public override class var className: String { "BinaryFocalCrossentropy" }
  let balanced: Bool
  let alpha: Double
  let gamma: Double
  let logits: Bool
  let labelSmoothing: Double
  let axis: Int

  public init(
    applyClassBalancing: Bool = false, alpha: Double = 0.25, gamma: Double = 2, fromLogits: Bool = false, labelSmoothing: Double = 0,
    axis: Int = -1, reduction: Reduction = .sumOverBatchSize
  ) {
    (balanced, self.alpha, self.gamma) = (applyClassBalancing, alpha, gamma)
    (logits, self.labelSmoothing, self.axis) = (fromLogits, labelSmoothing, axis)
    super.init(name: "binary_focal_crossentropy", reduction: reduction)
  }

  init(config: inout Configuration) throws {
    balanced = try config.bool("apply_class_balancing", false)
    alpha = try config.double("alpha", 0.25)
    gamma = try config.double("gamma", 2)
    logits = try config.bool("from_logits", false)
    labelSmoothing = try config.labelSmoothing()
    axis = try config.int("axis", -1)
    try super.init(&config, name: "binary_focal_crossentropy")
  }

  public override var fromLogits: Bool { logits }
  override func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    try graph.same(t, p)
    let t = try graph.smoothed(t, labelSmoothing, to: 0.5)
    let (z, p) = logits ? (p, graph.sigmoid(p)) : (try graph.logits(behind: p), p)
    let (wrong, away) = (try graph.subtract(1, minus: t), try graph.subtract(1, minus: p))
    let likelihood: ValueID
    if let z {
      likelihood = try graph.subtract(graph.multiply(t, z), graph.softplus(z))
    } else {
      let clipped = try graph.clip(p, kerasEpsilon, 1 - kerasEpsilon)
      likelihood = try graph.add(
        graph.multiply(t, graph.log(clipped)), graph.multiply(wrong, graph.log(graph.subtract(1, minus: clipped))))
    }
    let right = try graph.add(graph.multiply(t, p), graph.multiply(wrong, away))
    var focal = try graph.binary(.power, graph.subtract(1, minus: right), graph.scalar(gamma))
    if balanced { focal = try graph.multiply(focal, graph.add(graph.multiply(t, alpha), graph.multiply(wrong, 1 - alpha))) }
    return graph.unary(.negate, try graph.reduce(.mean, graph.multiply(focal, likelihood), axes: [graph.dimension(axis, of: p)]))
  }
  public override var ownConfig: [String: JSONValue] {
    [
      "from_logits": .bool(logits), "label_smoothing": .double(labelSmoothing), "axis": .int(axis),
      "apply_class_balancing": .bool(balanced),
      "alpha": .double(alpha), "gamma": .double(gamma),
    ]
  }
}
