public import XferCore
public import XferGraph

/// Transposed 2D convolution, the gradient of ``Conv2D`` with respect to its input; kernel (kh, kw, filters, in).
///
/// A side of n pixels grows to n·s (SAME) or (n − 1)·s + max(k, s) (VALID), k being the kernel's size with its dilation. With `outputPadding` p it is
/// (n − 1)·s + k mod 2 + p (SAME) or (n − 1)·s + k + p (VALID).
public final class Conv2DTranspose: Layer {
  public override class var className: String { "Conv2DTranspose" }
  let filters: Int
  let outputPadding: (Int, Int)?
  private(set) var options: ConvolutionOptions
  let kernelSpec: WeightSpec
  private var kernel: Variable?
  private var bias: Variable?

  public init(
    filters: Int, kernelSize: (Int, Int), strides: (Int, Int) = (1, 1), padding: Padding = .valid, outputPadding: (Int, Int)? = nil,
    dilation: (Int, Int) = (1, 1), activation: ActivationFunction = .linear, useBias: Bool = true, name: String? = nil
  ) {
    (self.filters, self.outputPadding, kernelSpec) = (filters, outputPadding, WeightSpec(.glorotUniform))
    options = ConvolutionOptions(kernelSize, strides, padding, dilation, activation, useBias)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    filters = try config.required("filters")
    outputPadding = try config.value("output_padding") == nil ? nil : config.pair("output_padding", (0, 0))
    options = try ConvolutionOptions(&config)
    kernelSpec = try WeightSpec(&config, "kernel", default: .glorotUniform)
    // Keras 2 wrote the keys of Conv2D as well.
    if try config.int("groups", 1) != 1 { try config.refuse("groups") }
    try Self.check(outputPadding, options.strides, config.className)
    try super.init(reading: &config)
  }

  private static func check(_ padding: (Int, Int)?, _ strides: (Int, Int), _ layer: String) throws {
    guard let p = padding else { return }
    guard p.0 >= 0, p.1 >= 0, p.0 < strides.0, p.1 < strides.1 else {
      throw XferError.invalid("\(layer): 'output_padding' is to be from 0 to below the strides \(strides), \(p) was given")
    }
  }

  public override func build(_ inputs: [OpenShape]) throws {
    let input = try channels(inputs, name)
    try options.check(name)
    try Self.check(outputPadding, options.strides, name)
    guard filters > 0 else { throw XferError.invalid("\(name): 'filters' is to be above 0, \(filters) was given") }
    kernel = try addWeight("kernel", [options.kernelSize.0, options.kernelSize.1, filters, input], kernelSpec)
    if options.useBias { bias = try addWeight("bias", [filters], options.bias) }
  }

  /// The place of a convolution's window over the output of one dimension that has `size` places.
  private func window(_ size: Int, _ kernel: Int, _ stride: Int, _ dilation: Int, _ extra: Int?) throws -> (
    padding: WindowPadding, output: Int
  ) {
    let effective = (kernel - 1) * dilation + 1
    let output: Int
    let place: WindowPadding
    switch options.padding {
    case .valid:
      output = (size - 1) * stride + (extra.map { effective + $0 } ?? max(effective, stride))
      place = .valid(size: output, window: kernel, stride: stride, dilation: dilation)
    case .same:
      output = extra.map { (size - 1) * stride + effective % 2 + $0 } ?? size * stride
      place = .same(size: output, window: kernel, stride: stride, dilation: dilation)
    }
    guard place.output == size, output > 0 else {
      throw XferError.shape(
        "\(name): 'output_padding' \(extra ?? 0) makes \(output) of \(size) pixels, of which a convolution would make \(place.output)")
    }
    return (place, output)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard let kernel else { throw XferError.state("\(name) has no weights yet") }
    let graph = context.graph
    let s = try graph.imageShape(inputs[0])
    guard s[3] == kernel.shape[3] else {
      throw XferError.shape("\(name) was built for \(kernel.shape[3]) channels, an input of shape \(s) was given")
    }
    let h = try window(s[1], options.kernelSize.0, options.strides.0, options.dilation.0, outputPadding?.0)
    let w = try window(s[2], options.kernelSize.1, options.strides.1, options.dilation.1, outputPadding?.1)
    var y = graph.conv2DTranspose(
      inputs[0], graph.variable(kernel), height: h.padding, width: w.padding, strides: options.strides, dilation: options.dilation,
      output: (h.output, w.output))
    if let bias { y = try graph.add(y, graph.variable(bias)) }
    return try options.activation.emit(y, graph)
  }

  override func setter(_ key: String, _ value: JSONValue) throws -> (() -> Void)? {
    try ActivationFunction.setter(key, value, of: self) { self.options.activation = $0 }
  }

  public override var ownConfig: [String: JSONValue] {
    options.config.merging(
      [
        "filters": .int(filters), "output_padding": outputPadding.map { [.int($0.0), .int($0.1)] } ?? .null,
      ].with(kernelSpec.config("kernel"))
    ) { $1 }
  }
}
