public import CXfer
public import XferCore

/// Padding of a window over one image dimension, and the number of places it can stand in.
public struct WindowPadding: Equatable, Sendable {
  public var before: Int
  public var after: Int
  public var output: Int

  /// Keras' SAME: ⌈n/s⌉ outputs, the odd element of padding at the end.
  public static func same(size: Int, window: Int, stride: Int, dilation: Int = 1) -> WindowPadding {
    let effective = (window - 1) * dilation + 1
    let output = (size + stride - 1) / stride
    let total = max(0, (output - 1) * stride + effective - size)
    return WindowPadding(before: total / 2, after: total - total / 2, output: output)
  }

  /// No padding. The output is below 1 where the window does not fit.
  public static func valid(size: Int, window: Int, stride: Int, dilation: Int = 1) -> WindowPadding {
    let effective = (window - 1) * dilation + 1
    return WindowPadding(before: 0, after: 0, output: size < effective ? 0 : (size - effective) / stride + 1)
  }
}

public enum Padding: String, Sendable { case valid, same }

extension Graph {
  /// `a` [M,K] · `b` [K,N] (+ `bias` [N]) → [M,N].
  public func matmul(_ a: ValueID, _ b: ValueID, bias: ValueID? = nil, transposeA: Bool = false, transposeB: Bool = false) throws -> ValueID
  {
    let (sa, sb) = (shape(a), shape(b))
    guard sa.count == 2, sb.count == 2 else { throw XferError.shape("\(label): matrices are wanted, shapes \(sa) and \(sb) were given") }
    let (m, k) = transposeA ? (sa[1], sa[0]) : (sa[0], sa[1])
    let (k2, n) = transposeB ? (sb[1], sb[0]) : (sb[0], sb[1])
    guard k == k2 else { throw XferError.shape("\(label): inner sizes differ, \(k) and \(k2), for shapes \(sa) and \(sb)") }
    let attributes = xfer_matmul_attributes(
      struct_size: sized(xfer_matmul_attributes.self), transpose_a: transposeA ? 1 : 0, transpose_b: transposeB ? 1 : 0,
      has_bias: bias == nil ? 0 : 1, has_residual: 0, activation: .linear)
    return add(.matmul, .matmul(attributes), [a, b] + (bias.map { [$0] } ?? []), [m, n])
  }

  /// `x` [N,H,W,C] with `kernel` [kh,kw,C/groups,O] (or, depthwise, [kh,kw,C,mult]) → [N,OH,OW,O].
  public func conv2D(
    _ x: ValueID, _ kernel: ValueID, bias: ValueID? = nil, depthwise: Bool = false, strides: (Int, Int) = (1, 1),
    dilation: (Int, Int) = (1, 1),
    padding: Padding = .valid, groups: Int = 1
  ) throws -> ValueID {
    let (sx, sk) = (shape(x), shape(kernel))
    guard sx.count == 4, sk.count == 4 else {
      throw XferError.shape("\(label): an input [N,H,W,C] and a kernel of rank 4 are wanted, shapes \(sx) and \(sk) were given")
    }
    guard sx[3] == (depthwise ? sk[2] : sk[2] * groups) else {
      throw XferError.shape(
        "\(label): the kernel \(sk) is for \(depthwise ? sk[2] : sk[2] * groups) channels, the input \(sx) has \(sx[3])")
    }
    let window = padding == .same ? WindowPadding.same : WindowPadding.valid
    let h = window(sx[1], sk[0], strides.0, dilation.0)
    let w = window(sx[2], sk[1], strides.1, dilation.1)
    guard h.output > 0, w.output > 0 else {
      throw XferError.shape("\(label): an image of \(sx[1])×\(sx[2]) is smaller than the window \(sk[0])×\(sk[1])")
    }
    let bare = withoutZeros(x, height: h, width: w, window: ((sk[0] - 1) * dilation.0 + 1, (sk[1] - 1) * dilation.1 + 1))
    let attributes = xfer_conv_attributes(
      struct_size: sized(xfer_conv_attributes.self), stride_h: Int32(strides.0), stride_w: Int32(strides.1),
      dilation_h: Int32(dilation.0), dilation_w: Int32(dilation.1),
      pad_top: Int32(bare.height.before), pad_bottom: Int32(bare.height.after), pad_left: Int32(bare.width.before),
      pad_right: Int32(bare.width.after), groups: Int32(groups), has_bias: bias == nil ? 0 : 1, has_residual: 0, activation: .linear)
    let channels = depthwise ? sk[2] * sk[3] : sk[3]
    let result = add(
      depthwise ? .depthwiseConv2D : .conv2D, .conv(attributes), [bare.image, kernel] + (bias.map { [$0] } ?? []),
      [sx[0], h.output, w.output, channels])
    nodes[nodes.count - 1].fusedFrom = bare.labels
    return result
  }

  /// What a convolution may read in place of an image that zeros were put around, ZeroPadding2D's for one, with these in its own padding, and the
  /// layer that put them. Padding as wide as the window is left to be done, since backends need not expect it.
  private func withoutZeros(
    _ x: ValueID, height: WindowPadding, width: WindowPadding, window: (Int, Int)
  ) -> (image: ValueID, height: WindowPadding, width: WindowPadding, labels: [String]) {
    guard let node = nodes.last(where: { $0.outputs.contains(x) }), node.kind == .pad, case .box(let box) = node.attributes, box.value == 0
    else { return (x, height, width, []) }
    let (image, before) = (node.inputs[0], [box.begin.0, box.begin.1, box.begin.2, box.begin.3].map(Int.init))
    let after = zip(zip(shape(x), shape(image)), before).map { $0.0 - $0.1 - $1 }
    var (h, w) = (height, width)
    h.before += before[1]
    h.after += after[1]
    w.before += before[2]
    w.after += after[2]
    guard before[0] == 0, after[0] == 0, before[3] == 0, after[3] == 0, max(h.before, h.after) < window.0, max(w.before, w.after) < window.1
    else { return (x, height, width, []) }
    return (image, h, w, [node.label])
  }

  /// `x` [N,H,W,C] → [N,OH,OW,C], `average` or maximum over windows.
  public func pool2D(_ x: ValueID, average: Bool, window: (Int, Int), strides: (Int, Int), padding: Padding) throws -> ValueID {
    let sx = shape(x)
    guard sx.count == 4 else { throw XferError.shape("\(label): an input [N,H,W,C] is wanted, shape \(sx) was given") }
    let place = padding == .same ? WindowPadding.same : WindowPadding.valid
    let h = place(sx[1], window.0, strides.0, 1)
    let w = place(sx[2], window.1, strides.1, 1)
    guard h.output > 0, w.output > 0 else {
      throw XferError.shape("\(label): an image of \(sx[1])×\(sx[2]) is smaller than the window \(window.0)×\(window.1)")
    }
    let attributes = xfer_pool_attributes(
      struct_size: sized(xfer_pool_attributes.self), kind: Int32(average ? XFER_POOL_AVERAGE : XFER_POOL_MAX),
      window_h: Int32(window.0), window_w: Int32(window.1), stride_h: Int32(strides.0), stride_w: Int32(strides.1),
      pad_top: Int32(h.before), pad_bottom: Int32(h.after), pad_left: Int32(w.before), pad_right: Int32(w.after))
    return add(.pool2D, .pool(attributes), [x], [sx[0], h.output, w.output, sx[3]])
  }
}
