import CXfer
public import XferCore
public import XferGraph

/// Attention of several heads (Vaswani et al. 2017): for each query a mean of values, weighted by the softmax of query · key / √key_dim.
///
/// Inputs: query [B,T,…], value [B,S,…] and perhaps key (else the values) and attention_mask ([B,T,S] or [B,heads,T,S]; 0 shuts a key off).
/// Call arguments: `use_causal_mask`, `return_attention_scores` (a second output [B,heads,T,S]). Attention goes over all dimensions between
/// the batch and the features; other `attention_axes` are refused.
///
/// Weights as Keras has them: query, key and value kernels (features, heads, dim), attention_output (heads, value_dim, features).
public final class MultiHeadAttention: RandomLayer {
  public override class var className: String { "MultiHeadAttention" }
  public override var mergesInputs: Bool { true }
  /// Keras builds it by the shapes' names, which differ with the call; being called builds it as well.
  public override var buildConfig: JSONValue? { nil }
  override class var inputNames: [String] { ["query", "value", "key", "attention_mask"] }
  override class var positionalInputs: Int { 2 }

  let numHeads: Int
  let keyDim: Int
  let valueDim: Int
  let dropout: Double
  let useBias: Bool
  let useGate: Bool
  let outputShape: [Int]?
  private var attentionAxes: [Int]?
  let kernelSpec: WeightSpec
  let biasSpec: WeightSpec
  private var projections: [(attribute: String, layer: Projection)] = []

  init(config: inout Configuration) throws {
    let layer = config.className
    numHeads = try config.required("num_heads")
    keyDim = try config.required("key_dim")
    valueDim = try config.value("value_dim") == nil ? keyDim : config.required("value_dim")
    for (key, value) in [("num_heads", numHeads), ("key_dim", keyDim), ("value_dim", valueDim)] where value > Configuration.sane.upperBound
    {
      throw XferError.invalid("\(layer): '\(key)' is to be up to \(Configuration.sane.upperBound), \(value) was given")
    }
    dropout = try config.value("dropout") == nil ? 0 : config.rate("dropout")
    useBias = try config.bool("use_bias", true)
    useGate = try config.bool("use_gate", false)
    outputShape = try config.value("output_shape").map { value in
      let list = value.intValue.map { [$0] } ?? value.arrayValue?.compactMap(\.intValue) ?? []
      guard !list.isEmpty, list.count == value.arrayValue?.count ?? 1, list.allSatisfy({ $0 > 0 && Configuration.sane ~= $0 }) else {
        throw config.wrong("output_shape", "a size or a list of them", value)
      }
      return list
    }
    attentionAxes = try config.value("attention_axes").map { value in
      let list = value.intValue.map { [$0] } ?? value.arrayValue?.compactMap(\.intValue) ?? []
      guard list.count == value.arrayValue?.count ?? 1 else {
        throw config.wrong("attention_axes", "a dimension's number or a list of them", value)
      }
      return list
    }
    kernelSpec = try WeightSpec(&config, "kernel", default: .glorotUniform)
    biasSpec = try WeightSpec(&config, "bias", default: .zeros)
    if try config.bool("flash_attention", false) { throw XferError.unsupported("\(layer): 'flash_attention' = true is not supported") }
    try config.refuse("sliding_window")
    try super.init(randomly: &config)
  }

  override func checkCallArguments(_ arguments: [String: JSONValue]) throws {
    for (key, value) in arguments {
      guard ["use_causal_mask", "return_attention_scores"].contains(key) else {
        throw XferError.unsupported("\(name): the call argument '\(key)' is not supported")
      }
      guard value.boolValue != nil else { throw XferError.invalid("\(name): '\(key)' is to be true or false, \(value.text()) was given") }
    }
  }

  private func returnsScores(_ arguments: [String: JSONValue]) -> Bool { arguments["return_attention_scores"]?.boolValue ?? false }
  public override var outputCount: Int { returnsScores(callArguments) ? 2 : 1 }
  public override var sublayers: [Layer] { projections.map(\.layer) }
  override func attribute(of inner: Layer) -> String? { projections.first { $0.layer === inner }?.attribute }

  /// One of the inputs of a call by its name.
  private func input<T>(_ wanted: String, _ inputs: [T], _ arguments: [String: JSONValue]) -> T? {
    zip(inputNames(inputs.count, arguments), inputs).first { $0.0 == wanted }?.1
  }

  public override func build(_ inputs: [OpenShape]) throws {
    guard let query = input("query", inputs, callArguments), let value = input("value", inputs, callArguments) else {
      throw XferError.invalid("\(name) wants a query and a value, \(inputs.count) inputs were given")
    }
    let key = input("key", inputs, callArguments) ?? value
    for (what, shape) in [("query", query), ("value", value), ("key", key)] where shape.count < 3 {
      throw XferError.shape("\(name): the \(what) is to be [batch, steps, features], a shape of rank \(shape.count) was given")
    }
    if let given = attentionAxes {
      let axes = try Axes(numbers: given, isList: true).positions(in: query.count, name)
      guard axes.sorted() == Array(1..<query.count - 1) else {
        throw XferError.unsupported("\(name): 'attention_axes' \(given); attention over all of 1 to \(query.count - 2) is supported")
      }
    }
    attentionAxes = Array(1..<query.count - 1)
    func features(_ shape: OpenShape) throws -> Int { try shape.sizes([shape.count - 1], name)[0] }
    func add(_ layer: String, _ attribute: String, _ features: [Int], _ units: [Int]) throws {
      let projection = try Projection(layer, in: name, features, units, bias: useBias, kernelSpec, biasSpec)
      projection.trainable = trainable
      projections.append((attribute, projection))
    }
    projections = []
    let (queryFeatures, keyFeatures, valueFeatures) = (try features(query), try features(key), try features(value))
    try add("query", "query_dense", [queryFeatures], [numHeads, keyDim])
    try add("key", "key_dense", [keyFeatures], [numHeads, keyDim])
    if useGate { try add("gate", "_gate_dense", [queryFeatures], [numHeads, valueDim]) }
    try add("value", "value_dense", [valueFeatures], [numHeads, valueDim])
    try add("attention_output", "output_dense", [numHeads, valueDim], outputShape ?? [queryFeatures])
    if dropout > 0 { try super.build(inputs) }
  }

  public override func lowerAll(_ inputs: [ValueID], _ context: LoweringContext) throws -> [ValueID] {
    let (graph, arguments) = (context.graph, context.arguments)
    guard inputs.count <= Self.inputNames.count, let query = input("query", inputs, arguments),
      let value = input("value", inputs, arguments)
    else {
      throw XferError.invalid("\(name) wants query, value and perhaps key and attention_mask, \(inputs.count) inputs were given")
    }
    let key = input("key", inputs, arguments) ?? value
    let (targets, sources) = (graph.shape(query).dropFirst().dropLast(), graph.shape(value).dropFirst().dropLast())
    guard graph.shape(key).dropLast() == graph.shape(value).dropLast(), graph.shape(query)[0] == graph.shape(value)[0] else {
      throw XferError.shape(
        "\(name): key and value are to differ in their features only, query in its steps; \(graph.shape(query)), \(graph.shape(value)) and \(graph.shape(key)) were given"
      )
    }
    let (batch, t, s) = (graph.shape(query)[0], targets.reduce(1, *), sources.reduce(1, *))
    func project(_ attribute: String, _ x: ValueID) throws -> ValueID {
      guard let projection = projections.first(where: { $0.attribute == attribute })?.layer else {
        throw XferError.state("\(name) is not built yet")
      }
      return try projection.lower([x], context)
    }
    /// [B,…,heads,dim] → [B·heads, steps, dim].
    func heads(_ x: ValueID, _ steps: Int, _ dim: Int) throws -> ValueID {
      try graph.reshape(
        graph.transpose(graph.reshape(x, to: [batch, steps, numHeads, dim]), [0, 2, 1, 3]), to: [batch * numHeads, steps, dim])
    }
    let q = try graph.multiply(heads(project("query_dense", query), t, keyDim), 1 / Double(keyDim).squareRoot())
    let k = try heads(project("key_dense", key), s, keyDim)
    let v = try heads(project("value_dense", value), s, valueDim)
    var logits = try graph.reshape(graph.batchMatmul(q, k, transposeB: true), to: [batch, numHeads, t, s])
    if let mask = input("attention_mask", inputs, arguments) { logits = try masked(logits, mask, Array(targets + sources), graph) }
    if arguments["use_causal_mask"]?.boolValue == true {
      guard targets.count == 1 else { throw XferError.unsupported("\(name): 'use_causal_mask' wants a query [batch, steps, features]") }
      let below = try Tensor((0..<t).flatMap { row in (0..<s).map { Float($0 <= row ? 1 : 0) } }, shape: [1, 1, t, s])
      logits = try graph.select(graph.constant(below), logits, graph.scalar(-1e9))
    }
    let scores = try graph.softmax(logits)
    var weights = scores
    if dropout > 0, context.training { weights = try dropped(scores, rate: dropout, noise: graph.shape(scores), graph) }
    let mixed = try graph.batchMatmul(graph.reshape(weights, to: [batch * numHeads, t, s]), v)
    let back = try graph.transpose(graph.reshape(mixed, to: [batch, numHeads, t, valueDim]), [0, 2, 1, 3])
    var joined = try graph.reshape(back, to: [batch] + targets + [numHeads, valueDim])
    if useGate { joined = try graph.multiply(joined, graph.activation(project("_gate_dense", query), .of(Int(XFER_ACTIVATION_SIGMOID)))) }
    let output = try project("output_dense", joined)
    guard returnsScores(arguments) else { return [output] }
    return [output, try graph.reshape(scores, to: [batch, numHeads] + targets + sources)]
  }

  /// Logits of keys a mask shuts off become too small to weigh.
  private func masked(_ logits: ValueID, _ mask: ValueID, _ steps: [Int], _ graph: Graph) throws -> ValueID {
    let (shape, full) = (graph.shape(logits), graph.shape(mask))
    let leading = Array(full.dropLast(steps.count))
    guard full.suffix(steps.count) == steps[...], leading.count <= 2, leading.isEmpty || [1, shape[0]].contains(leading[0]),
      leading.count < 2 || [1, shape[1]].contains(leading[1])
    else {
      throw XferError.shape("\(name): an attention_mask [batch] + \(steps) or [batch, heads] + \(steps) is wanted, shape \(full) was given")
    }
    let wide = [leading.first ?? 1, leading.count == 2 ? leading[1] : 1, shape[2], shape[3]]
    return try graph.select(graph.reshape(mask, to: wide), logits, graph.scalar(-1e9))
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID { try lowerAll(inputs, context)[0] }

  public override var ownConfig: [String: JSONValue] {
    [
      "num_heads": .int(numHeads), "key_dim": .int(keyDim), "value_dim": .int(valueDim), "dropout": .double(dropout),
      "use_bias": .bool(useBias), "use_gate": .bool(useGate), "output_shape": outputShape.map { .array($0.map { .int($0) }) } ?? .null,
      "attention_axes": attentionAxes.map { .array($0.map { .int($0) }) } ?? .null, "sliding_window": nil,
      "activity_regularizer": nil, "seed": seedConfig,
    ].with(kernelSpec.config("kernel"), biasSpec.config("bias"))
  }
}

/// `x · kernel + bias` from some last dimensions to others: what Keras' attention makes of EinsumDense.
private final class Projection: Layer {
  override class var className: String { "EinsumDense" }
  private let features: [Int]
  private let units: [Int]
  private let kernel: Variable
  private let bias: Variable?

  init(
    _ name: String, in parent: String, _ features: [Int], _ units: [Int], bias: Bool, _ kernelSpec: WeightSpec, _ biasSpec: WeightSpec
  ) throws {
    (self.features, self.units) = (features, units)
    func make(_ weight: String, _ shape: [Int], _ spec: WeightSpec) throws -> Variable {
      let variable = Variable(
        name: weight, path: "\(parent)/\(name)/\(weight)", tensor: try PendingValues.initializer(spec.initializer, shape).make(shape))
      (variable.regularizer, variable.constraint) = (spec.regularizer, spec.constraint)
      return variable
    }
    kernel = try make("kernel", features + units, kernelSpec)
    self.bias = try bias ? make("bias", units, biasSpec) : nil
    super.init(name: name)
    addWeight(kernel)
    if let bias = self.bias { addWeight(bias) }
    markBuilt()
  }

  override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let shape = graph.shape(inputs[0])
    guard shape.count > features.count, shape.suffix(features.count) == features[...] else {
      throw XferError.shape("\(name) was built for features \(features), an input of shape \(shape) was given")
    }
    let rest = Array(shape.dropLast(features.count))
    let (inner, outer) = (features.reduce(1, *), units.reduce(1, *))
    let rows = try graph.reshape(inputs[0], to: [rest.reduce(1, *), inner])
    let bias = try bias.map { try graph.reshape(graph.variable($0), to: [outer]) }
    let product = try graph.matmul(rows, graph.reshape(graph.variable(kernel), to: [inner, outer]), bias: bias)
    return try graph.reshape(product, to: rest + units)
  }
}
