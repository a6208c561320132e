import XferCore
import XferGraph

extension Model {
  /// The table Keras 3 prints: layers, output shapes, parameters, and for networks with branches what each is connected to.
  ///
  /// - Parameters:
  ///   - width: columns of the table; nil for what Keras takes on a terminal of 80 columns.
  ///   - showTrainable: adds a column with Y, N or - (no weights).
  ///   - expandNested: lists the layers of models inside below them.
  ///   - range: the numbers of the layers to list, nil for all.
  public func summary(width: Int? = nil, showTrainable: Bool = false, expandNested: Bool = false, range: Range<Int>? = nil) -> String {
    let chain = isChain
    let usual = (chain ? 88 : 108) + (showTrainable ? 12 : 0)
    var positions = chain ? [0.45, 0.80, 1.0] : [0.3, 0.56, 0.74, 1.0]
    var columns: [TextTable.Column] = [("Layer (type)", .left), ("Output Shape", .left), ("Param #", .right)]
    if !chain { columns.append(("Connected to", .left)) }
    if showTrainable {
      positions = positions.map { $0 * 0.9 } + [1]
      columns.append(("Trainable", .center))
    }
    let lineLength = width.flatMap { $0 > 0 ? $0 : nil } ?? min(usual, 80 - 4)
    var table = TextTable(columns: columns, positions: positions, lineLength: lineLength)
    func list(_ layer: Layer, of model: Model, level: Int) {
      let prefix = level == 0 ? "" : String(repeating: "   ", count: level) + "└ "
      var row = ["\(prefix)\(layer.name) (\(type(of: layer).className))", model.outputShape(of: layer), grouped(layer.countParams())]
      if !chain { row.append(level == 0 ? connections(of: layer) : "-") }
      if showTrainable { row.append(layer.weights.isEmpty ? "-" : layer.trainable ? "Y" : "N") }
      table.rows.append(row)
      guard expandNested, let inner = layer as? Model else { return }
      for layer in inner.listedLayers { list(layer, of: inner, level: level + 1) }
    }
    let listed = listedLayers
    for layer in listed[(range ?? listed.indices).clamped(to: listed.indices)] { list(layer, of: self, level: 0) }
    return "Model: \"\(name)\"\n" + table.text + totals()
  }

  /// The layers in the order tables have, without a Sequential's input.
  private var listedLayers: [Layer] { self is Sequential ? sublayers : layers }

  private func totals() -> String {
    func line(_ label: String, _ count: Int, bytes: Int) -> String { " \(label): \(grouped(count)) (\(readableSize(bytes)))\n" }
    let trainable = trainableWeights.reduce(0) { $0 + $1.count }
    let fixed = nonTrainableWeights.reduce(0) { $0 + $1.count }
    // Of a compiled model also the optimizer's variables: the slots of the weights compile() found, a 64-bit step count, the rate.
    let slots = trainer.map { trainer in trainer.optimizer.stateCount(elements: trainer.trainableWeights.reduce(0) { $0 + $1.count }) }
    let (extra, extraBytes) = slots.map { ($0, 4 * $0 + 4) } ?? (0, 0)
    var text = line("Total params", trainable + fixed + extra, bytes: 4 * (trainable + fixed) + extraBytes)
    text += line("Trainable params", trainable, bytes: 4 * trainable)
    text += line("Non-trainable params", fixed, bytes: 4 * fixed)
    if slots != nil { text += line("Optimizer params", extra, bytes: extraBytes) }
    return text
  }

  /// Whether each call feeds just the next one: then nobody asks what is connected to what.
  private var isChain: Bool {
    guard !(self is Sequential) else { return true }
    var seenLayers: Set<ObjectIdentifier> = []
    var read: Set<ObjectIdentifier> = []
    return nodes.allSatisfy { node in
      node.inputs.count <= 1 && seenLayers.insert(ObjectIdentifier(node.layer)).inserted
        && node.inputs.allSatisfy { read.insert(ObjectIdentifier($0.node)).inserted }
    }
  }

  private func outputShape(of layer: Layer) -> String {
    let shapes = (nodes.last(where: { $0.layer === layer })?.outputs ?? []).map { output in
      let parts = output.shape.map { $0.map(String.init) ?? "None" }
      return "(\(parts.joined(separator: ", "))\(parts.count == 1 ? "," : ""))"
    }
    guard let first = shapes.first else { return "?" }
    return shapes.count == 1 ? first : "[\(shapes.joined(separator: ", "))]"
  }

  /// "add[0][0], conv2d[0][0]": layer, number of its call, number of the output.
  private func connections(of layer: Layer) -> String {
    let sources = nodes.filter { $0.layer === layer }.flatMap(\.inputs).map { symbol in
      let calls = nodes.filter { $0.layer === symbol.node.layer }
      return "\(symbol.node.layer.name)[\(calls.firstIndex { $0 === symbol.node } ?? 0)][0]"
    }
    return sources.isEmpty ? "-" : sources.joined(separator: ", ")
  }
}

/// 20861480 → "20,861,480".
func grouped(_ number: Int) -> String {
  var text = ""
  for (index, digit) in String(number).reversed().enumerated() {
    if index > 0, index % 3 == 0, digit != "-" { text.append(",") }
    text.append(digit)
  }
  return String(text.reversed())
}

/// 748 → "748.00 B", 83445920 → "79.58 MB".
func readableSize(_ bytes: Int) -> String {
  var size = Double(bytes)
  for unit in ["B", "KB", "MB", "GB"] {
    if size < 1024 { return "\(hundredths(size)) \(unit)" }
    size /= 1024
  }
  return "\(hundredths(size)) TB"
}

private func hundredths(_ value: Double) -> String {
  let scaled = Int((value * 100).rounded(.toNearestOrEven))
  return "\(scaled / 100).\(scaled % 100 < 10 ? "0" : "")\(scaled % 100)"
}
