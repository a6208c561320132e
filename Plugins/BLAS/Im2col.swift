import CXfer

extension ConvolutionShape {
  /// The image itself is the matrix: one row a pixel.
  var isPointwise: Bool {
    kh == 1 && kw == 1 && strideH == 1 && strideW == 1 && top == 0 && bottom == 0 && left == 0 && right == 0
  }

  /// The numbers under one window, of one group.
  var patch: Int { kh * kw * groupInput }

  /// Bytes of the patches of one image.
  var patchBytes: Int { isPointwise ? 0 : oh * ow * patch * 4 }
}

/// One image's windows as rows [oh·ow, kh·kw·c] of one group; zeros for padding.
func gatherPatches(_ op: Op, _ s: ConvolutionShape, image x: UnsafePointer<Float>, group: Int, into patches: UnsafeMutablePointer<Float>) {
  let inner = s.groupInput
  op.parallel(s.oh * s.ow, grain: max(1, elementGrain / s.patch)) { range in
    for pixel in range {
      let (oy, ox) = (pixel / s.ow, pixel % s.ow)
      for ky in 0..<s.kh {
        let iy = s.inputRow(oy, ky)
        for kx in 0..<s.kw {
          let ix = s.inputColumn(ox, kx)
          let to = patches + pixel * s.patch + (ky * s.kw + kx) * inner
          if iy >= 0, iy < s.h, ix >= 0, ix < s.w {
            to.update(from: x + (iy * s.w + ix) * s.c + group * inner, count: inner)
          } else {
            to.update(repeating: 0, count: inner)
          }
        }
      }
    }
  }
}

/// The inverse for gradients: every input pixel sums its places in the patches, in the order of the kernel's taps.
func scatterPatches(_ op: Op, _ s: ConvolutionShape, _ patches: UnsafePointer<Float>, group: Int, image dx: UnsafeMutablePointer<Float>) {
  let inner = s.groupInput
  op.parallel(s.h, grain: 1) { range in
    for iy in range {
      for ix in 0..<s.w {
        let to = dx + (iy * s.w + ix) * s.c + group * inner
        to.update(repeating: 0, count: inner)
        for ky in 0..<s.kh {
          guard let oy = s.outputRow(iy, ky) else { continue }
          for kx in 0..<s.kw {
            for ox in s.outputColumns(reading: ix..<ix + 1, kx) {
              let from = patches + (oy * s.ow + ox) * s.patch + (ky * s.kw + kx) * inner
              for c in 0..<inner { to[c] += from[c] }
            }
          }
        }
      }
    }
  }
}
