public import XferCore
public import XferGraph

/// Dropout of whole feature maps (Tompson et al. 2015): all positions of a channel fall together.
public class SpatialDropout: RandomLayer {
  let rate: Double
  class var rank: Int { 0 }

  public init(_ rate: Double, seed: Int? = nil, name: String? = nil) throws {
    guard (0...1).contains(rate) else { throw XferError.invalid("\(Self.className): 'rate' is to be from 0 to 1, \(rate) was given") }
    self.rate = rate
    super.init(seed: seed, name: name)
  }

  init(config: inout Configuration) throws {
    rate = try config.rate()
    if Self.rank > 3 { try config.channelsLast() }
    try super.init(randomly: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let shape = context.graph.shape(inputs[0])
    guard shape.count == Self.rank else { throw XferError.shape("\(name) wants an input of rank \(Self.rank), shape \(shape) was given") }
    guard context.training, rate > 0 else { return inputs[0] }
    let noise = shape.indices.map { $0 == 0 || $0 == shape.count - 1 ? shape[$0] : 1 }
    return try dropped(inputs[0], rate: rate, noise: noise, context.graph)
  }

  public override var ownConfig: [String: JSONValue] {
    ["rate": .double(rate), "seed": seedConfig].merging(Self.rank > 3 ? ["data_format": "channels_last"] : [:]) { own, _ in own }
  }

  /// Keras' constructor takes no `trainable` here, and refuses a file that has it.
  public override var config: JSONValue {
    var members = super.config.objectValue ?? [:]
    members["dtype"] = "float32"
    members["trainable"] = nil
    return .object(members)
  }
}

public final class SpatialDropout1D: SpatialDropout {
  public override class var className: String { "SpatialDropout1D" }
  override class var rank: Int { 3 }
}

public final class SpatialDropout2D: SpatialDropout {
  public override class var className: String { "SpatialDropout2D" }
  override class var rank: Int { 4 }
}

public final class SpatialDropout3D: SpatialDropout {
  public override class var className: String { "SpatialDropout3D" }
  override class var rank: Int { 5 }
}

/// In training adds normal noise of deviation `stddev`.
public final class GaussianNoise: RandomLayer {
  public override class var className: String { "GaussianNoise" }
  let stddev: Double

  public init(_ stddev: Double, seed: Int? = nil, name: String? = nil) throws {
    guard (0...1).contains(stddev) else { throw XferError.invalid("GaussianNoise: 'stddev' is to be from 0 to 1, \(stddev) was given") }
    self.stddev = stddev
    super.init(seed: seed, name: name)
  }

  init(config: inout Configuration) throws {
    stddev = try config.rate("stddev")
    try super.init(randomly: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard context.training, stddev > 0 else { return inputs[0] }
    let graph = context.graph
    return try graph.add(inputs[0], graph.multiply(draw(graph.shape(inputs[0]), normal: true, graph), stddev))
  }

  public override var ownConfig: [String: JSONValue] { ["stddev": .double(stddev), "seed": seedConfig] }
}

/// In training multiplies by normal noise around 1 of deviation √(rate / (1 − rate)) (Srivastava et al. 2014).
public final class GaussianDropout: RandomLayer {
  public override class var className: String { "GaussianDropout" }
  let rate: Double

  public init(_ rate: Double, seed: Int? = nil, name: String? = nil) throws {
    self.rate = rate
    super.init(seed: seed, name: name)
    try check()
  }

  init(config: inout Configuration) throws {
    rate = try config.rate()
    try super.init(randomly: &config)
    try check()
  }

  private func check() throws {
    guard rate >= 0, rate < 1 else { throw XferError.invalid("GaussianDropout: 'rate' is to be from 0 to below 1, \(rate) was given") }
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard context.training, rate > 0 else { return inputs[0] }
    let graph = context.graph
    let noise = try graph.multiply(draw(graph.shape(inputs[0]), normal: true, graph), (rate / (1 - rate)).squareRoot())
    return try graph.multiply(inputs[0], graph.add(noise, 1))
  }

  public override var ownConfig: [String: JSONValue] { ["rate": .double(rate), "seed": seedConfig] }
}

/// Dropout that keeps the mean and variance of SELU's outputs: dropped ones become its saturation value (Klambauer et al. 2017).
public final class AlphaDropout: RandomLayer {
  public override class var className: String { "AlphaDropout" }
  let rate: Double
  let noiseShape: OpenShape?

  public init(_ rate: Double, noiseShape: OpenShape? = nil, seed: Int? = nil, name: String? = nil) throws {
    (self.rate, self.noiseShape) = (rate, noiseShape)
    super.init(seed: seed, name: name)
    try check()
  }

  init(config: inout Configuration) throws {
    rate = try config.rate()
    noiseShape = try config.noiseShape()
    try super.init(randomly: &config)
    try check()
  }

  private func check() throws {
    guard rate >= 0, rate < 1 else { throw XferError.invalid("AlphaDropout: 'rate' is to be from 0 to below 1, \(rate) was given") }
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let noise = try NoiseShape.resolve(noiseShape, graph.shape(inputs[0]), name)
    guard context.training, rate > 0 else { return inputs[0] }
    let saturation = -1.6732632423543772 * 1.0507009873554805
    let a = 1 / ((1 - rate) * (1 + rate * saturation * saturation)).squareRoot()
    let kept = try graph.binary(.greaterEqual, draw(noise, graph), graph.scalar(rate))
    let chosen = try graph.select(kept, inputs[0], graph.scalar(saturation))
    return try graph.add(graph.multiply(chosen, a), -a * saturation * rate)
  }

  public override var ownConfig: [String: JSONValue] {
    ["rate": .double(rate), "seed": seedConfig, "noise_shape": NoiseShape.config(noiseShape)]
  }
}
