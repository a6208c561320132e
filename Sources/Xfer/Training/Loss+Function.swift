import CXfer
public import XferCore
public import XferGraph

/// A loss that brings targets and predictions to one rank first, as all of Keras' own do: (n,) and (n,1) align.
public class FunctionLoss: Loss {
  public final override func samples(_ truth: ValueID, _ prediction: ValueID, _ graph: Graph) throws -> ValueID {
    let (t, p) = try graph.sameRank(truth, prediction)
    guard !graph.shape(p).isEmpty else {
      throw XferError.shape("\(name): predictions with at least one dimension are wanted, a scalar was given")
    }
    return try values(t, p, graph)
  }

  func values(_ t: ValueID, _ p: ValueID, _ graph: Graph) throws -> ValueID {
    throw XferError.unsupported("\(Self.className) cannot be computed")
  }

  init(_ config: inout Configuration, name: String) throws {
    super.init(name: try config.string("name", name), reduction: try config.reduction())
  }

  override init(name: String, reduction: Reduction) { super.init(name: name, reduction: reduction) }
}

extension Configuration {
  mutating func reduction() throws -> Reduction {
    let text = try string("reduction", Reduction.sumOverBatchSize.rawValue)
    // Files of older Keras versions say "auto".
    guard let reduction = text == "auto" ? .sumOverBatchSize : Reduction(rawValue: text) else {
      throw XferError.invalid(
        "\(className): 'reduction' is to be one of \(Reduction.allCases.map(\.rawValue).joined(separator: ", ")), "
          + "'\(text)' was given\(hint(text, among: Reduction.allCases.map(\.rawValue)))")
    }
    return reduction
  }

  mutating func labelSmoothing() throws -> Double {
    let value = try double("label_smoothing", 0)
    guard (0...1).contains(value) else {
      throw XferError.invalid("\(className): 'label_smoothing' is to be from 0 to 1, \(value) was given")
    }
    return value
  }
}

/// Keras' backend.epsilon().
let kerasEpsilon = 1e-7

extension Graph {
  func meanOfLast(_ x: ValueID) throws -> ValueID { try reduce(.mean, x, axes: [-1]) }

  /// Which dimension of `x` is meant.
  func dimension(_ axis: Int, of x: ValueID) throws -> Int {
    let rank = shape(x).count
    guard (-rank..<rank).contains(axis) else { throw XferError.invalid("\(label): axis \(axis) does not exist in shape \(shape(x))") }
    return axis < 0 ? axis + rank : axis
  }

  /// The order of dimensions that puts `axis` last.
  func moved(_ x: ValueID, toEnd axis: Int) throws -> ValueID {
    let axis = try dimension(axis, of: x)
    let rank = shape(x).count
    return try transpose(x, (0..<rank).filter { $0 != axis } + [axis])
  }

  func same(_ t: ValueID, _ p: ValueID) throws {
    guard shape(t) == shape(p) else { throw XferError.shape("\(label): targets have shape \(shape(t)), predictions \(shape(p))") }
  }

  /// `y·(1 − s) + s·to`: labels moved towards one value.
  func smoothed(_ t: ValueID, _ smoothing: Double, to value: Double) throws -> ValueID {
    smoothing == 0 ? t : try add(multiply(t, 1 - smoothing), smoothing * value)
  }

  /// The logits behind predictions and true, or the predictions and what the loss says of them.
  func logits(_ p: ValueID, _ fromLogits: Bool) throws -> (values: ValueID, areLogits: Bool) {
    try logits(behind: p).map { ($0, true) } ?? (p, fromLogits)
  }

  func log(_ x: ValueID) -> ValueID { unary(.log, x) }

  func softplus(_ x: ValueID) -> ValueID { activation(x, .of(Int(XFER_ACTIVATION_SOFTPLUS))) }
  func sigmoid(_ x: ValueID) -> ValueID { activation(x, .of(Int(XFER_ACTIVATION_SIGMOID))) }
}
