public import XferCore
public import XferGraph

/// `activation(x · kernel + bias)`; kernel (inputs, units). ``enableLoRA(rank:alpha:aInitializer:bInitializer:)`` adapts the kernel.
public final class Dense: Layer {
  public override class var className: String { "Dense" }
  let units: Int
  private(set) var activation: ActivationFunction
  let useBias: Bool
  let kernelSpec: WeightSpec
  let biasSpec: WeightSpec
  private var kernel: Variable?
  private var bias: Variable?

  public init(
    _ units: Int, activation: ActivationFunction = .linear, useBias: Bool = true, kernelInitializer: Initializer = .glorotUniform,
    biasInitializer: Initializer = .zeros, kernelRegularizer: Regularizer? = nil, biasRegularizer: Regularizer? = nil,
    activityRegularizer: Regularizer? = nil, kernelConstraint: Constraint? = nil, biasConstraint: Constraint? = nil, name: String? = nil
  ) {
    (self.units, self.activation, self.useBias) = (units, activation, useBias)
    kernelSpec = WeightSpec(kernelInitializer, regularizer: kernelRegularizer, constraint: kernelConstraint)
    biasSpec = WeightSpec(biasInitializer, regularizer: biasRegularizer, constraint: biasConstraint)
    super.init(name: name)
    self.activityRegularizer = activityRegularizer
  }

  init(config: inout Configuration) throws {
    units = try config.required("units")
    activation = try ActivationFunction(config.value("activation"), layer: config.className)
    useBias = try config.bool("use_bias", true)
    kernelSpec = try WeightSpec(&config, "kernel", default: .glorotUniform)
    biasSpec = try WeightSpec(&config, "bias", default: .zeros)
    try config.refuse("quantization_config")
    let lora = try LoRA(&config)
    try super.init(reading: &config)
    self.lora = lora
  }

  public override func build(_ inputs: [OpenShape]) throws {
    guard units > 0 else { throw XferError.invalid("Dense: 'units' is to be above 0, \(units) was given") }
    guard inputs.count == 1, inputs[0].count >= 2, let features = inputs[0].last ?? nil else {
      throw XferError.shape("Dense wants one input [batch, …, features], \(inputs) was given")
    }
    kernel = try addWeight("kernel", [features, units], kernelSpec)
    if useBias { bias = try addWeight("bias", [units], biasSpec) }
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard let kernel else { throw XferError.state("\(name) has no weights yet") }
    let graph = context.graph
    let shape = graph.shape(inputs[0])
    guard shape.count >= 2, shape.last == kernel.shape[0] else {
      throw XferError.shape("\(name) was built for \(kernel.shape[0]) features, an input of shape \(shape) was given")
    }
    let rows = try graph.reshape(inputs[0], to: [shape.dropLast().reduce(1, *), kernel.shape[0]])
    let product = try graph.matmul(rows, graph.adapted(kernel), bias: bias.map { graph.variable($0) })
    return try activation.emit(graph.reshape(product, to: shape.dropLast() + [units]), graph)
  }

  override func setter(_ key: String, _ value: JSONValue) throws -> (() -> Void)? {
    try ActivationFunction.setter(key, value, of: self) { self.activation = $0 }
  }

  override var adaptable: Variable? { kernel }

  public override var ownConfig: [String: JSONValue] {
    ["units": .int(units), "activation": activation.config, "use_bias": .bool(useBias), "quantization_config": nil]
      .with(kernelSpec.config("kernel"), biasSpec.config("bias"), loraConfig)
  }
}
