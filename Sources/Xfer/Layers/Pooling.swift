public import XferCore
public import XferGraph

/// Maximum or average over windows: the common part of MaxPooling2D and AveragePooling2D.
public class Pooling2D: Layer {
  class var average: Bool { false }
  let poolSize: (Int, Int)
  let strides: (Int, Int)
  let padding: Padding

  public init(poolSize: (Int, Int) = (2, 2), strides: (Int, Int)? = nil, padding: Padding = .valid, name: String? = nil) {
    (self.poolSize, self.strides, self.padding) = (poolSize, strides ?? poolSize, padding)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    // Keras gives MaxPooling2D's window a default and AveragePooling2D's none.
    if Self.average, config.value("pool_size") == nil { throw XferError.invalid("\(config.className): 'pool_size' is required") }
    poolSize = try config.pair("pool_size", (2, 2))
    strides = try config.pair("strides", poolSize)
    padding = try config.padding()
    try config.channelsLast()
    guard min(poolSize.0, poolSize.1, strides.0, strides.1) > 0 else {
      throw XferError.invalid("\(config.className): 'pool_size' and 'strides' are to be above 0, \(poolSize) and \(strides) were given")
    }
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    try context.graph.pool2D(inputs[0], average: Self.average, window: poolSize, strides: strides, padding: padding)
  }

  public override var ownConfig: [String: JSONValue] {
    [
      "pool_size": [.int(poolSize.0), .int(poolSize.1)], "strides": [.int(strides.0), .int(strides.1)],
      "padding": .string(padding.rawValue),
      "data_format": "channels_last",
    ]
  }
}

/// The largest value of each window; padding never wins.
public final class MaxPooling2D: Pooling2D {
  public override class var className: String { "MaxPooling2D" }
}

/// The mean of each window; padding is not counted.
public final class AveragePooling2D: Pooling2D {
  public override class var className: String { "AveragePooling2D" }
  override class var average: Bool { true }
}

/// Over all of height and width: [N,H,W,C] → [N,C], or [N,1,1,C] with `keepdims`.
public class GlobalPooling2D: Layer {
  class var kind: ReduceKind { .mean }
  let keepDims: Bool

  public init(keepDims: Bool = false, name: String? = nil) {
    self.keepDims = keepDims
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    keepDims = try config.bool("keepdims", false)
    try config.channelsLast()
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let s = graph.shape(inputs[0])
    guard s.count == 4 else { throw XferError.shape("\(name) wants an input [batch, height, width, channels], shape \(s) was given") }
    let pooled = try graph.reduce(Self.kind, graph.reshape(inputs[0], to: [s[0], s[1] * s[2], s[3]]))
    return keepDims ? try graph.reshape(pooled, to: [s[0], 1, 1, s[3]]) : pooled
  }

  public override var ownConfig: [String: JSONValue] { ["keepdims": .bool(keepDims), "data_format": "channels_last"] }
}

/// The maximum over height and width.
public final class GlobalMaxPooling2D: GlobalPooling2D {
  public override class var className: String { "GlobalMaxPooling2D" }
  override class var kind: ReduceKind { .max }
}

/// The mean over height and width.
public final class GlobalAveragePooling2D: GlobalPooling2D {
  public override class var className: String { "GlobalAveragePooling2D" }
}
