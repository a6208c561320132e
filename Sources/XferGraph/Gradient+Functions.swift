import CXfer
import XferCore

extension Differentiate {
  func unary(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    guard case .unary(let attributes) = node.attributes, let kind = UnaryKind(rawValue: attributes.kind) else { return [] }
    let (x, y) = (node.inputs[0], node.outputs[0])
    func times(_ slope: ValueID) throws -> ValueID { try graph.multiply(dy, slope) }
    let gradient: ValueID? =
      switch kind {
      case .identity: dy
      case .negate: graph.unary(.negate, dy)
      case .abs: try times(graph.unary(.sign, x))
      case .square: try times(graph.multiply(x, 2))
      case .sqrt: try graph.divide(graph.multiply(dy, 0.5), y)
      case .rsqrt: try times(graph.multiply(graph.multiply(graph.unary(.square, y), y), -0.5))
      case .reciprocal: try times(graph.unary(.negate, graph.unary(.square, y)))
      case .exp: try times(y)
      case .expm1: try times(graph.add(y, 1))
      case .log: try graph.divide(dy, x)
      case .log1p: try graph.divide(dy, graph.add(x, 1))
      case .sin: try times(graph.unary(.cos, x))
      case .cos: try times(graph.unary(.negate, graph.unary(.sin, x)))
      case .tanh: try times(graph.subtract(1, minus: graph.unary(.square, y)))
      case .erf: try times(graph.multiply(graph.unary(.exp, graph.unary(.negate, graph.unary(.square, x))), 2 / Double.pi.squareRoot()))
      // Constant almost everywhere.
      case .sign, .floor, .round: nil
      }
    return gradient.map { [(x, $0)] } ?? []
  }

  /// x^b: b·x^(b−1) and x^b·log x, the latter 0 where x ≤ 0, as in TensorFlow.
  func power(_ node: Node, _ dy: ValueID) throws -> (a: () throws -> ValueID, b: () throws -> ValueID) {
    let (a, b) = (node.inputs[0], node.inputs[1])
    return (
      { try graph.multiply(dy, graph.multiply(b, graph.binary(.power, a, graph.add(b, -1)))) },
      {
        let positive = try graph.binary(.greater, a, graph.scalar(0))
        let safe = try graph.select(positive, a, graph.scalar(1))
        return try graph.multiply(dy, graph.multiply(node.outputs[0], graph.unary(.log, safe)))
      }
    )
  }

  /// The larger takes the gradient; of equal ones the first for both kinds, as in TensorFlow.
  func extreme(_ node: Node, _ dy: ValueID, maximum: Bool) throws -> (a: ValueID, b: ValueID) {
    let (a, b) = (node.inputs[0], node.inputs[1])
    let first = try maximum ? graph.binary(.greaterEqual, a, b) : graph.binary(.greaterEqual, b, a)
    return (try graph.multiply(dy, first), try graph.multiply(dy, graph.subtract(1, minus: first)))
  }

  func transpose(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    guard case .transpose(let attributes) = node.attributes else { return [] }
    let rank = graph.shape(dy).count
    let order = withUnsafeBytes(of: attributes.order) { raw in (0..<rank).map { Int(raw.load(fromByteOffset: $0 * 4, as: Int32.self)) } }
    var inverse = order
    for (to, from) in order.enumerated() { inverse[from] = to }
    return [(node.inputs[0], try graph.transpose(dy, inverse))]
  }

  func gather(_ node: Node, _ dy: ValueID) -> [(ValueID, ValueID)] {
    [(node.inputs[0], graph.add(.gatherBackward, .none, [dy, node.inputs[1]], graph.shape(node.inputs[0])))]
  }

  func slice(_ node: Node, _ dy: ValueID) -> [(ValueID, ValueID)] {
    guard case .box(var attributes) = node.attributes else { return [] }
    attributes.value = 0
    return [(node.inputs[0], graph.add(.pad, .box(attributes), [dy], graph.shape(node.inputs[0])))]
  }

  func select(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    let zero = try graph.broadcast(graph.scalar(0), to: graph.shape(dy))
    var result: [(ValueID, ValueID)] = []
    if wants(node.inputs[1]) { result.append((node.inputs[1], try graph.select(node.inputs[0], dy, zero))) }
    if wants(node.inputs[2]) { result.append((node.inputs[2], try graph.select(node.inputs[0], zero, dy))) }
    return result
  }

  /// [outer,inner] stretched to [outer,n,inner]: the sum over n.
  func broadcast(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    guard case .broadcast(let attributes) = node.attributes else { return [] }
    return [(node.inputs[0], try graph.multiply(graph.reduce(.sum, dy), Double(attributes.scale)))]
  }

  /// The maximum's gradient is shared equally among equal elements, as in TensorFlow.
  func largest(_ node: Node, _ dy: ValueID) throws -> ValueID {
    let (x, y) = (node.inputs[0], node.outputs[0])
    let s = graph.shape(x)
    let wide = [s[0], 1, s[2]]
    let chosen = try graph.binary(.equal, x, graph.reshape(y, to: wide))
    let count = try graph.reduce(.sum, chosen)
    return try graph.multiply(chosen, graph.reshape(graph.divide(dy, count), to: wide))
  }

  /// The transposed convolution is linear in both: its gradients are a convolution and a kernel gradient with the roles of x and dy exchanged.
  func convolutionTranspose(_ node: Node, _ dy: ValueID) -> [(ValueID, ValueID)] {
    guard case .conv(let attributes) = node.attributes else { return [] }
    let (y, kernel) = (node.inputs[0], node.inputs[1])
    var result: [(ValueID, ValueID)] = []
    if wants(y) { result.append((y, graph.add(.conv2D, .conv(attributes), [dy, kernel], graph.shape(y)))) }
    if wants(kernel) { result.append((kernel, graph.add(.conv2DBackwardKernel, .conv(attributes), [dy, y], graph.shape(kernel)))) }
    return result
  }

  /// Bilinear resizing is a matrix on each side; its gradient is the transposed ones.
  func resizeBilinear(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    let (s, t) = (graph.shape(node.inputs[0]), graph.shape(dy))
    func matrix(_ from: Int, _ to: Int) throws -> ValueID {
      var weights = [Float](repeating: 0, count: to * from)
      for i in 0..<to {
        let centre = (Double(i) + 0.5) * Double(from) / Double(to) - 0.5
        let low = centre.rounded(.down)
        let fraction = Float(centre - low)
        weights[i * from + min(max(Int(low), 0), from - 1)] += 1 - fraction
        weights[i * from + min(max(Int(low) + 1, 0), from - 1)] += fraction
      }
      return graph.constant(try Tensor(weights, shape: [to, from]))
    }
    // [N,OH,OW,C] → [OH, N·OW·C] → [H, N·OW·C] → [W, …].
    var value = try graph.reshape(graph.transpose(dy, [1, 0, 2, 3]), to: [t[1], t[0] * t[2] * t[3]])
    value = try graph.matmul(matrix(s[1], t[1]), value, transposeA: true)
    value = try graph.reshape(
      graph.transpose(graph.reshape(value, to: [s[1], t[0], t[2], t[3]]), [2, 1, 0, 3]), to: [t[2], t[0] * s[1] * t[3]])
    value = try graph.matmul(matrix(s[2], t[2]), value, transposeA: true)
    return [(node.inputs[0], try graph.transpose(graph.reshape(value, to: [s[2], t[0], s[1], t[3]]), [1, 2, 0, 3]))]
  }
}
