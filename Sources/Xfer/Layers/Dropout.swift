public import XferCore
public import XferGraph

/// In training sets a share `rate` of the elements to 0 and divides the others by 1 − rate (Srivastava et al. 2014).
///
/// With a `noiseShape`, elements along its dimensions of 1 fall together; nil in it means the input's own size.
public final class Dropout: Layer {
  public override class var className: String { "Dropout" }
  private var rate: Double
  let noiseShape: OpenShape?
  let seed: Int?
  /// [seed, step]: not a weight, as in Keras.
  private var state: Tensor?
  override var randomStates: [Tensor] { state.map { [$0] } ?? [] }

  public init(_ rate: Double, noiseShape: OpenShape? = nil, seed: Int? = nil, name: String? = nil) {
    (self.rate, self.noiseShape, self.seed) = (rate, noiseShape, seed)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    rate = try config.double("rate", 0.5)
    seed = try config.seed()
    noiseShape = try config.noiseShape()
    try super.init(reading: &config)
  }

  public override func build(_ inputs: [OpenShape]) throws {
    guard (0...1).contains(rate) else { throw XferError.invalid("\(name): 'rate' is to be from 0 to 1, \(rate) was given") }
    let state = try Tensor(zeros: [2], dtype: .int64)
    state.data.assumingMemoryBound(to: Int64.self)[0] = seed.map(Int64.init) ?? Int64(bitPattern: RandomSeed.next())
    self.state = state
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let shape = graph.shape(inputs[0])
    let noise = try NoiseShape.resolve(noiseShape, shape, name)
    guard context.training, rate > 0, let state else { return inputs[0] }
    guard noise != shape else { return graph.dropout(inputs[0], rate: Float(rate), state: state) }
    let kept = try graph.binary(.greaterEqual, graph.random(noise, normal: false, state: state), graph.scalar(rate))
    return try graph.multiply(inputs[0], graph.multiply(kept, rate < 1 ? 1 / (1 - rate) : 0))
  }

  override func setter(_ key: String, _ value: JSONValue) throws -> (() -> Void)? {
    guard key == "rate" else { return nil }
    guard let rate = value.doubleValue, (0...1).contains(rate) else {
      throw XferError.invalid("\(name): 'rate' is to be from 0 to 1, \(value.text()) was given")
    }
    return { self.rate = rate }
  }

  public override var ownConfig: [String: JSONValue] {
    ["rate": .double(rate), "seed": seed.map { .int($0) } ?? .null, "noise_shape": NoiseShape.config(noiseShape)]
  }
}
