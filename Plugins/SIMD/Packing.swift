import CXfer

/// Constant B operands in panel form. The layout key is made of what the packing reads: the matrix, whether it is
/// transposed, and the width of the panels; never the batch.

private func panels(_ desc: Desc, _ input: UInt32, _ source: Source) -> PanelSource? {
  if desc.pointee.op == Int32(XFER_OP_SEPARABLE_CONV2D) { return input == 2 ? SeparableOp(desc).map { $0.panels(source) } : nil }
  if input != 1 { return nil }
  switch Int(desc.pointee.op) {
  case XFER_OP_MATMUL:
    guard let s = MatmulShape(desc), s.packs else { return nil }
    return PanelSource(b: source, depth: s.k, columns: s.n, transposed: s.transposeB, kind: s.kind)
  case XFER_OP_CONV2D, XFER_OP_CONV2D_BACKWARD_INPUT:
    guard let op = ConvOp.mixing(desc), !op.isDepthwise else { return nil }
    return convPanels(op, backward: desc.pointee.op == Int32(XFER_OP_CONV2D_BACKWARD_INPUT), source)
  default:
    return nil
  }
}

/// Any address will do where only sizes are asked for.
private var nowhere: Source { Source(bitPattern: 64).unsafelyUnwrapped }

func packSize(_ desc: Desc?, _ input: UInt32, _ layout: UnsafeMutablePointer<UInt64>?) -> Int {
  guard let desc, let p = panels(desc, input, nowhere) else { return 0 }
  var key: UInt64 = 0xcbf2_9ce4_8422_2325
  func mix(_ part: Int) {
    key = (key ^ UInt64(bitPattern: Int64(part))) &* 0x100_0000_01b3
    key ^= key >> 29
  }
  mix(p.taps)
  mix(p.depth)
  mix(p.columns)
  mix(p.transposed ? 1 : 0)
  mix(p.kind.unit)
  mix(p.groups)
  mix(p.merged)
  mix(panelWidth)
  layout?.pointee = key
  return p.packedFloats &* 4
}

func packInput(_ desc: Desc?, _ input: UInt32, _ source: UnsafeRawPointer?, _ packed: UnsafeMutableRawPointer?) -> xfer_status {
  guard let desc, let source, let packed, let p = panels(desc, input, floats(source)) else { return XFER_E_INVALID_ARGUMENT }
  for panel in 0..<p.panels { p.packPanel(panel, to: floats(packed)) }
  return XFER_OK
}
