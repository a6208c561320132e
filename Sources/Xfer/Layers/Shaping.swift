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

/// Zeros around an image: `padding` = ((top, bottom), (left, right)).
public final class ZeroPadding2D: Layer {
  public override class var className: String { "ZeroPadding2D" }
  let padding: ((Int, Int), (Int, Int))

  public init(padding: ((Int, Int), (Int, Int)) = ((1, 1), (1, 1)), name: String? = nil) {
    self.padding = padding
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    let given = config.value("padding") ?? 1
    func sides(_ value: JSONValue) throws -> (Int, Int) {
      if let both = value.intValue, both >= 0, Configuration.sane ~= both { return (both, both) }
      let list = value.arrayValue?.compactMap(\.intValue) ?? []
      guard list.count == 2, list.allSatisfy({ $0 >= 0 && Configuration.sane ~= $0 }) else {
        throw config.wrong("padding", "a number, (h, w) or ((top, bottom), (left, right))", given)
      }
      return (list[0], list[1])
    }
    if let list = given.arrayValue, list.count == 2 {
      padding = (try sides(list[0]), try sides(list[1]))
    } else {
      padding = (try sides(given), try sides(given))
    }
    try config.channelsLast()
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard context.graph.shape(inputs[0]).count == 4 else {
      throw XferError.shape("\(name) wants an input [batch, height, width, channels], shape \(context.graph.shape(inputs[0])) was given")
    }
    return context.graph.pad(inputs[0], before: [0, padding.0.0, padding.1.0, 0], after: [0, padding.0.1, padding.1.1, 0])
  }

  public override var ownConfig: [String: JSONValue] {
    [
      "padding": [[.int(padding.0.0), .int(padding.0.1)], [.int(padding.1.0), .int(padding.1.1)]], "data_format": "channels_last",
    ]
  }
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

  public convenience init(_ scale: Double, offset: Double = 0, name: String? = nil) { self.init(scale: [scale], offset: [offset], name: name) }

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
