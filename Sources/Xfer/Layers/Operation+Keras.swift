public import XferCore

/// The nodes that Keras writes for functions of symbols (`x + 3`, `ops.mean(x, axis=-1)`), read as ``Operation`` and written again.
///
/// Constants stand among a node's arguments there, where an ``Operation`` has them among its operands.
extension Operation {
  private struct KerasOp {
    let className: String
    let module: String
    /// Arguments that stand in the config, under their own names.
    var arguments: [String] = []
    /// What the function here always does.
    var fixed: [String: JSONValue] = [:]
  }

  private static let kerasOps: [String: KerasOp] = {
    var all: [String: KerasOp] = [:]
    func add(_ module: String, _ names: [String], _ arguments: [String] = [], fixed: [String: JSONValue] = [:]) {
      for name in names {
        let className = name.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
        all[name] = KerasOp(className: className, module: "keras.src.ops.\(module)", arguments: arguments, fixed: fixed)
      }
    }
    add(
      "numpy",
      [
        "add", "subtract", "multiply", "maximum", "minimum", "power", "equal", "greater", "greater_equal", "less", "less_equal",
        "not_equal",
        "negative", "absolute", "sign", "square", "sqrt", "reciprocal", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "floor",
        "round",
        "matmul", "where",
      ])
    add("numpy", ["sum", "mean", "max", "min", "var", "std"], ["axis", "keepdims"])
    add("numpy", ["clip"], ["x_min", "x_max"])
    add("numpy", ["reshape"], ["newshape"])
    add("numpy", ["transpose"], ["axes"])
    add("numpy", ["expand_dims", "squeeze", "concatenate", "stack"], ["axis"])
    add("math", ["rsqrt", "erf"])
    add("math", ["logsumexp"], ["axis", "keepdims"])
    add("nn", ["relu", "relu6", "sigmoid", "softplus", "softsign", "silu", "selu", "hard_sigmoid", "hard_silu"])
    add("nn", ["elu"], fixed: ["alpha": 1])
    add("nn", ["gelu"], fixed: ["approximate": false])
    add("nn", ["softmax", "log_softmax"], ["axis"])
    all["divide"] = KerasOp(className: "TrueDivide", module: "keras.src.ops.numpy")
    return all
  }()

  private static let byClass: [String: String] = {
    var names = Dictionary(kerasOps.map { ($0.value.className, $0.key) }) { first, _ in first }
    names["Divide"] = "divide"
    return names
  }()

  /// Whether an entry of a functional model's config is a function and not a layer, which some share a name with.
  static func isKerasOp(_ entry: JSONValue) -> Bool {
    if let module = entry["module"]?.stringValue { return module.hasPrefix("keras.src.ops.") || module.hasPrefix("keras.ops") }
    // Old files name no module; every layer's config tells whether it is trained.
    return byClass[entry["class_name"]?.stringValue ?? ""] != nil && entry["config"]?["trainable"] == nil
      && entry["inbound_nodes"]?.arrayValue?.first?["args"] != nil
  }

  /// - Parameter entry: with its `inbound_nodes`, which hold the constants.
  static func fromKeras(_ entry: JSONValue) throws -> Layer {
    let className = entry["class_name"]?.stringValue ?? ""
    let config = entry["config"]?.objectValue ?? [:]
    let node = entry["inbound_nodes"]?.arrayValue?.first
    var given = node?["args"]?.arrayValue ?? []
    let named = (node?["kwargs"]?.objectValue ?? [:]).filter { !$0.value.isNull }
    guard named.isEmpty else {
      throw XferError.unsupported("the model calls Keras' function \(className) with \(named.keys.sorted().joined(separator: ", "))")
    }
    if className == "GetItem" { return try slice(config, given) }
    guard let op = byClass[className], let keras = kerasOps[op] else {
      throw XferError.unsupported("the model calls Keras' function \(className), which is not supported")
    }
    for (key, value) in config where key != "name" && !value.isNull && !keras.arguments.contains(key) {
      guard let fixed = keras.fixed[key], fixed == value || fixed.doubleValue.map({ $0 == value.doubleValue }) == true else {
        throw XferError.unsupported("the model calls Keras' function \(className) with \(key) = \(value.text()), which is not supported")
      }
    }
    // The tensors of concatenate and stack are one argument, a list.
    if operandCount[op] == 0, given.count == 1, let list = given[0].arrayValue { given = list }
    var inputs = 0
    let operands = try given.map { argument -> JSONValue in
      if argument["class_name"]?.stringValue == "__keras_tensor__" {
        inputs += 1
        return ["input": .int(inputs - 1)]
      }
      return try constant(argument, className)
    }
    let arguments = config.filter { keras.arguments.contains($0.key) && !$0.value.isNull }
    return try LayerRegistry.make(
      "Op", config: ["name": config["name"] ?? .null, "op": .string(op), "operands": .array(operands), "arguments": .object(arguments)])
  }

  private static func constant(_ json: JSONValue, _ className: String) throws -> JSONValue {
    let value = json["class_name"] == nil ? json : json["config"]?["value"] ?? .null
    var shape: [Int] = []
    var level = value
    while let list = level.arrayValue, let first = list.first {
      shape.append(list.count)
      level = first
    }
    var numbers: [JSONValue] = []
    func flatten(_ json: JSONValue) throws {
      if let list = json.arrayValue { return try list.forEach(flatten) }
      guard json.doubleValue != nil else {
        throw XferError.unsupported("the model calls Keras' function \(className) with \(json.text()), which is not supported")
      }
      numbers.append(json)
    }
    try flatten(value)
    return ["constant": .array(numbers), "shape": .array(shape.map { .int($0) })]
  }

  /// x[:, a:b]: one dimension but the batch cut down.
  private static func slice(_ config: [String: JSONValue], _ arguments: [JSONValue]) throws -> Layer {
    func refuse() -> XferError {
      XferError.unsupported(
        "the model takes \(arguments.dropFirst().first?.text() ?? "nothing") of a tensor: one slice of one dimension is supported")
    }
    guard arguments.count == 2, let shape = arguments[0]["config"]?["shape"]?.arrayValue else { throw refuse() }
    var found: (axis: Int, from: Int, count: Int)?
    for (axis, part) in (arguments[1].arrayValue ?? [arguments[1]]).enumerated() {
      guard part["class_name"]?.stringValue == "__slice__", let bounds = part["config"], bounds["step"]?.intValue ?? 1 == 1 else {
        throw refuse()
      }
      let (start, stop) = (bounds["start"]?.intValue, bounds["stop"]?.intValue)
      if start ?? 0 == 0, stop == nil { continue }
      guard found == nil, axis < shape.count, let size = shape[axis].intValue else { throw refuse() }
      func place(_ index: Int) -> Int { min(max(index < 0 ? index + size : index, 0), size) }
      let from = place(start ?? 0)
      found = (axis, from, place(stop ?? size) - from)
    }
    guard let found else { throw refuse() }
    return try LayerRegistry.make(
      "Op",
      config: [
        "name": config["name"] ?? .null, "op": "slice", "operands": [["input": 0]],
        "arguments": ["axis": .int(found.axis), "from": .int(found.from), "count": .int(found.count)],
      ])
  }

  // MARK: Writing

  /// Module, class and config as Keras has them; nil for what Keras has no single function for.
  var kerasEntry: JSONValue? {
    if op == "slice" {
      return ["module": "keras.src.ops.numpy", "class_name": "GetItem", "config": ["name": .string(name)], "registered_name": "GetItem"]
    }
    guard let keras = Self.kerasOps[op], Set(arguments.keys).isSubset(of: keras.arguments),
      !(operands ?? []).contains(where: { if case .weight = $0 { true } else { false } })
    else { return nil }
    let config = keras.fixed.merging(arguments) { $1 }.merging(["name": .string(name)]) { $1 }
    return [
      "module": .string(keras.module), "class_name": .string(keras.className), "config": .object(config),
      "registered_name": .string(keras.className),
    ]
  }

  /// A node's positional arguments as Keras has them: tensors and constants in their order.
  func kerasArguments(_ tensors: [JSONValue], rank: Int) -> [JSONValue] {
    if op == "slice" {
      let axis = arguments["axis"]?.intValue ?? -1
      let (from, count) = (arguments["from"]?.intValue ?? 0, arguments["count"]?.intValue ?? 1)
      let parts = (0...(axis < 0 ? axis + rank : axis)).map { dimension -> JSONValue in
        let cut = dimension == (axis < 0 ? axis + rank : axis)
        return [
          "class_name": "__slice__",
          "config": ["start": cut ? .int(from) : .null, "stop": cut ? .int(from + count) : .null, "step": nil],
        ]
      }
      return [tensors[0], .array(parts)]
    }
    let list = (operands ?? tensors.indices.map { .input($0) }).map { operand -> JSONValue in
      switch operand {
      case .input(let index), .weight(let index): return tensors.indices.contains(index) ? tensors[index] : .null
      case .constant(let values, let shape):
        if shape.isEmpty { return .double(Double(values[0])) }
        return ["class_name": "__numpy__", "config": ["value": Self.nested(values[...], shape[...]), "dtype": "float32"]]
      }
    }
    return Self.operandCount[op] == 0 ? [.array(list)] : list
  }

  private static func nested(_ values: ArraySlice<Float>, _ shape: ArraySlice<Int>) -> JSONValue {
    guard let size = shape.first, size > 0 else { return .double(Double(values.first ?? 0)) }
    let step = values.count / size
    return .array(
      (0..<size).map { i in
        let begin = values.startIndex + i * step
        return nested(values[begin..<begin + step], shape.dropFirst())
      })
  }
}
