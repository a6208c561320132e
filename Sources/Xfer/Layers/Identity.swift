public import XferCore
public import XferGraph

/// x as it is.
public final class Identity: Layer {
  public override class var className: String { "Identity" }
  public override init(name: String? = nil) { super.init(name: name) }
  init(config: inout Configuration) throws { try super.init(reading: &config) }
  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID { inputs[0] }
}

/// x as it is, with a penalty on it in the loss: `l1·Σ|x| + l2·Σx²`, divided by the batch size.
public final class ActivityRegularization: Layer {
  public override class var className: String { "ActivityRegularization" }
  private let l1: Double
  private let l2: Double

  public init(l1: Double = 0, l2: Double = 0, name: String? = nil) {
    (self.l1, self.l2) = (l1, l2)
    super.init(name: name)
    activityRegularizer = .l1l2(l1: l1, l2: l2)
  }

  init(config: inout Configuration) throws {
    l1 = try config.double("l1", 0)
    l2 = try config.double("l2", 0)
    try super.init(reading: &config)
    activityRegularizer = .l1l2(l1: l1, l2: l2)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID { inputs[0] }
  public override var ownConfig: [String: JSONValue] { ["l1": .double(l1), "l2": .double(l2)] }
  override var activityConfig: [String: JSONValue] { [:] }
}
