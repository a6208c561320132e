import CXfer
import XferCore

extension Graph {
  /// depthwise convolution → 1×1 convolution, with a rectifier before it: one op, where a backend prefers that and nothing else reads what
  /// lies between. Chen et al. 2017 and every network of separable convolutions since; the tensor between is as large as the input.
  func fuseSeparable(plastic: Set<ObjectIdentifier>, keeping kept: Set<ValueID>, backends: [Backend], measures: Bool) throws {
    let constant = constantValues(plastic: plastic)
    /// Whether the op would go to the backend that would run the 1×1 convolution too, prefers it and, if that is measured, is faster than the `parts`.
    func isPreferred(_ merged: Node, _ parts: [Node]) throws -> Bool {
      let (whole, halves) = (specification(merged, constant: constant), parts.map { specification($0, constant: constant) })
      guard let backend = try halves.last?.choose(among: backends), whole.isPreferred(by: backend) else { return false }
      return try !measures || Tuner.shared.merges(whole, halves, among: backends)
    }
    let consumers = consumers()
    let producers = producers()
    var place = nodes.indices.map { Optional(nodes[$0]) }
    /// The node that makes a node's input, when that is all it does.
    func source(_ node: Node, _ input: Int) -> (index: Int, node: Node)? {
      let value = root(node.inputs[input])
      guard let index = producers[value], let made = place[index], made.phase == .forward, consumers[value]?.count == 1,
        !kept.contains(value), !constant.contains(value), made.outputs[0] == value, shape(value) == shape(node.inputs[input])
      else { return nil }
      return (index, made)
    }
    for (index, node) in nodes.enumerated() where node.kind == .conv2D && node.phase == .forward {
      guard case .conv(let p) = node.attributes, isPointwise(p, shape(node.inputs[1])), let (halfIndex, half) = source(node, 0),
        half.kind == .depthwiseConv2D, case .conv(let d) = half.attributes, d.has_residual == 0, shape(half.inputs[1])[3] == 1,
        d.activation.isLinear || d.activation.isRectifier
      else { continue }
      var attributes = xfer_separable_conv_attributes(
        struct_size: sized(xfer_separable_conv_attributes.self), stride_h: d.stride_h, stride_w: d.stride_w, dilation_h: d.dilation_h,
        dilation_w: d.dilation_w, pad_top: d.pad_top, pad_bottom: d.pad_bottom, pad_left: d.pad_left, pad_right: d.pad_right,
        has_depthwise_bias: d.has_bias, has_bias: p.has_bias, has_residual: p.has_residual, input_activation: .linear,
        depthwise_activation: d.activation, activation: p.activation)
      var image = half.inputs[0]
      var rectifier: Int?
      if let (at, made) = source(half, 0), made.kind == .activation, case .activation(let a) = made.attributes, a.activation.isRectifier,
        a.activation.max_value == .infinity
      {
        (attributes.input_activation, image, rectifier) = (a.activation, made.inputs[0], at)
      }
      var merged = node
      merged.kind = .separableConv2D
      merged.attributes = .separable(attributes)
      merged.inputs = [image, half.inputs[1], node.inputs[1]] + half.inputs.dropFirst(2) + node.inputs.dropFirst(2)
      merged.fusedFrom = (rectifier.flatMap { place[$0].map { [$0.label] } } ?? []) + half.fusedFrom + [half.label] + node.fusedFrom
      guard try isPreferred(merged, [rectifier.flatMap { place[$0] }, half, node].compactMap { $0 }) else { continue }
      if let rectifier { place[rectifier] = nil }
      place[halfIndex] = nil
      place[index] = merged
    }
    nodes = place.compactMap { $0 }
  }

  private func isPointwise(_ a: xfer_conv_attributes, _ kernel: [Int]) -> Bool {
    kernel[0] == 1 && kernel[1] == 1 && a.groups == 1 && a.stride_h == 1 && a.stride_w == 1
      && a.pad_top == 0 && a.pad_bottom == 0 && a.pad_left == 0 && a.pad_right == 0
  }
}

extension xfer_activation {
  /// max(x, 0), with or without an upper bound.
  var isRectifier: Bool { kind == Int32(XFER_ACTIVATION_RELU) && alpha == 0 && threshold == 0 }
}
