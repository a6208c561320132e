public import XferCore
public import XferGraph

/// What all 2D convolutions are configured by.
public struct ConvolutionOptions {
  public var kernelSize: (Int, Int)
  public var strides: (Int, Int)
  public var padding: Padding
  public var dilation: (Int, Int)
  public var activation: ActivationFunction
  public var useBias: Bool
  public var bias = WeightSpec(.zeros)

  init(_ config: inout Configuration) throws {
    guard config.value("kernel_size") != nil else { throw XferError.invalid("\(config.className): 'kernel_size' is required") }
    kernelSize = try config.pair("kernel_size", (1, 1))
    strides = try config.pair("strides", (1, 1))
    dilation = try config.pair("dilation_rate", (1, 1))
    padding = try config.padding()
    activation = try ActivationFunction(config.value("activation"), layer: config.className)
    useBias = try config.bool("use_bias", true)
    bias = try WeightSpec(&config, "bias", default: .zeros)
    try config.channelsLast()
    try check(config.className)
  }

  init(
    _ kernelSize: (Int, Int), _ strides: (Int, Int), _ padding: Padding, _ dilation: (Int, Int), _ activation: ActivationFunction,
    _ useBias: Bool
  ) {
    (self.kernelSize, self.strides, self.padding) = (kernelSize, strides, padding)
    (self.dilation, self.activation, self.useBias) = (dilation, activation, useBias)
  }

  func check(_ layer: String) throws {
    for (key, pair) in [("kernel_size", kernelSize), ("strides", strides), ("dilation_rate", dilation)] where min(pair.0, pair.1) < 1 {
      throw XferError.invalid("\(layer): '\(key)' is to be above 0, \(pair) was given")
    }
    if max(strides.0, strides.1) > 1, max(dilation.0, dilation.1) > 1 {
      throw XferError.invalid("\(layer): strides above 1 and dilation above 1 exclude each other, \(strides) and \(dilation) were given")
    }
  }

  var config: [String: JSONValue] {
    [
      "kernel_size": [.int(kernelSize.0), .int(kernelSize.1)], "strides": [.int(strides.0), .int(strides.1)],
      "padding": .string(padding.rawValue), "data_format": "channels_last", "dilation_rate": [.int(dilation.0), .int(dilation.1)],
      "activation": activation.config, "use_bias": .bool(useBias), "activity_regularizer": nil,
    ].with(bias.config("bias"))
  }
}

extension Configuration {
  mutating func padding(_ fallback: String = "valid") throws -> Padding {
    let text = try string("padding", fallback)
    guard let padding = Padding(rawValue: text.lowercased()) else {
      throw XferError.invalid("\(className): 'padding' is to be \"valid\" or \"same\", \"\(text)\" was given")
    }
    return padding
  }

  mutating func channelsLast() throws {
    let format = try string("data_format", "channels_last")
    guard format == "channels_last" else {
      throw XferError.unsupported("\(className): data_format \"\(format)\"; only channels_last is supported")
    }
  }
}

/// Shapes as Python prints them, for errors.
func described(_ shapes: [OpenShape]) -> String {
  shapes.map { shape in "(" + shape.map { $0.map(String.init) ?? "None" }.joined(separator: ", ") + ")" }.joined(separator: ", ")
}

/// Channels of one NHWC input.
func channels(_ inputs: [OpenShape], _ layer: String) throws -> Int {
  guard inputs.count == 1, inputs[0].count == 4, let channels = inputs[0][3] else {
    throw XferError.shape("\(layer) wants one input [batch, height, width, channels], \(described(inputs)) was given")
  }
  return channels
}

/// 2D convolution; kernel (kh, kw, in/groups, filters).
public final class Conv2D: Layer {
  public override class var className: String { "Conv2D" }
  let filters: Int
  let groups: Int
  private(set) var options: ConvolutionOptions
  let kernelSpec: WeightSpec
  private var kernel: Variable?
  private var bias: Variable?

  public init(
    filters: Int, kernelSize: (Int, Int), strides: (Int, Int) = (1, 1), padding: Padding = .valid, dilation: (Int, Int) = (1, 1),
    groups: Int = 1,
    activation: ActivationFunction = .linear, useBias: Bool = true, name: String? = nil
  ) {
    (self.filters, self.groups, kernelSpec) = (filters, groups, WeightSpec(.glorotUniform))
    options = ConvolutionOptions(kernelSize, strides, padding, dilation, activation, useBias)
    super.init(name: name)
  }

  public convenience init(
    filters: Int, kernelSize: Int, strides: Int = 1, padding: Padding = .valid, activation: ActivationFunction = .linear,
    useBias: Bool = true,
    name: String? = nil
  ) {
    self.init(
      filters: filters, kernelSize: (kernelSize, kernelSize), strides: (strides, strides), padding: padding, activation: activation,
      useBias: useBias, name: name)
  }

  init(config: inout Configuration) throws {
    filters = try config.required("filters")
    groups = try config.int("groups", 1)
    guard groups > 0, filters % groups == 0 else {
      throw XferError.invalid(
        "\(config.className): 'groups' is to be above 0 and to divide the filters, \(groups) was given for \(filters)")
    }
    options = try ConvolutionOptions(&config)
    kernelSpec = try WeightSpec(&config, "kernel", default: .glorotUniform)
    let lora = try LoRA(&config)
    try super.init(reading: &config)
    self.lora = lora
  }

  public override func build(_ inputs: [OpenShape]) throws {
    let input = try channels(inputs, name)
    try options.check(name)
    guard filters > 0, groups > 0, input % groups == 0, filters % groups == 0 else {
      throw XferError.invalid("\(name): \(groups) groups do not divide \(input) input channels and \(filters) filters")
    }
    kernel = try addWeight("kernel", [options.kernelSize.0, options.kernelSize.1, input / groups, filters], kernelSpec)
    if options.useBias { bias = try addWeight("bias", [filters], options.bias) }
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard let kernel else { throw XferError.state("\(name) has no weights yet") }
    let graph = context.graph
    let y = try graph.conv2D(
      inputs[0], graph.adapted(kernel), bias: bias.map { graph.variable($0) }, strides: options.strides, dilation: options.dilation,
      padding: options.padding, groups: groups)
    return try options.activation.emit(y, graph)
  }

  override func setter(_ key: String, _ value: JSONValue) throws -> (() -> Void)? {
    try ActivationFunction.setter(key, value, of: self) { self.options.activation = $0 }
  }

  override var adaptable: Variable? { kernel }

  public override var ownConfig: [String: JSONValue] {
    options.config.with(["filters": .int(filters), "groups": .int(groups)], kernelSpec.config("kernel"), loraConfig)
  }
}

/// Each channel with its own `multiplier` kernels; kernel (kh, kw, in, multiplier).
public final class DepthwiseConv2D: Layer {
  public override class var className: String { "DepthwiseConv2D" }
  let multiplier: Int
  private(set) var options: ConvolutionOptions
  let kernelSpec: WeightSpec
  private var kernel: Variable?
  private var bias: Variable?

  public init(
    kernelSize: (Int, Int), strides: (Int, Int) = (1, 1), padding: Padding = .valid, depthMultiplier: Int = 1,
    dilation: (Int, Int) = (1, 1),
    activation: ActivationFunction = .linear, useBias: Bool = true, name: String? = nil
  ) {
    (multiplier, kernelSpec) = (depthMultiplier, WeightSpec(.glorotUniform))
    options = ConvolutionOptions(kernelSize, strides, padding, dilation, activation, useBias)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    multiplier = try config.int("depth_multiplier", 1)
    options = try ConvolutionOptions(&config)
    kernelSpec = try WeightSpec(&config, "depthwise", default: .glorotUniform)
    config.ignore("groups", "filters", "kernel_initializer", "kernel_regularizer", "kernel_constraint")
    try super.init(reading: &config)
  }

  public override func build(_ inputs: [OpenShape]) throws {
    let input = try channels(inputs, name)
    try options.check(name)
    guard multiplier > 0 else { throw XferError.invalid("\(name): 'depth_multiplier' is to be above 0, \(multiplier) was given") }
    kernel = try addWeight("kernel", [options.kernelSize.0, options.kernelSize.1, input, multiplier], kernelSpec)
    if options.useBias { bias = try addWeight("bias", [input * multiplier], options.bias) }
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard let kernel else { throw XferError.state("\(name) has no weights yet") }
    let graph = context.graph
    let y = try graph.conv2D(
      inputs[0], graph.variable(kernel), bias: bias.map { graph.variable($0) }, depthwise: true, strides: options.strides,
      dilation: options.dilation, padding: options.padding)
    return try options.activation.emit(y, graph)
  }

  override func setter(_ key: String, _ value: JSONValue) throws -> (() -> Void)? {
    try ActivationFunction.setter(key, value, of: self) { self.options.activation = $0 }
  }

  public override var ownConfig: [String: JSONValue] {
    options.config.with(["depth_multiplier": .int(multiplier)], kernelSpec.config("depthwise"))
  }
}

/// A depthwise convolution and a pointwise one behind it.
public final class SeparableConv2D: Layer {
  public override class var className: String { "SeparableConv2D" }
  let filters: Int
  let multiplier: Int
  private(set) var options: ConvolutionOptions
  let depthwiseSpec: WeightSpec
  let pointwiseSpec: WeightSpec
  private var depthwise: Variable?
  private var pointwise: Variable?
  private var bias: Variable?

  public init(
    filters: Int, kernelSize: (Int, Int), strides: (Int, Int) = (1, 1), padding: Padding = .valid, depthMultiplier: Int = 1,
    activation: ActivationFunction = .linear, useBias: Bool = true, name: String? = nil
  ) {
    (self.filters, multiplier) = (filters, depthMultiplier)
    (depthwiseSpec, pointwiseSpec) = (WeightSpec(.glorotUniform), WeightSpec(.glorotUniform))
    options = ConvolutionOptions(kernelSize, strides, padding, (1, 1), activation, useBias)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    filters = try config.required("filters")
    multiplier = try config.int("depth_multiplier", 1)
    options = try ConvolutionOptions(&config)
    depthwiseSpec = try WeightSpec(&config, "depthwise", default: .glorotUniform)
    pointwiseSpec = try WeightSpec(&config, "pointwise", default: .glorotUniform)
    config.ignore("groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")
    try super.init(reading: &config)
  }

  public override func build(_ inputs: [OpenShape]) throws {
    let input = try channels(inputs, name)
    try options.check(name)
    guard multiplier > 0, filters > 0 else { throw XferError.invalid("\(name): 'filters' and 'depth_multiplier' are to be above 0") }
    depthwise = try addWeight("depthwise_kernel", [options.kernelSize.0, options.kernelSize.1, input, multiplier], depthwiseSpec)
    pointwise = try addWeight("pointwise_kernel", [1, 1, input * multiplier, filters], pointwiseSpec)
    if options.useBias { bias = try addWeight("bias", [filters], options.bias) }
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard let depthwise, let pointwise else { throw XferError.state("\(name) has no weights yet") }
    let graph = context.graph
    let spread = try graph.conv2D(
      inputs[0], graph.variable(depthwise), depthwise: true, strides: options.strides, dilation: options.dilation, padding: options.padding)
    let mixed = try graph.conv2D(spread, graph.variable(pointwise), bias: bias.map { graph.variable($0) })
    return try options.activation.emit(mixed, graph)
  }

  override func setter(_ key: String, _ value: JSONValue) throws -> (() -> Void)? {
    try ActivationFunction.setter(key, value, of: self) { self.options.activation = $0 }
  }

  public override var ownConfig: [String: JSONValue] {
    options.config.with(
      ["filters": .int(filters), "depth_multiplier": .int(multiplier)], depthwiseSpec.config("depthwise"), pointwiseSpec.config("pointwise")
    )
  }
}
