public import XferCore
public import XferGraph

/// A registered kernel as a layer. A model with it is saved and loaded by the kernel's name.
///
/// Config: `{"kernel": name, "attributes": {"alpha": 0.5}, "output_shape": [8]}`. `output_shape` leaves the batch dimension out; without it the
/// output has the shape of the first input. Throws ``XFER_E_NOT_FOUND`` when no kernel of this name is registered.
public final class CustomKernel: Layer {
  public override class var className: String { "CustomKernel" }
  private let kernel: RegisteredKernel
  private let attributes: [String: JSONValue]
  private let values: [String: Double]
  private let outputShape: [Int]?

  public convenience init(_ kernel: String, attributes: [String: JSONValue] = [:], outputShape: [Int]? = nil, name: String? = nil) throws {
    var json: [String: JSONValue] = ["kernel": .string(kernel), "attributes": .object(attributes)]
    if let outputShape { json["output_shape"] = .array(outputShape.map { .int($0) }) }
    if let name { json["name"] = .string(name) }
    var configuration = try Configuration(.object(json), for: Self.className)
    try self.init(config: &configuration)
  }

  init(config: inout Configuration) throws {
    guard let name = config.value("kernel") else {
      throw XferError.invalid("CustomKernel: 'kernel' is required, the name of a registered kernel")
    }
    guard let name = name.stringValue else { throw config.wrong("kernel", "a kernel's name", name) }
    kernel = try Kernel.find(name, Self.className)
    attributes = try config.attributes()
    values = try kernel.check(attributes, Self.className)
    outputShape = try config.value("output_shape").map { json in
      let shape = json.arrayValue?.compactMap(\.intValue) ?? []
      guard shape.count == json.arrayValue?.count, shape.allSatisfy({ $0 > 0 }),
        (try? Tensor.byteCount([1] + shape, .float32)).map({ $0 <= 1 << 34 }) == true
      else { throw config.wrong("output_shape", "a list of dimensions above 0 without the batch", json) }
      return shape
    }
    try super.init(reading: &config)
  }

  public override var mergesInputs: Bool { kernel.inputCount != 1 }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    if let count = kernel.inputCount, count != inputs.count {
      throw XferError.invalid("\(name): kernel '\(kernel.name)' takes \(count) inputs, \(inputs.count) were given")
    }
    let shape = context.graph.shape(inputs[0])
    let output = outputShape.map { [shape.first ?? 1] + $0 } ?? shape
    return context.graph.custom(try kernel.op(attributes: values, what: name), inputs, output: TensorDescription(output))
  }

  public override var ownConfig: [String: JSONValue] {
    [
      "kernel": .string(kernel.name), "attributes": .object(attributes),
      "output_shape": outputShape.map { .array($0.map { .int($0) }) } ?? nil,
    ]
  }
}

extension Configuration {
  /// The attributes of a kernel.
  mutating func attributes() throws -> [String: JSONValue] {
    guard let json = value("attributes") else { return [:] }
    guard let values = json.objectValue else { throw wrong("attributes", "an object of numbers", json) }
    return values
  }
}
