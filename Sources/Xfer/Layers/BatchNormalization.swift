public import XferCore
public import XferGraph

/// Batch normalization (Ioffe & Szegedy 2015) over all dimensions but `axis`, the last one where none is given.
///
/// The batch's statistics are used when `training` is true and the layer is trainable, else the moving ones; a frozen layer
/// therefore always runs in inference mode. The moving variance follows the biased batch variance, as in Keras.
public final class BatchNormalization: Layer {
  public override class var className: String { "BatchNormalization" }
  private var momentum: Double
  private var epsilon: Double
  let center: Bool
  let scale: Bool
  private var gamma: Variable?
  private var beta: Variable?
  private var movingMean: Variable?
  private var movingVariance: Variable?
  private let initializers: (beta: WeightSpec, gamma: WeightSpec, mean: Initializer, variance: Initializer)

  public init(momentum: Double = 0.99, epsilon: Double = 1e-3, center: Bool = true, scale: Bool = true, name: String? = nil) {
    (self.momentum, self.epsilon, self.center, self.scale) = (momentum, epsilon, center, scale)
    initializers = (WeightSpec(.zeros), WeightSpec(.ones), .zeros, .ones)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    let layer = config.className
    momentum = try config.double("momentum", 0.99)
    epsilon = try config.double("epsilon", 1e-3)
    center = try config.bool("center", true)
    scale = try config.bool("scale", true)
    initializers = (
      try WeightSpec(&config, "beta", default: .zeros), try WeightSpec(&config, "gamma", default: .ones),
      try Initializer(config.value("moving_mean_initializer"), default: .zeros, layer: layer),
      try Initializer(config.value("moving_variance_initializer"), default: .ones, layer: layer)
    )
    if let axis = config.value("axis") {
      // Old files give [3] for the last axis of an image.
      let list = axis.arrayValue
      guard let number = axis.intValue ?? (list?.count == 1 ? list?[0].intValue : nil) else {
        throw config.wrong("axis", "a dimension's number", axis)
      }
      axisGiven = number
    }
    if try config.bool("synchronized", false) { throw XferError.unsupported("\(layer): 'synchronized' is not supported") }
    if try config.bool("renorm", false) { throw XferError.unsupported("\(layer): 'renorm' is not supported") }
    config.ignore("renorm_clipping", "renorm_momentum", "virtual_batch_size", "fused")
    try super.init(reading: &config)
  }

  private var axisGiven = -1

  private func position(_ rank: Int) throws -> Int {
    let position = try Axes(numbers: [axisGiven], isList: false).positions(in: rank, name)[0]
    guard position > 0 else { throw XferError.invalid("\(name): axis \(axisGiven) is the batch, a dimension of the samples is wanted") }
    return position
  }

  public override func build(_ inputs: [OpenShape]) throws {
    guard inputs.count == 1, inputs[0].count >= 2 else { throw XferError.shape("BatchNormalization wants one input [batch, …, channels]") }
    let channels = try inputs[0].sizes([position(inputs[0].count)], name)[0]
    if scale { gamma = try addWeight("gamma", [channels], initializers.gamma) }
    if center { beta = try addWeight("beta", [channels], initializers.beta) }
    movingMean = try addWeight("moving_mean", [channels], initializers.mean, statistic: true)
    movingVariance = try addWeight("moving_variance", [channels], initializers.variance, statistic: true)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    // The ops have the channels last; another axis is moved there and back.
    let rank = context.graph.shape(inputs[0]).count
    let at = try position(rank)
    guard at != rank - 1 else { return try normalized(inputs[0], context) }
    let order = (0..<rank).filter { $0 != at } + [at]
    let back = (0..<rank).map { $0 == at ? rank - 1 : $0 < at ? $0 : $0 - 1 }
    return try context.graph.transpose(normalized(context.graph.transpose(inputs[0], order), context), back)
  }

  private func normalized(_ x: ValueID, _ context: LoweringContext) throws -> ValueID {
    guard let movingMean, let movingVariance else { throw XferError.state("\(name) has no weights yet") }
    let graph = context.graph
    guard graph.shape(x).last == movingMean.shape[0] else {
      throw XferError.shape("\(name) was built for \(movingMean.shape[0]) channels, an input of shape \(graph.shape(x)) was given")
    }
    let g = try gamma.map { graph.variable($0) } ?? graph.constant(Initializer.ones.make(movingMean.shape))
    let b = try beta.map { graph.variable($0) } ?? graph.constant(Initializer.zeros.make(movingMean.shape))
    guard context.training, trainable else {
      return try graph.normalize(
        x, gamma: g, beta: b, mean: graph.variable(movingMean), variance: graph.variable(movingVariance), epsilon: Float(epsilon))
    }
    let batch = try graph.moments(x)
    graph.movingAverage(movingMean, towards: batch.mean, momentum: Float(momentum))
    graph.movingAverage(movingVariance, towards: batch.variance, momentum: Float(momentum))
    return try graph.normalize(x, gamma: g, beta: b, mean: batch.mean, variance: batch.variance, epsilon: Float(epsilon))
  }

  override func setter(_ key: String, _ value: JSONValue) throws -> (() -> Void)? {
    guard key == "momentum" || key == "epsilon" else { return nil }
    guard let number = value.doubleValue, number.isFinite else {
      throw XferError.invalid("\(name): '\(key)' is to be a number, \(value.text()) was given")
    }
    return { if key == "momentum" { self.momentum = number } else { self.epsilon = number } }
  }

  public override var ownConfig: [String: JSONValue] {
    [
      "axis": .int(axisGiven), "momentum": .double(momentum), "epsilon": .double(epsilon), "center": .bool(center), "scale": .bool(scale),
      "moving_mean_initializer": initializers.mean.config, "moving_variance_initializer": initializers.variance.config,
      "synchronized": false,
    ].with(initializers.beta.config("beta"), initializers.gamma.config("gamma"))
  }
}
