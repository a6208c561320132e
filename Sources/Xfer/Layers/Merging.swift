public import XferCore
public import XferGraph

/// The sum of its inputs, which may broadcast.
public final class Add: Layer {
  public override class var className: String { "Add" }
  public override var mergesInputs: Bool { true }

  public override init(name: String? = nil) { super.init(name: name) }
  init(config: inout Configuration) throws { try super.init(reading: &config) }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard inputs.count >= 2 else { throw XferError.invalid("\(name) wants at least two inputs, \(inputs.count) was given") }
    return try inputs.dropFirst().reduce(inputs[0]) { try context.graph.binary(.add, $0, $1) }
  }
}

/// Its inputs one after another along `axis`.
public final class Concatenate: Layer {
  public override class var className: String { "Concatenate" }
  public override var mergesInputs: Bool { true }
  let axis: Int

  public init(axis: Int = -1, name: String? = nil) {
    self.axis = axis
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    axis = try config.int("axis", -1)
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard inputs.count >= 1 else { throw XferError.invalid("\(name) wants at least one input") }
    return try context.graph.concat(inputs, axis: axis)
  }

  public override var ownConfig: [String: JSONValue] { ["axis": .int(axis)] }
}
