import XferCore

/// How the values of a cut lie in a store's row: one behind another, in the dtype they are kept in.
struct FeatureRows {
  let counts: [Int]
  let dtype: DType

  var bytes: Int { counts.reduce(0, +) * dtype.size }

  /// Writes row `index` of float32 tensors, one a value.
  func write(_ tensors: [Tensor], _ index: Int, to row: UnsafeMutableRawPointer) {
    var place = row
    for (tensor, count) in zip(tensors, counts) {
      let source = tensor.float32[index * count..<(index + 1) * count]
      switch dtype {
      case .bfloat16:
        let target = place.assumingMemoryBound(to: UInt16.self)
        for (offset, value) in source.enumerated() { target[offset] = value.bfloat16Bits }
      default: place.copyMemory(from: tensor.data + index * count * 4, byteCount: count * 4)
      }
      place += count * dtype.size
    }
  }

  /// Reads a row into row `index` of float32 tensors.
  func read(_ row: UnsafeRawPointer, to tensors: [Tensor], _ index: Int) {
    var place = row
    for (tensor, count) in zip(tensors, counts) {
      switch dtype {
      case .bfloat16:
        let source = place.assumingMemoryBound(to: UInt16.self)
        let target = tensor.float32
        for offset in 0..<count { target[index * count + offset] = Float(bitPattern: UInt32(source[offset]) << 16) }
      default: (tensor.data + index * count * 4).copyMemory(from: place, byteCount: count * 4)
      }
      place += count * dtype.size
    }
  }
}

extension Float {
  /// The nearest bfloat16, of two the even one.
  var bfloat16Bits: UInt16 {
    // Rounding may carry a NaN's fraction away.
    if isNaN { return 0x7FC0 }
    let bits = bitPattern
    return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
  }
}
