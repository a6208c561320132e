import CXfer

/// The ways an op can be done, which the host tries: the same sums in the same order, in other tiles and pieces. Way 0 is what the models of `divide`
/// and `chooseBlocking`, and `readsInPlace`, say.

/// Of a RowGemm: blocks of tiles for L1 in place of L2, or the reverse; and rows in twice as many pieces.
enum RowWay {
  static let count = 3
  static let otherBlocks = 1
  static let finerPieces = 2
}

/// Of a convolution that reads in place: way 1 packs.
let packedWay = 1

func variantCount(_ desc: Desc) -> UInt32 {
  switch Int(desc.pointee.op) {
  case XFER_OP_MATMUL: MatmulShape(desc).map { $0.transposeA ? 1 : UInt32(RowWay.count) } ?? 1
  case XFER_OP_CONV2D, XFER_OP_CONV2D_BACKWARD_INPUT:
    ConvOp.mixing(desc).map { op in
      if op.isDepthwise { return 1 }
      if !op.readsInPlace { return UInt32(RowWay.count) }
      return op.canPack ? UInt32(packedWay &+ 1) : 1
    } ?? 1
  case XFER_OP_SEPARABLE_CONV2D: SeparableOp(desc) != nil ? UInt32(RowWay.count) : 1
  default: 1
  }
}
