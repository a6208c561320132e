public import XferCore
public import XferGraph

/// [N, …] → [N, product].
public final class Flatten: Layer {
  public override class var className: String { "Flatten" }

  public override init(name: String? = nil) { super.init(name: name) }

  init(config: inout Configuration) throws {
    try config.channelsLast()
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let s = context.graph.shape(inputs[0])
    return try context.graph.reshape(inputs[0], to: [s[0], s.dropFirst().reduce(1, *)])
  }

  public override var ownConfig: [String: JSONValue] { ["data_format": "channels_last"] }
}

extension Configuration {
  /// What to put on or take off an image's sides: n, (rows, columns) or ((top, bottom), (left, right)).
  mutating func sides(_ key: String, _ fallback: Int) throws -> ((Int, Int), (Int, Int)) {
    let given = value(key) ?? .int(fallback)
    func pair(_ value: JSONValue) throws -> (Int, Int) {
      if let both = value.intValue, both >= 0, Configuration.sane ~= both { return (both, both) }
      let list = value.arrayValue?.compactMap(\.intValue) ?? []
      guard list.count == 2, list.allSatisfy({ $0 >= 0 && Configuration.sane ~= $0 }) else {
        throw wrong(key, "a number, (h, w) or ((top, bottom), (left, right))", given)
      }
      return (list[0], list[1])
    }
    guard let list = given.arrayValue else { return (try pair(given), try pair(given)) }
    guard list.count == 2 else { throw wrong(key, "a number, (h, w) or ((top, bottom), (left, right))", given) }
    return (try pair(list[0]), try pair(list[1]))
  }
}

/// ((top, bottom), (left, right)) as JSON.
private func json(_ sides: ((Int, Int), (Int, Int))) -> JSONValue {
  [[.int(sides.0.0), .int(sides.0.1)], [.int(sides.1.0), .int(sides.1.1)]]
}

extension Graph {
  /// The shape of a value that is to be images [N,H,W,C].
  func imageShape(_ x: ValueID) throws -> [Int] {
    guard shape(x).count == 4 else {
      throw XferError.shape("\(label) wants an input [batch, height, width, channels], shape \(shape(x)) was given")
    }
    return shape(x)
  }
}

/// Zeros around an image: `padding` = ((top, bottom), (left, right)).
public final class ZeroPadding2D: Layer {
  public override class var className: String { "ZeroPadding2D" }
  let padding: ((Int, Int), (Int, Int))

  public init(padding: ((Int, Int), (Int, Int)) = ((1, 1), (1, 1)), name: String? = nil) {
    self.padding = padding
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    padding = try config.sides("padding", 1)
    try config.channelsLast()
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    _ = try context.graph.imageShape(inputs[0])
    return context.graph.pad(inputs[0], before: [0, padding.0.0, padding.1.0, 0], after: [0, padding.0.1, padding.1.1, 0])
  }

  public override var ownConfig: [String: JSONValue] { ["padding": json(padding), "data_format": "channels_last"] }
}

/// Takes rows and columns off an image: `cropping` = ((top, bottom), (left, right)).
public final class Cropping2D: Layer {
  public override class var className: String { "Cropping2D" }
  let cropping: ((Int, Int), (Int, Int))

  public init(cropping: ((Int, Int), (Int, Int)) = ((0, 0), (0, 0)), name: String? = nil) {
    self.cropping = cropping
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    cropping = try config.sides("cropping", 0)
    try config.channelsLast()
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let s = try context.graph.imageShape(inputs[0])
    let (height, width) = (s[1] - cropping.0.0 - cropping.0.1, s[2] - cropping.1.0 - cropping.1.1)
    guard height > 0, width > 0 else {
      throw XferError.shape("\(name): cropping by \(cropping) leaves nothing of an image of \(s[1])×\(s[2])")
    }
    let rows = context.graph.slice(inputs[0], axis: 1, from: cropping.0.0, count: height)
    return context.graph.slice(rows, axis: 2, from: cropping.1.0, count: width)
  }

  public override var ownConfig: [String: JSONValue] { ["cropping": json(cropping), "data_format": "channels_last"] }
}

/// [N, …] → [N, `targetShape`]; one size may be −1, which takes what is left.
public final class Reshape: Layer {
  public override class var className: String { "Reshape" }
  let targetShape: [Int]

  public init(_ targetShape: [Int], name: String? = nil) {
    self.targetShape = targetShape
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    guard let given = config.value("target_shape"), given.arrayValue != nil, let list = try config.integers("target_shape") else {
      throw XferError.invalid("Reshape: 'target_shape' is required: a list of sizes")
    }
    targetShape = list
    guard list.allSatisfy({ $0 >= -1 }), list.filter({ $0 == -1 }).count <= 1, list.count < 8 else {
      throw config.wrong("target_shape", "a list of up to 7 sizes, of which one may be -1", given)
    }
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let s = context.graph.shape(inputs[0])
    let count = s.dropFirst().reduce(1, *)
    let (known, overflow) = targetShape.filter { $0 != -1 }.reduce((1, false)) { product, size in
      let next = product.0.multipliedReportingOverflow(by: size)
      return (next.partialValue, product.1 || next.overflow)
    }
    let fits = !overflow && (targetShape.contains(-1) ? known > 0 && count % known == 0 : known == count)
    guard fits else {
      throw XferError.shape("\(name): an input of shape \(s) has \(count) elements a sample, which do not make \(targetShape)")
    }
    return try context.graph.reshape(inputs[0], to: s.prefix(1) + targetShape.map { $0 == -1 ? count / known : $0 })
  }

  public override var ownConfig: [String: JSONValue] { ["target_shape": .array(targetShape.map { .int($0) })] }
}

/// The dimensions behind the batch in another order: `dims` counts from 1.
public final class Permute: Layer {
  public override class var className: String { "Permute" }
  let dims: [Int]

  public init(_ dims: [Int], name: String? = nil) {
    self.dims = dims
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    guard let given = config.value("dims"), given.arrayValue != nil, let list = try config.integers("dims") else {
      throw XferError.invalid("Permute: 'dims' is required: a list of dimensions, counted from 1")
    }
    dims = list
    guard list.sorted() == Array(1..<list.count + 1), list.count < 8 else {
      throw config.wrong("dims", "each of the numbers from 1 to their count once", given)
    }
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let s = context.graph.shape(inputs[0])
    guard s.count == dims.count + 1 else {
      throw XferError.shape("\(name) wants an input of rank \(dims.count + 1), shape \(s) was given")
    }
    return try context.graph.transpose(inputs[0], [0] + dims)
  }

  public override var ownConfig: [String: JSONValue] { ["dims": .array(dims.map { .int($0) })] }
}

/// [N, features] → [N, n, features].
public final class RepeatVector: Layer {
  public override class var className: String { "RepeatVector" }
  let n: Int

  public init(_ n: Int, name: String? = nil) {
    self.n = n
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    n = try config.required("n")
    guard Configuration.sane ~= n else { throw config.wrong("n", "at most \(Configuration.sane.upperBound)", .int(n)) }
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let s = context.graph.shape(inputs[0])
    guard s.count == 2 else { throw XferError.shape("\(name) wants an input [batch, features], shape \(s) was given") }
    return try context.graph.broadcast(context.graph.reshape(inputs[0], to: [s[0], 1, s[1]]), to: [s[0], n, s[1]])
  }

  public override var ownConfig: [String: JSONValue] { ["n": .int(n)] }
}

/// `x · scale + offset`, each a number or one per channel.
public final class Rescaling: Layer {
  public override class var className: String { "Rescaling" }
  let scale: [Double]
  let offset: [Double]

  public init(scale: [Double], offset: [Double] = [0], name: String? = nil) {
    (self.scale, self.offset) = (scale, offset)
    super.init(name: name)
  }

  public convenience init(_ scale: Double, offset: Double = 0, name: String? = nil) {
    self.init(scale: [scale], offset: [offset], name: name)
  }

  init(config: inout Configuration) throws {
    func numbers(_ key: String, _ fallback: Double?) throws -> [Double] {
      guard let value = config.value(key) else {
        if let fallback { return [fallback] }
        throw XferError.invalid("Rescaling: '\(key)' is required")
      }
      if let number = value.doubleValue { return [number] }
      let list = value.arrayValue?.compactMap(\.doubleValue) ?? []
      guard !list.isEmpty, list.count == value.arrayValue?.count else { throw config.wrong(key, "a number or a list of them", value) }
      return list
    }
    scale = try numbers("scale", nil)
    offset = try numbers("offset", 0)
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let channels = graph.shape(inputs[0]).last ?? 1
    func perChannel(_ values: [Double], _ what: String) throws -> ValueID {
      guard values.count == 1 || values.count == channels else {
        throw XferError.shape("\(name): \(values.count) values of '\(what)' are given for \(channels) channels")
      }
      return graph.constant(try Tensor((0..<channels).map { Float(values[values.count == 1 ? 0 : $0]) }))
    }
    return try graph.scaleShift(inputs[0], scale: perChannel(scale, "scale"), shift: perChannel(offset, "offset"))
  }

  public override var ownConfig: [String: JSONValue] {
    func plain(_ values: [Double]) -> JSONValue { values.count == 1 ? .double(values[0]) : .array(values.map { .double($0) }) }
    return ["scale": plain(scale), "offset": plain(offset)]
  }
}

/// Reorders channels: `y[..., i] = x[..., order[i]]`. Xfer's own, for networks trained on BGR images.
public final class ChannelReorder: Layer {
  public override class var className: String { "ChannelReorder" }
  let order: [Int]

  public init(_ order: [Int], name: String? = nil) {
    self.order = order
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    let value = config.value("order") ?? .null
    order = value.arrayValue?.compactMap(\.intValue) ?? []
    guard !order.isEmpty else { throw config.wrong("order", "a list of channel numbers", value) }
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    try context.graph.permuteChannels(inputs[0], index: order)
  }

  public override var ownConfig: [String: JSONValue] { ["order": .array(order.map { .int($0) })] }
}
