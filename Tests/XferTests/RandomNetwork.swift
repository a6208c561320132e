import Testing
import XferCore
@testable import Xfer

/// A network, a way to freeze it, data and a way to train, all drawn from a seed: the same seed gives the same case.
struct RandomCase: CustomTestStringConvertible, Sendable {
  let seed: UInt64
  var testDescription: String { "seed \(seed)" }

  /// The model and the layers of its base, in order.
  struct Network {
    let model: Model
    let base: Model?
    let layers: [Layer]
  }

  let size: Int
  let samples: Int
  let batchSize: Int
  let shuffled: Bool
  let weighted: Bool
  let usesAdam: Bool

  init(seed: UInt64) {
    self.seed = seed
    var draw = Draw(seed: seed, stream: 1)
    size = draw.from(15...20)
    samples = draw.from(11...21)
    batchSize = draw.from(4...8)
    (shuffled, weighted, usesAdam) = (draw.chance(0.6), draw.chance(0.4), draw.chance(0.5))
  }

  func network() throws -> Network {
    var draw = Draw(seed: seed, stream: 2)
    let image = try Input(shape: [size, size, 3])
    let isNested = draw.chance(0.7)
    var builder = NetworkBuilder(draw: draw, zeros: Draw(seed: seed, stream: 3))
    let start = try isNested ? Input(shape: [size, size, 3]) : image
    var x = try builder.stem(start)
    for _ in 0..<builder.draw.from(2...5) { x = try builder.block(x) }
    var base: Model?
    let bottom = x
    if isNested {
      let inner = try Model(start, x)
      base = inner
      x = try inner(image, training: builder.draw.pick([nil, false, false, true]))
    }
    let layers = try base?.layers ?? Model(image, bottom).layers
    let model = try Model(image, builder.head(x))
    try builder.fill(model)
    return Network(model: model, base: base, layers: layers)
  }

  /// Sets flags in the `stage`-th of several ways.
  func freeze(_ network: Network, stage: UInt64) throws {
    var draw = Draw(seed: seed, stream: 10 + stage)
    network.base?.setOwnTrainable(true)
    for layer in network.layers { layer.trainable = true }
    switch draw.from(0...5) {
    case 0, 1:
      if let base = network.base { base.trainable = false } else { for layer in network.layers { layer.trainable = false } }
    case 2: for layer in network.layers.dropLast(draw.from(1...max(1, network.layers.count - 1))) { layer.trainable = false }
    case 3: for layer in network.layers where layer is BatchNormalization { layer.trainable = false }
    case 4: for layer in network.layers where draw.chance(0.6) { layer.trainable = false }
    default: break
    }
  }

  func data(_ stream: UInt64, count: Int) throws -> ArrayDataset {
    var draw = Draw(seed: seed, stream: 20 + stream)
    let x = try randomTensor([count, size, size, 3], seed: seed &* 31 &+ stream)
    let y = try Tensor(labels: (0..<count).map { _ in Int32(draw.from(0...2)) })
    let weights = weighted ? try Tensor((0..<count).map { _ in Float(draw.from(1...8)) / 4 }) : nil
    return try ArrayDataset(x: x, y: y, sampleWeight: weights, batchSize: batchSize, seed: shuffled ? seed : nil)
  }
}

/// Choices drawn from a seed.
struct Draw {
  private var generator: SplitMix64
  init(seed: UInt64, stream: UInt64) { generator = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ stream) }

  mutating func from(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }
  mutating func chance(_ share: Double) -> Bool { generator.uniform() < share }
  mutating func pick<T>(_ list: [T]) -> T { list[from(0...list.count - 1)] }
  mutating func normal() -> Double { generator.normal() }
}

/// Writes networks of what the passes look for, and of what stands in their way.
struct NetworkBuilder {
  var draw: Draw
  /// Of the zeros around images.
  var zeros: Draw

  /// With zeros that become a convolution's padding, or do not where its window is no larger than they are.
  private mutating func padded(_ x: SymbolicTensor) throws -> SymbolicTensor {
    guard zeros.chance(0.3) else { return x }
    return try ZeroPadding2D(padding: ((zeros.from(0...1), zeros.from(0...1)), (zeros.from(0...1), zeros.from(0...2))))(x)
  }

  private mutating func activation(_ x: SymbolicTensor) throws -> SymbolicTensor {
    switch draw.from(0...5) {
    case 0, 1: try Activation(.relu)(x)
    case 2: try ReLU(maxValue: 6)(x)
    case 3: try Activation(draw.pick([.tanh, .sigmoid, .silu]))(x)
    default: x
    }
  }

  private mutating func normalized(_ x: SymbolicTensor) throws -> SymbolicTensor {
    guard draw.chance(0.75) else { return x }
    return try BatchNormalization(momentum: 0.9, center: draw.chance(0.8), scale: draw.chance(0.8))(
      x, training: draw.pick([nil, nil, false, true]))
  }

  mutating func stem(_ x: SymbolicTensor) throws -> SymbolicTensor {
    let made = Conv2D(
      filters: draw.pick([8, 16, 32]), kernelSize: 3, padding: draw.pick([.same, .valid]), activation: draw.pick([.linear, .relu]),
      useBias: draw.chance(0.5))
    return try activation(normalized(made(padded(x))))
  }

  mutating func block(_ x: SymbolicTensor, depth: Int = 0) throws -> SymbolicTensor {
    let (size, channels) = (x.shape[1] ?? 1, x.shape[3] ?? 1)
    switch draw.from(0...(depth == 0 ? 9 : 6)) {
    case 0:
      let stride = size > 6 ? draw.pick([1, 1, 2]) : 1
      let made = Conv2D(
        filters: draw.pick([8, 16, 24]), kernelSize: draw.pick([1, 3]), strides: stride, padding: .same,
        activation: draw.pick([.linear, .relu, .tanh]), useBias: draw.chance(0.5))
      return try activation(normalized(made(padded(x))))
    case 1, 2:
      let made = SeparableConv2D(
        filters: draw.pick([8, 24, 32]), kernelSize: (3, 3), padding: .same, depthMultiplier: draw.pick([1, 1, 1, 2]),
        useBias: draw.chance(0.5))
      return try activation(normalized(made(draw.chance(0.6) ? Activation(.relu)(x) : x)))
    case 3:
      let stride = size > 6 ? draw.pick([1, 1, 2]) : 1
      let made = DepthwiseConv2D(
        kernelSize: (3, 3), strides: (stride, stride), padding: .same, depthMultiplier: channels < 20 ? draw.pick([1, 1, 2]) : 1,
        useBias: draw.chance(0.5))
      return try activation(normalized(made(padded(x))))
    case 4:
      guard size > 6 else { return try activation(normalized(x)) }
      return try draw.chance(0.5) ? MaxPooling2D()(x) : AveragePooling2D(poolSize: (2, 2), padding: .same)(x)
    case 5: return try activation(normalized(x))
    case 6: return draw.chance(0.5) ? try Dropout(0.3, seed: draw.from(1...99))(x) : try activation(x)
    case 7:
      // A residual, at times through a convolution, and what follows an addition.
      let y = try normalized(Conv2D(filters: channels, kernelSize: draw.pick([1, 3]), padding: .same)(activation(x)))
      return try activation(normalized(Add()(draw.chance(0.5) ? [y, x] : [x, y])))
    case 8:
      let branches = try (0..<2).map { _ in
        try normalized(Conv2D(filters: draw.pick([4, 8, 12]), kernelSize: draw.pick([1, 3]), padding: .same)(x))
      }
      return try activation(normalized(Concatenate()(branches)))
    default:
      let input = try Input(shape: Array(x.shape.dropFirst()))
      var inner = input
      for _ in 0..<draw.from(1...2) { inner = try block(inner, depth: depth + 1) }
      // A model wants a layer between its ends.
      if inner === input { inner = try BatchNormalization()(inner) }
      return try Model(input, inner)(x, training: draw.pick([nil, false, true]))
    }
  }

  mutating func head(_ x: SymbolicTensor) throws -> SymbolicTensor {
    var x = try draw.chance(0.8) ? GlobalAveragePooling2D()(x) : Flatten()(MaxPooling2D(poolSize: (3, 3), padding: .same)(x))
    if draw.chance(0.5) { x = try activation(normalized(Dense(draw.from(5...24), activation: draw.pick([.linear, .relu]))(x))) }
    if draw.chance(0.3) { x = try Dropout(0.4, seed: draw.from(1...99))(x) }
    return try Dense(3)(x)
  }

  /// Weights of a size that keeps values about one.
  mutating func fill(_ model: Model) throws {
    for weight in model.weights {
      let fan = Double(weight.count) / Double(weight.name == "depthwise_kernel" ? weight.count / 9 : weight.shape.last ?? 1)
      let values = (0..<weight.count).map { _ -> Float in
        let z = draw.normal()
        return switch weight.name {
        case "gamma": Float(1 + 0.1 * z)
        case "moving_variance": Float(0.5 + 0.5 * abs(z))
        case "bias", "beta", "moving_mean": Float(0.1 * z)
        default: Float(z * (1.5 / fan).squareRoot())
        }
      }
      try weight.assign(Tensor(values, shape: weight.shape))
    }
  }
}
