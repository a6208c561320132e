public import XferCore
public import XferGraph

/// One function of tensors as a layer, class "Op": what `xfer.ops` in Python calls are made of.
///
/// Config: `{"op": "matmul", "operands": […], "arguments": {"axis": -1}}`. An operand is `{"input": 0}`, an input of the call; `{"weight": 1}`, an
/// input that is the output of a ``Parameter``; or `{"constant": [numbers], "shape": [dimensions]}`. Shapes and axes count the batch as
/// dimension 0; no function moves or splits it, and only reductions with `"whole": true` mix the samples: of everything they make one number, [1].
public final class Operation: Layer {
  public override class var className: String { "Op" }

  enum Operand {
    case input(Int), weight(Int)
    case constant([Float], shape: [Int])
  }

  let op: String
  let operands: [Operand]?
  private let operandConfig: JSONValue
  let arguments: [String: JSONValue]

  init(config: inout Configuration) throws {
    op = try config.string("op", "")
    guard Self.operandCount[op] != nil else {
      throw XferError.notFound("Op: unknown function '\(op)'\(hint(op, among: Self.operandCount.keys.sorted()))")
    }
    let list = config.value("operands")
    operandConfig = list ?? nil
    operands = try list.map { json in
      guard let items = json.arrayValue, items.count <= 64 else { throw config.wrong("operands", "a list", json) }
      return try items.map { item in
        if let index = item["input"]?.intValue, (0..<64).contains(index) { return .input(index) }
        if let index = item["weight"]?.intValue, (0..<64).contains(index) { return .weight(index) }
        let values = item["constant"]?.arrayValue?.compactMap(\.doubleValue) ?? []
        let shape = item["shape"]?.arrayValue?.compactMap(\.intValue) ?? []
        guard let given = item["constant"]?.arrayValue, given.count == values.count, shape.allSatisfy({ $0 > 0 }),
          (try? Tensor.byteCount(shape, .float32)) == values.count * 4
        else { throw config.wrong("operands", "a list of inputs, weights and constants", item) }
        return .constant(values.map { Float($0) }, shape: shape)
      }
    }
    guard let given = config.value("arguments") else {
      arguments = [:]
      try super.init(reading: &config)
      return
    }
    guard let arguments = given.objectValue else { throw config.wrong("arguments", "an object", given) }
    self.arguments = arguments
    try super.init(reading: &config)
  }

  /// Whether this gives its first operand in training and its second one otherwise; a model computes the one alone.
  var choosesByTraining: Bool { op == "in_training" }

  public override var mergesInputs: Bool { true }
  public override var serialized: JSONValue { kerasEntry ?? super.serialized }
  public override var ownConfig: [String: JSONValue] {
    ["op": .string(op), "operands": operandConfig, "arguments": .object(arguments)]
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    if choosesByTraining { return try choice(inputs, context) }
    let values = try (operands ?? inputs.indices.map { .input($0) }).map { operand -> ValueID in
      switch operand {
      case .constant(let values, let shape): return graph.constant(try Tensor(values, shape: shape))
      case .input(let index), .weight(let index):
        guard inputs.indices.contains(index) else {
          throw XferError.invalid("\(name): \(op) wants input \(index), \(inputs.count) were given")
        }
        guard case .weight = operand else { return inputs[index] }
        return try graph.reshape(inputs[index], to: Array(graph.shape(inputs[index]).dropFirst()))
      }
    }
    let wanted = Self.operandCount[op] ?? 1
    guard wanted == 0 ? !values.isEmpty : values.count == wanted else {
      throw XferError.invalid("\(name): \(op) takes \(wanted == 0 ? "at least one operand" : "\(wanted)"), \(values.count) were given")
    }
    var reader = OperationArguments(op: "\(name): \(op)", values: arguments)
    let result = try Self.emit(op, values, &reader, graph)
    try reader.finish()
    return result
  }

  /// From a model's call there is the chosen operand alone.
  private func choice(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard let first = inputs.first, let last = inputs.last, inputs.count <= 2,
      context.graph.shape(first) == context.graph.shape(last)
    else {
      throw XferError.shape("\(name): in training another shape comes out than otherwise: \(inputs.map { context.graph.shape($0) })")
    }
    return context.training ? first : last
  }

  static let unary: [String: UnaryKind] = [
    "negative": .negate, "absolute": .abs, "sign": .sign, "square": .square, "sqrt": .sqrt, "rsqrt": .rsqrt, "reciprocal": .reciprocal,
    "exp": .exp, "expm1": .expm1, "log": .log, "log1p": .log1p, "sin": .sin, "cos": .cos, "tanh": .tanh, "erf": .erf, "floor": .floor,
    "round": .round,
  ]
  static let binary: [String: BinaryKind] = [
    "add": .add, "subtract": .subtract, "multiply": .multiply, "divide": .divide, "maximum": .maximum, "minimum": .minimum, "power": .power,
    "equal": .equal, "greater": .greater, "greater_equal": .greaterEqual,
  ]
  static let activations = [
    "relu", "relu6", "sigmoid", "softplus", "softsign", "silu", "gelu", "elu", "selu", "hard_sigmoid", "hard_silu", "exponential",
  ]
  /// Functions with the number of their operands; 0 for any number from one.
  static let operandCount: [String: Int] = {
    var counts: [String: Int] = [
      "less": 2, "less_equal": 2, "not_equal": 2, "where": 3, "clip": 1, "softmax": 1, "log_softmax": 1, "sum": 1, "mean": 1, "max": 1,
      "min": 1, "var": 1, "std": 1, "logsumexp": 1, "reshape": 1, "transpose": 1, "expand_dims": 1, "squeeze": 1, "concatenate": 0,
      "stack": 0,
      "matmul": 2, "loss": 2, "slice": 1, "take": 1, "identity": 1, "in_training": 2, "add_loss": 2,
    ]
    for name in unary.keys { counts[name] = 1 }
    for name in binary.keys { counts[name] = 2 }
    for name in activations { counts[name] = 1 }
    return counts
  }()

  private static func emit(_ op: String, _ v: [ValueID], _ a: inout OperationArguments, _ graph: Graph) throws -> ValueID {
    if let kind = unary[op] { return graph.unary(kind, v[0]) }
    if let kind = binary[op] { return try graph.binary(kind, v[0], v[1]) }
    if activations.contains(op) { return try ActivationFunction(op, layer: a.op).emit(v[0], graph) }
    let shape = graph.shape(v[0])
    switch op {
    case "identity": return v[0]
    case "add_loss":
      try graph.losses.append(graph.reshape(graph.reduce(.sum, v[1], axes: Array(graph.shape(v[1]).indices), keepDims: true), to: [1]))
      return v[0]
    case "less": return try graph.binary(.greater, v[1], v[0])
    case "less_equal": return try graph.binary(.greaterEqual, v[1], v[0])
    case "not_equal": return try graph.subtract(1, minus: graph.binary(.equal, v[0], v[1]))
    case "where": return try graph.select(v[0], v[1], v[2])
    case "clip": return try graph.clip(v[0], a.number("x_min"), a.number("x_max"))
    case "softmax": return try graph.softmax(v[0], axis: a.axis(shape))
    case "log_softmax":
      let axis = try a.axis(shape)
      let shifted = try graph.subtract(v[0], graph.reduce(.max, v[0], axes: [axis], keepDims: true))
      return try graph.subtract(shifted, graph.unary(.log, graph.reduce(.sum, graph.unary(.exp, shifted), axes: [axis], keepDims: true)))
    case "sum", "mean", "max", "min", "var", "std", "logsumexp":
      let (whole, keep) = (try a.flag("whole"), try a.flag("keepdims"))
      guard whole else { return try reduce(op, v[0], a.axes(shape), keep, graph) }
      // Over the samples too: one number, which stands for all of them.
      let number = try reduce(op, v[0], Array(shape.indices), true, graph)
      return keep ? number : try graph.reshape(number, to: [1])
    case "reshape": return try graph.reshape(v[0], to: a.newShape(shape))
    case "transpose":
      let order = try a.integers("axes") ?? [0] + shape.indices.dropFirst().reversed()
      guard order.sorted() == Array(shape.indices), order.first == 0 else {
        throw XferError.invalid(
          "\(a.op): axes are to be an order of \(Array(shape.indices)) that begins with 0, the batch; \(order) was given")
      }
      return try graph.transpose(v[0], order)
    case "expand_dims":
      let axis = try a.integer("axis", -1)
      let place = axis < 0 ? axis + shape.count + 1 : axis
      guard place > 0, place <= shape.count, shape.count < 8 else {
        throw XferError.invalid("\(a.op): axis \(axis) for shape \(shape); from 1 to the rank, at most 8 dimensions, is possible")
      }
      var result = shape
      result.insert(1, at: place)
      return try graph.reshape(v[0], to: result)
    case "squeeze":
      let axes = try a.integers("axis").map { try a.checked($0, shape) } ?? shape.indices.filter { $0 > 0 && shape[$0] == 1 }
      guard axes.allSatisfy({ shape[$0] == 1 }) else {
        throw XferError.shape("\(a.op): only dimensions of 1 can go, axes \(axes) of \(shape) were given")
      }
      return try graph.reshape(v[0], to: shape.indices.filter { !axes.contains($0) }.map { shape[$0] })
    case "concatenate": return try graph.concat(v, axis: a.axis(shape))
    case "stack":
      let axis = try a.integer("axis", -1)
      let place = axis < 0 ? axis + shape.count + 1 : axis
      guard place > 0, place <= shape.count, shape.count < 8 else { throw XferError.invalid("\(a.op): axis \(axis) for shape \(shape)") }
      let wide = try v.map { value -> ValueID in
        guard graph.shape(value) == shape else { throw XferError.shape("\(a.op): shapes \(shape) and \(graph.shape(value)) differ") }
        var result = shape
        result.insert(1, at: place)
        return try graph.reshape(value, to: result)
      }
      return try graph.concat(wide, axis: place)
    case "slice":
      let axis = try a.axis(shape)
      let (from, count) = (try a.integer("from", 0), try a.integer("count", 1))
      guard from >= 0, count > 0, from <= shape[axis], count <= shape[axis] - from else {
        throw XferError.shape("\(a.op): \(count) elements from \(from) of axis \(axis), which has \(shape[axis])")
      }
      return graph.slice(v[0], axis: axis, from: from, count: count)
    case "take":
      let axis = try a.axis(shape)
      let index = try (a.integers("indices") ?? []).map { $0 < 0 ? $0 + shape[axis] : $0 }
      guard !index.isEmpty, index.allSatisfy((0..<shape[axis]).contains) else {
        throw XferError.invalid("\(a.op): indices are to be from 0 to \(shape[axis] - 1), \(index) was given")
      }
      return try graph.take(v[0], axis: axis, index)
    case "loss":
      // A loss within another: one value a sample, from targets and predictions.
      let loss = try Loss.make(a.text("class_name"), config: a.object("config"))
      return try loss.samples(graph.cast(v[0], to: loss.targetDType), v[1], graph)
    case "matmul": return try matmul(v[0], v[1], a.op, graph)
    default: throw XferError.internal("Op '\(op)' has no code")
    }
  }

  private static func reduce(_ op: String, _ x: ValueID, _ axes: [Int], _ keep: Bool, _ graph: Graph) throws -> ValueID {
    switch op {
    case "sum": return try graph.reduce(.sum, x, axes: axes, keepDims: keep)
    case "mean": return try graph.reduce(.mean, x, axes: axes, keepDims: keep)
    case "max": return try graph.reduce(.max, x, axes: axes, keepDims: keep)
    case "min": return try graph.unary(.negate, graph.reduce(.max, graph.unary(.negate, x), axes: axes, keepDims: keep))
    case "logsumexp":
      let top = try graph.reduce(.max, x, axes: axes, keepDims: true)
      let sum = try graph.reduce(.sum, graph.unary(.exp, graph.subtract(x, top)), axes: axes, keepDims: true)
      let result = try graph.add(graph.unary(.log, sum), top)
      return keep ? result : try graph.reshape(result, to: graph.shape(x).indices.filter { !axes.contains($0) }.map { graph.shape(x)[$0] })
    default:
      let centred = try graph.subtract(x, graph.reduce(.mean, x, axes: axes, keepDims: true))
      let variance = try graph.reduce(.mean, graph.unary(.square, centred), axes: axes, keepDims: keep)
      return op == "std" ? graph.unary(.sqrt, variance) : variance
    }
  }

  /// numpy's matmul: a matrix on the right serves all of the left; else the leading dimensions are equal.
  private static func matmul(_ a: ValueID, _ b: ValueID, _ what: String, _ graph: Graph) throws -> ValueID {
    let (sa, sb) = (graph.shape(a), graph.shape(b))
    guard sa.count >= 2, sb.count >= 2, let inner = sa.last, sb[sb.count - 2] == inner, let n = sb.last else {
      throw XferError.shape("\(what): shapes \(sa) and \(sb) do not fit: […, m, k] and [k, n] or […, k, n] are wanted")
    }
    let result = Array(sa.dropLast()) + [n]
    if sb.count == 2 {
      let rows = sa.dropLast().reduce(1, *)
      return try graph.reshape(graph.matmul(graph.reshape(a, to: [rows, inner]), b), to: result)
    }
    guard sa.dropLast(2) == sb.dropLast(2) else { throw XferError.shape("\(what): the leading dimensions of \(sa) and \(sb) differ") }
    let batch = sa.dropLast(2).reduce(1, *)
    let product = try graph.batchMatmul(
      graph.reshape(a, to: [batch, sa[sa.count - 2], inner]), graph.reshape(b, to: [batch, inner, n]))
    return try graph.reshape(product, to: result)
  }
}

/// The arguments of an ``Operation``; each is read, or it is a stranger.
struct OperationArguments {
  let op: String
  let values: [String: JSONValue]
  private var known: Set<String> = []

  init(op: String, values: [String: JSONValue]) { (self.op, self.values) = (op, values) }

  private mutating func value(_ key: String) -> JSONValue? {
    known.insert(key)
    return values[key].flatMap { $0.isNull ? nil : .some($0) }
  }

  private func wrong(_ key: String, _ wanted: String, _ given: JSONValue?) -> XferError {
    XferError.invalid("\(op): '\(key)' is to be \(wanted), \(given?.text() ?? "nothing") was given")
  }

  mutating func text(_ key: String) throws -> String {
    let given = value(key)
    guard let text = given?.stringValue else { throw wrong(key, "a text", given) }
    return text
  }

  mutating func object(_ key: String) throws -> JSONValue {
    let given = value(key)
    guard let given, given.objectValue != nil else { throw wrong(key, "an object", given) }
    return given
  }

  mutating func number(_ key: String) throws -> Double {
    let given = value(key)
    guard let number = given?.doubleValue else { throw wrong(key, "a number", given) }
    return number
  }

  mutating func integer(_ key: String, _ fallback: Int) throws -> Int {
    guard let given = value(key) else { return fallback }
    guard let number = given.intValue, Configuration.sane.contains(number) else { throw wrong(key, "a whole number", given) }
    return number
  }

  mutating func integers(_ key: String) throws -> [Int]? {
    guard let given = value(key) else { return nil }
    if let number = given.intValue, Configuration.sane.contains(number) { return [number] }
    guard let list = given.arrayValue?.compactMap(\.intValue), list.count == given.arrayValue?.count,
      list.allSatisfy(Configuration.sane.contains)
    else { throw wrong(key, "whole numbers", given) }
    return list
  }

  mutating func flag(_ key: String) throws -> Bool {
    guard let given = value(key) else { return false }
    guard let flag = given.boolValue else { throw wrong(key, "true or false", given) }
    return flag
  }

  /// Axes from 1 up; the batch stays as it is.
  func checked(_ axes: [Int], _ shape: [Int]) throws -> [Int] {
    try axes.map { axis in
      let place = axis < 0 ? axis + shape.count : axis
      guard shape.indices.contains(place) else { throw XferError.invalid("\(op): axis \(axis) does not exist in shape \(shape)") }
      guard place > 0 else { throw XferError.unsupported("\(op): axis 0 is the batch, of which each sample is computed alone") }
      return place
    }
  }

  mutating func axis(_ shape: [Int]) throws -> Int { try checked([integer("axis", -1)], shape)[0] }

  mutating func axes(_ shape: [Int]) throws -> [Int] {
    guard let given = try integers("axis") else {
      throw XferError.unsupported("\(op): 'axis' is wanted: without it the batch would be reduced too")
    }
    return try checked(given, shape)
  }

  mutating func newShape(_ shape: [Int]) throws -> [Int] {
    guard var list = try integers("newshape"), !list.isEmpty else { throw wrong("newshape", "a shape with the batch first", nil) }
    list[0] = shape.first ?? 1
    let count = shape.reduce(1, *)
    if let open = list.firstIndex(of: -1) {
      let rest = list.enumerated().filter { $0.offset != open }.map(\.element)
      let (product, overflow) = rest.reduce((1, false)) { total, next in
        let (value, over) = total.0.multipliedReportingOverflow(by: next)
        return (value, total.1 || over)
      }
      guard !overflow, product > 0, count % product == 0 else { throw XferError.shape("\(op): \(shape) cannot be read as \(list)") }
      list[open] = count / product
    }
    guard list.allSatisfy({ $0 > 0 }), (try? Tensor.byteCount(list, .float32)) == count * 4 else {
      throw XferError.shape("\(op): \(shape) cannot be read as \(list)")
    }
    return list
  }

  func finish() throws {
    if let stray = values.keys.filter({ !known.contains($0) }).sorted().first {
      throw XferError.invalid("\(op): unknown argument '\(stray)'\(hint(stray, among: known.sorted()))")
    }
  }
}

/// A weight as a layer: whatever it is called on, it gives the weight with a batch of 1 in front. Layers composed in Python have their weights so.
///
/// Config: `{"shape": [4, 8], "initializer": "glorot_uniform", "weight_name": "kernel"}`; `"statistic": true` keeps optimizers from it.
public final class Parameter: Layer {
  public override class var className: String { "Parameter" }
  private let shape: [Int]
  private let initializer: Initializer
  private let initializerConfig: JSONValue
  private let rules: [String: JSONValue]
  private let regularizer: Regularizer?
  private let constraint: Constraint?
  private let weightName: String
  private let statistic: Bool
  private var weight: Variable?

  init(config: inout Configuration) throws {
    guard let json = config.value("shape") else { throw XferError.invalid("Parameter: 'shape' is required") }
    shape = json.arrayValue?.compactMap(\.intValue) ?? []
    guard shape.count == json.arrayValue?.count, shape.count < 8, shape.allSatisfy({ $0 > 0 }),
      (try? Tensor.byteCount(shape, .float32)).map({ $0 <= 1 << 34 }) == true
    else { throw config.wrong("shape", "a list of at most 7 dimensions above 0", json) }
    initializerConfig = config.value("initializer") ?? "glorot_uniform"
    initializer = try Initializer(initializerConfig, default: .glorotUniform, layer: "Parameter")
    let (penalty, limit) = (config.value("regularizer"), config.value("constraint"))
    rules = [:].with(penalty.map { ["regularizer": $0] } ?? [:], limit.map { ["constraint": $0] } ?? [:])
    regularizer = try Regularizer(penalty, layer: "Parameter")
    constraint = try Constraint(limit, layer: "Parameter")
    weightName = try config.string("weight_name", "variable")
    statistic = try config.bool("statistic", false)
    try super.init(reading: &config)
  }

  public override var mergesInputs: Bool { true }
  public override func build(_ inputs: [OpenShape]) throws {
    let weight = try addWeight(weightName, shape, initializer, statistic: statistic)
    (weight.regularizer, weight.constraint) = (regularizer, constraint)
    self.weight = weight
  }
  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard let weight else { throw XferError.state("\(name) is not built") }
    return try context.graph.reshape(context.graph.variable(weight), to: [1] + shape)
  }
  public override var ownConfig: [String: JSONValue] {
    [
      "shape": .array(shape.map { .int($0) }), "initializer": initializerConfig, "weight_name": .string(weightName),
      "statistic": .bool(statistic),
    ].with(rules)
  }
}
