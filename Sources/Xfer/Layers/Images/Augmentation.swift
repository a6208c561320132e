public import XferCore
public import XferGraph

/// Layers that change images at random in training and hand them on as they are in inference. Each image of a batch is changed by itself.
///
/// The random numbers come from the layer's seed and a step that each run advances. The transformed images have no gradient: these layers
/// stand before the network.
public class RandomImageLayer: RandomLayer {
  /// How many uniform numbers an image needs.
  class var draws: Int { 1 }

  init(images config: inout Configuration) throws {
    try config.channelsLast()
    try config.refuse("bounding_box_format")
    try super.init(randomly: &config)
  }

  override init(seed: Int?, name: String?) { super.init(seed: seed, name: name) }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let shape = try imageShape(inputs[0], context.graph)
    guard context.training else { return inputs[0] }
    let numbers = try draw([shape[0], Self.draws], context.graph)
    return try change(inputs[0], by: (0..<Self.draws).map { context.graph.slice(numbers, axis: 1, from: $0, count: 1) }, context.graph)
  }

  /// The images `x` changed by uniform numbers, each [batch, 1].
  func change(_ x: ValueID, by numbers: [ValueID], _ graph: Graph) throws -> ValueID { x }

  public override var ownConfig: [String: JSONValue] { ["seed": seedConfig, "data_format": "channels_last"] }
}

/// A range numbers are drawn from.
struct RandomRange: Equatable {
  var low: Double
  var high: Double

  func drawn(_ uniform: ValueID, _ graph: Graph, times scale: Double = 1) throws -> ValueID {
    if low == high { return try graph.broadcast(graph.scalar(low * scale), to: graph.shape(uniform)) }
    return try graph.add(graph.multiply(uniform, (high - low) * scale), low * scale)
  }

  var config: JSONValue { [.double(low), .double(high)] }

  /// One number a for −a...a, or two. `bounds` are Keras', who checks each number, or (`loose`) only that two numbers reach into them.
  init(
    _ value: JSONValue, _ key: String, _ bounds: ClosedRange<Double>, openBelow: Bool = false, loose: Bool = false, _ config: Configuration
  ) throws {
    let wanted = "a number or two of them, \(openBelow ? "above" : "from") \(bounds.lowerBound) to \(bounds.upperBound)"
    func allowed(_ number: Double) -> Bool { bounds.contains(number) && !(openBelow && number == bounds.lowerBound) }
    if let number = value.doubleValue {
      guard allowed(number) else { throw config.wrong(key, wanted, value) }
      (low, high) = (max(-abs(number), loose ? bounds.lowerBound : -.infinity), abs(number))
      return
    }
    let list = value.arrayValue?.compactMap(\.doubleValue) ?? []
    guard list.count == 2, value.arrayValue?.count == 2, list.allSatisfy(\.isFinite),
      loose ? list[0] <= bounds.upperBound && list[1] >= bounds.lowerBound : list.allSatisfy(allowed)
    else { throw config.wrong(key, wanted, value) }
    (low, high) = (list.min() ?? 0, list.max() ?? 0)
  }
}

/// Mirrors images with probability 1/2: left and right, top and bottom, or both at once.
public final class RandomFlip: RandomImageLayer {
  public override class var className: String { "RandomFlip" }
  public enum Mode: String, CaseIterable, Sendable { case horizontal, vertical, both = "horizontal_and_vertical" }
  let mode: Mode

  public init(_ mode: Mode = .both, seed: Int? = nil, name: String? = nil) {
    self.mode = mode
    super.init(seed: seed, name: name)
  }

  init(config: inout Configuration) throws {
    let text = try config.string("mode", Mode.both.rawValue)
    guard let mode = Mode(rawValue: text) else {
      throw XferError.invalid("RandomFlip: unknown mode '\(text)'\(hint(text, among: Mode.allCases.map(\.rawValue)))")
    }
    self.mode = mode
    try super.init(images: &config)
  }

  override func change(_ x: ValueID, by numbers: [ValueID], _ graph: Graph) throws -> ValueID {
    let shape = graph.shape(x)
    var flipped = x
    if mode != .vertical { flipped = try graph.take(flipped, axis: 2, (0..<shape[2]).reversed()) }
    if mode != .horizontal { flipped = try graph.take(flipped, axis: 1, (0..<shape[1]).reversed()) }
    // One number decides for both directions, as in Keras.
    let chosen = try graph.binary(.greaterEqual, graph.scalar(0.5), numbers[0])
    return try graph.select(graph.reshape(chosen, to: [shape[0], 1, 1, 1]), flipped, x)
  }

  public override var ownConfig: [String: JSONValue] { super.ownConfig.merging(["mode": .string(mode.rawValue)]) { _, own in own } }
}

/// What a map of pixel places leaves open.
struct TransformOptions: Equatable {
  var fill = FillMode.reflect
  var interpolation = Interpolation.bilinear
  var fillValue = 0.0

  private static let fills: [(String, FillMode)] = [("reflect", .reflect), ("wrap", .wrap), ("constant", .constant), ("nearest", .nearest)]

  init() {}

  init(_ config: inout Configuration) throws {
    let fillName = try config.string("fill_mode", "reflect")
    guard let fill = Self.fills.first(where: { $0.0 == fillName })?.1 else {
      throw XferError.invalid("\(config.className): unknown fill_mode '\(fillName)'\(hint(fillName, among: Self.fills.map(\.0)))")
    }
    let name = try config.string("interpolation", "bilinear")
    guard ["nearest", "bilinear"].contains(name) else {
      throw XferError.invalid("\(config.className): 'interpolation' is to be \"nearest\" or \"bilinear\", \"\(name)\" was given")
    }
    (self.fill, interpolation) = (fill, name == "nearest" ? .nearest : .bilinear)
    fillValue = try config.double("fill_value", 0)
  }

  var config: [String: JSONValue] {
    [
      "fill_mode": .string(Self.fills.first { $0.1 == fill }?.0 ?? "reflect"),
      "interpolation": .string(interpolation == .nearest ? "nearest" : "bilinear"), "fill_value": .double(fillValue),
    ]
  }

  /// Images through a map a pixel of the result takes to its place in the image: x' = a0·x + a1·y + a2, y' = b0·x + b1·y + b2.
  func apply(_ x: ValueID, _ rows: [ValueID], _ graph: Graph) throws -> ValueID {
    let shape = graph.shape(x)
    let zero = try graph.broadcast(graph.scalar(0), to: [shape[0], 1])
    return try graph.imageTransform(
      x, matrices: graph.concat(rows + [zero, zero], axis: 1), height: shape[1], width: shape[2], interpolation: interpolation, fill: fill,
      value: Float(fillValue))
  }
}

/// Turns images about their middle by a random angle: `factor` is in full turns, positive ones go counterclockwise.
public final class RandomRotation: RandomImageLayer {
  public override class var className: String { "RandomRotation" }
  let factor: RandomRange
  let options: TransformOptions

  init(config: inout Configuration) throws {
    factor = try RandomRange(config.factor("factor"), "factor", -1...1, loose: true, config)
    options = try TransformOptions(&config)
    try super.init(images: &config)
  }

  override func change(_ x: ValueID, by numbers: [ValueID], _ graph: Graph) throws -> ValueID {
    let shape = graph.shape(x)
    let angle = try factor.drawn(numbers[0], graph, times: 2 * .pi)
    let (cosine, sine) = (graph.unary(.cos, angle), graph.unary(.sin, angle))
    let (cx, cy) = (Double(shape[2] - 1) / 2, Double(shape[1] - 1) / 2)
    let (px, py) = (try graph.multiply(cosine, cx), try graph.multiply(sine, cy))
    let a2 = try graph.add(graph.subtract(py, px), cx)
    let b2 = try graph.subtract(cy, minus: graph.add(graph.multiply(sine, cx), graph.multiply(cosine, cy)))
    return try options.apply(x, [cosine, graph.unary(.negate, sine), a2, sine, cosine, b2], graph)
  }

  public override var ownConfig: [String: JSONValue] {
    super.ownConfig.merging(options.config) { _, own in own }.merging(["factor": factor.config]) { _, own in own }
  }
}

/// Zooms about the middle: `height_factor` and `width_factor` above 0 zoom out, below 0 in. Without `width_factor` both are the same.
public final class RandomZoom: RandomImageLayer {
  public override class var className: String { "RandomZoom" }
  override class var draws: Int { 2 }
  let height: RandomRange
  let width: RandomRange?
  let options: TransformOptions
  /// As given: Keras writes them so.
  private let given: (height: JSONValue, width: JSONValue)

  init(config: inout Configuration) throws {
    given = (try config.factor("height_factor", required: true), config.value("width_factor") ?? .null)
    height = try RandomRange(given.height, "height_factor", -1...1, openBelow: true, config)
    width = given.width.isNull ? nil : try RandomRange(given.width, "width_factor", -1...1, openBelow: true, config)
    options = try TransformOptions(&config)
    try super.init(images: &config)
  }

  override func change(_ x: ValueID, by numbers: [ValueID], _ graph: Graph) throws -> ValueID {
    let shape = graph.shape(x)
    let zy = try graph.add(height.drawn(numbers[0], graph), 1)
    let zx = try width.map { try graph.add($0.drawn(numbers[1], graph), 1) } ?? zy
    let zero = try graph.broadcast(graph.scalar(0), to: [shape[0], 1])
    func offset(_ zoom: ValueID, _ size: Int) throws -> ValueID { try graph.multiply(graph.subtract(1, minus: zoom), Double(size - 1) / 2) }
    return try options.apply(x, [zx, zero, offset(zx, shape[2]), zero, zy, offset(zy, shape[1])], graph)
  }

  public override var ownConfig: [String: JSONValue] {
    super.ownConfig.merging(options.config) { _, own in own }
      .merging(["height_factor": given.height, "width_factor": given.width]) { _, own in own }
  }
}

/// Moves images by shares of their height (positive ones down) and width (positive ones to the right).
public final class RandomTranslation: RandomImageLayer {
  public override class var className: String { "RandomTranslation" }
  override class var draws: Int { 2 }
  let height: RandomRange
  let width: RandomRange
  let options: TransformOptions
  private let given: (height: JSONValue, width: JSONValue)

  init(config: inout Configuration) throws {
    given = (try config.factor("height_factor", required: true), try config.factor("width_factor", required: true))
    height = try RandomRange(given.height, "height_factor", -1...1, config)
    width = try RandomRange(given.width, "width_factor", -1...1, config)
    options = try TransformOptions(&config)
    try super.init(images: &config)
  }

  override func change(_ x: ValueID, by numbers: [ValueID], _ graph: Graph) throws -> ValueID {
    let shape = graph.shape(x)
    let zero = try graph.broadcast(graph.scalar(0), to: [shape[0], 1])
    let one = try graph.broadcast(graph.scalar(1), to: [shape[0], 1])
    let dy = try height.drawn(numbers[0], graph, times: -Double(shape[1]))
    let dx = try width.drawn(numbers[1], graph, times: -Double(shape[2]))
    return try options.apply(x, [one, zero, dx, zero, one, dy], graph)
  }

  public override var ownConfig: [String: JSONValue] {
    super.ownConfig.merging(options.config) { _, own in own }
      .merging(["height_factor": given.height, "width_factor": given.width]) { _, own in own }
  }
}

/// Cuts a window out of the images of a batch, all at the same random place; the result has the window's size.
///
/// In inference, and where an image is not larger than the window in both directions, the largest window of the same proportions in the middle
/// is resized. (Keras documents this, but hands images on uncropped in inference, against its own symbolic shape.)
public final class RandomCrop: RandomImageLayer {
  public override class var className: String { "RandomCrop" }
  let height: Int
  let width: Int
  /// Keras draws a seed where none is given and writes it.
  private let drawnSeed: Int

  public init(height: Int, width: Int, seed: Int? = nil, name: String? = nil) throws {
    guard height > 0, width > 0 else {
      throw XferError.invalid("RandomCrop: height and width are to be above 0, \(height) and \(width) were given")
    }
    (self.height, self.width) = (height, width)
    drawnSeed = seed ?? Int(RandomSeed.next() >> 33)
    super.init(seed: drawnSeed, name: name)
  }

  init(config: inout Configuration) throws {
    height = try config.required("height")
    width = try config.required("width")
    guard max(height, width) <= Configuration.sane.upperBound else {
      throw XferError.invalid(
        "RandomCrop: 'height' and 'width' are to be up to \(Configuration.sane.upperBound), \(height) and \(width) were given")
    }
    drawnSeed = try config.seed() ?? Int(RandomSeed.next() >> 33)
    try super.init(images: &config)
  }

  override var seedConfig: JSONValue { .int(drawnSeed) }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let shape = try imageShape(inputs[0], graph)
    guard context.training, shape[1] > height, shape[2] > width else {
      return try graph.smartResized(inputs[0], height: height, width: width)
    }
    let numbers = try draw([2], graph)
    func window(_ x: ValueID, axis: Int, _ size: Int, _ number: Int) throws -> ValueID {
      let s = graph.shape(x)
      let places = Double(s[axis] - size + 1)
      // The product of a number below 1 may round up to the number of places.
      let start = try graph.clip(
        graph.unary(.floor, graph.multiply(graph.slice(numbers, axis: 0, from: number, count: 1), places)), 0, places - 1)
      let index = graph.cast(try graph.add(start, graph.constant(Tensor((0..<size).map { Float($0) }))), to: .int32)
      let folded = try graph.reshape(x, to: [s[..<axis].reduce(1, *), s[axis], s[(axis + 1)...].reduce(1, *)])
      var cut = s
      cut[axis] = size
      return try graph.reshape(graph.gather(folded, index: index), to: cut)
    }
    return try window(window(inputs[0], axis: 1, height, 0), axis: 2, width, 1)
  }

  public override var ownConfig: [String: JSONValue] {
    super.ownConfig.merging(["height": .int(height), "width": .int(width)]) { _, own in own }
  }
}

/// `(x − mean)·factor + mean`, mean over each image's channel and `factor` from 1 − factor[0] to 1 + factor[1]; one number f means (0, f), as in
/// Keras. The result is kept within `value_range`.
public final class RandomContrast: RandomImageLayer {
  public override class var className: String { "RandomContrast" }
  let factor: RandomRange
  let range: [Double]

  init(config: inout Configuration) throws {
    factor = try RandomRange(config.factor("factor", required: true), "factor", 0...1, loose: true, config)
    range = try config.valueRange()
    try super.init(images: &config)
  }

  override func change(_ x: ValueID, by numbers: [ValueID], _ graph: Graph) throws -> ValueID {
    let scale = try RandomRange(low: 1 - factor.low, high: 1 + factor.high).drawn(numbers[0], graph)
    let mean = try graph.reduce(.mean, x, axes: [1, 2], keepDims: true)
    let wide = try graph.reshape(scale, to: [graph.shape(x)[0], 1, 1, 1])
    return try graph.clip(graph.add(graph.multiply(graph.subtract(x, mean), wide), mean), range[0], range[1])
  }

  public override var ownConfig: [String: JSONValue] {
    super.ownConfig.merging(["factor": factor.config, "value_range": .array(range.map { .double($0) })]) { _, own in own }
  }
}

/// Adds a random share, from factor[0] to factor[1], of the width of `value_range` to each image; the result is kept within that range.
public final class RandomBrightness: RandomImageLayer {
  public override class var className: String { "RandomBrightness" }
  let factor: RandomRange
  let range: [Double]

  init(config: inout Configuration) throws {
    factor = try RandomRange(config.factor("factor", required: true), "factor", -1...1, loose: true, config)
    range = try config.valueRange().sorted()
    try super.init(images: &config)
  }

  override func change(_ x: ValueID, by numbers: [ValueID], _ graph: Graph) throws -> ValueID {
    let delta = try factor.drawn(numbers[0], graph, times: range[1] - range[0])
    return try graph.clip(graph.add(x, graph.reshape(delta, to: [graph.shape(x)[0], 1, 1, 1])), range[0], range[1])
  }

  public override var ownConfig: [String: JSONValue] {
    super.ownConfig.merging(["factor": factor.config, "value_range": .array(range.map { .double($0) })]) { _, own in own }
  }
}

extension RandomRange {
  init(low: Double, high: Double) { (self.low, self.high) = (low, high) }
}

extension Configuration {
  fileprivate mutating func factor(_ key: String, required: Bool = false) throws -> JSONValue {
    if let value = value(key) { return value }
    guard !required else { throw XferError.invalid("\(className): '\(key)' is required") }
    return .double(0)
  }

  fileprivate mutating func valueRange() throws -> [Double] {
    guard let value = value("value_range") else { return [0, 255] }
    let list = value.arrayValue?.compactMap(\.doubleValue) ?? []
    guard list.count == 2, value.arrayValue?.count == 2 else { throw wrong("value_range", "two numbers", value) }
    return list
  }
}
