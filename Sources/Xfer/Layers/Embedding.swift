public import XferCore
public import XferGraph

/// Rows of a table by number: ids [batch, …] → [batch, …, output_dim]; `embeddings` is (input_dim, output_dim).
///
/// Ids are whole numbers from 0 to input_dim − 1. An id beyond that gives a row of NaN, and no gradient: it is seen at the first look at the loss.
public final class Embedding: Layer {
  public override class var className: String { "Embedding" }
  let inputDim: Int
  let outputDim: Int
  let embeddingsSpec: WeightSpec
  private var embeddings: Variable?

  public init(
    _ inputDim: Int, _ outputDim: Int, embeddingsInitializer: Initializer = .randomUniform(min: -0.05, max: 0.05), name: String? = nil
  ) {
    (self.inputDim, self.outputDim, embeddingsSpec) = (inputDim, outputDim, WeightSpec(embeddingsInitializer))
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    inputDim = try config.required("input_dim")
    outputDim = try config.required("output_dim")
    embeddingsSpec = try WeightSpec(&config, "embeddings", default: .randomUniform(min: -0.05, max: 0.05))
    if try config.bool("mask_zero", false) { throw XferError.unsupported("Embedding: 'mask_zero' = true is not supported") }
    try config.refuse("weights", "quantization_config")
    // Deprecated in Keras, where it does nothing.
    config.ignore("input_length")
    let lora = try LoRA(&config)
    try super.init(reading: &config)
    self.lora = lora
  }

  public override var inputDType: DType { .int32 }

  public override func build(_ inputs: [OpenShape]) throws {
    guard inputDim > 0, outputDim > 0 else {
      throw XferError.invalid("Embedding: 'input_dim' and 'output_dim' are to be above 0, \(inputDim) and \(outputDim) were given")
    }
    embeddings = try addWeight("embeddings", [inputDim, outputDim], embeddingsSpec)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard let embeddings else { throw XferError.state("\(name) has no weights yet") }
    let graph = context.graph
    let shape = graph.shape(inputs[0])
    let table = try graph.reshape(graph.adapted(embeddings), to: [1, inputDim, outputDim])
    let rows = try graph.gather(table, index: graph.reshape(inputs[0], to: [shape.reduce(1, *)]))
    return try graph.reshape(rows, to: shape + [outputDim])
  }

  override var adaptable: Variable? { embeddings }

  public override var ownConfig: [String: JSONValue] {
    [
      "input_dim": .int(inputDim), "output_dim": .int(outputDim), "activity_regularizer": nil, "mask_zero": false,
      "quantization_config": nil,
    ].with(embeddingsSpec.config("embeddings"), loraConfig)
  }
}
