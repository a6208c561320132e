import XferCore

/// `tf.image.resize(image, size)`: bilinear, half-pixel centres, clamped edges, no antialiasing, with its arithmetic.
enum BilinearResize {
  /// Where an output coordinate lies between two input coordinates.
  private struct Place {
    let lower: Int
    let upper: Int
    let share: Float
  }

  private static func places(_ input: Int, _ output: Int) -> [Place] {
    let scale = Float(input) / Float(output)
    return (0..<output).map { index in
      let position = (Float(index) + 0.5) * scale - 0.5
      let floor = position.rounded(.down)
      return Place(lower: max(0, Int(floor)), upper: min(Int(position.rounded(.up)), input - 1), share: position - floor)
    }
  }

  /// Resizes a uint8 image (h, w, c) into height*width*c floats.
  static func run(_ image: Tensor, into out: UnsafeMutableBufferPointer<Float>, height: Int, width: Int) throws {
    let (inputHeight, inputWidth, channels) = (image.shape[0], image.shape[1], image.shape[2])
    guard height > 0, width > 0 else { throw XferError.invalid("an image size is to be above 0, \(height) x \(width) was given") }
    guard image.dtype == .uint8, out.count >= height * width * channels, let target = out.baseAddress else {
      throw XferError.internal("a uint8 image and room for \(height) x \(width) x \(channels) floats are wanted")
    }
    let source = image.data.assumingMemoryBound(to: UInt8.self)
    if height == inputHeight, width == inputWidth {
      for i in 0..<height * width * channels { target[i] = Float(source[i]) }
      return
    }
    let columns = places(inputWidth, width)
    let rowLength = inputWidth * channels
    for (y, row) in places(inputHeight, height).enumerated() {
      let top = source + row.lower * rowLength
      let bottom = source + row.upper * rowLength
      var place = target + y * width * channels
      for column in columns {
        let (left, right) = (column.lower * channels, column.upper * channels)
        for channel in 0..<channels {
          let topLeft = Float(top[left + channel])
          let bottomLeft = Float(bottom[left + channel])
          let above = topLeft + (Float(top[right + channel]) - topLeft) * column.share
          let below = bottomLeft + (Float(bottom[right + channel]) - bottomLeft) * column.share
          place[channel] = above + (below - above) * row.share
        }
        place += channels
      }
    }
  }
}
