import CXfer
public import XferCore
public import XferGraph

/// A loss of the program's own.
///
/// Config: `{"kernel": name, "attributes": {…}}` with a registered kernel of inputs y_true and y_pred and one loss a sample as its output y [N];
/// or `{"model": {…}}` with the config of a model of two inputs, y_true and y_pred, whose output is averaged over all but the samples.
public final class CustomLoss: Loss {
  public override class var className: String { "CustomLoss" }
  private let kernel: RegisteredKernel?
  private let attributes: [String: JSONValue]
  private let values: [String: Double]
  private let model: Model?

  public convenience init(kernel: String, attributes: [String: JSONValue] = [:], name: String? = nil) throws {
    var json: [String: JSONValue] = ["kernel": .string(kernel), "attributes": .object(attributes)]
    if let name { json["name"] = .string(name) }
    var configuration = try Configuration(.object(json), for: Self.className)
    try self.init(config: &configuration)
    try configuration.finish()
  }

  init(config: inout Configuration) throws {
    let title = try config.string("name", "custom_loss")
    let reduction = try config.string("reduction", "sum_over_batch_size")
    guard ["sum_over_batch_size", "auto"].contains(reduction) else {
      throw XferError.unsupported("CustomLoss: reduction '\(reduction)'; sum_over_batch_size is supported")
    }
    attributes = try config.attributes()
    let composed = config.value("model")
    if let json = config.value("kernel") {
      guard composed == nil else { throw XferError.invalid("CustomLoss: 'kernel' and 'model' were given, one of them is wanted") }
      guard let name = json.stringValue else { throw config.wrong("kernel", "a kernel's name", json) }
      let found = try Kernel.find(name, Self.className)
      if let count = found.inputCount, count != 2 {
        throw XferError.invalid("CustomLoss: a loss kernel has the inputs y_true and y_pred, kernel '\(name)' has \(count)")
      }
      (kernel, model) = (found, nil)
      values = try found.check(attributes, Self.className)
    } else {
      guard let composed else { throw XferError.invalid("CustomLoss: 'kernel' is required, the name of a registered kernel") }
      let made = try Deserializer().model(composed)
      guard made.inputs.count == 2, made.outputs.count == 1 else {
        throw XferError.invalid("CustomLoss: 'model' is to have the inputs y_true and y_pred and one output")
      }
      guard made.weights.isEmpty else { throw XferError.invalid("CustomLoss: 'model' has weights, a loss has none") }
      (kernel, model, values) = (nil, made, [:])
    }
    super.init(name: title, reduction: try config.reduction())
  }

  public override var targetDType: DType {
    guard let signature = kernel?.forward.function.signature else { return model?.inputs[0].dtype ?? .float32 }
    return signature.parameters.first { $0.role == .tensor(.input(0)) }?.type?.isInteger == true ? .int32 : .float32
  }

  public override func samples(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID {
    let shape = graph.shape(prediction)
    let samples = shape.first ?? 1
    guard let model else {
      guard let kernel else { throw XferError.internal("CustomLoss without a function") }
      let same = graph.shape(truth).reduce(1, *) == shape.reduce(1, *)
      let aligned = same ? try graph.reshape(truth, to: shape) : truth
      return graph.custom(try kernel.op(attributes: values, what: name), [aligned, prediction], output: TensorDescription([samples]))
    }
    let wanted = model.inputs[0].shape.dropFirst().map { $0 ?? 1 }
    let aligned = try graph.reshape(truth, to: [samples] + wanted)
    let result = try model.emit([aligned, prediction], LoweringContext(graph: graph, training: false))
    if samples > 1, graph.shape(result).allSatisfy({ $0 == 1 }) {
      // One number made of all samples is the loss of each.
      return try graph.add(graph.constant(Tensor(zeros: [samples])), graph.reshape(result, to: [1]))
    }
    let count = graph.shape(result).reduce(1, *) / max(samples, 1)
    let flat = try graph.reshape(result, to: [samples, count, 1])
    return try graph.reshape(graph.reduce(.mean, flat), to: [samples])
  }

  public override var ownConfig: [String: JSONValue] {
    if let model { return ["model": model.serialized] }
    return ["kernel": .string(kernel?.name ?? ""), "attributes": .object(attributes)]
  }
}
