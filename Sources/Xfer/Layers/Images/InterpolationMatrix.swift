import Glibc
import XferCore
import XferGraph

/// How an image's rows or columns become others: one matrix [to, from] for each dimension, with TensorFlow's weights.
enum ResizeMethod: String, CaseIterable, Sendable {
  case bilinear, nearest, lanczos3, lanczos5, bicubic, area

  /// The weights row by row. With `antialias`, kernels widen as the image shrinks; nearest and area do not know it.
  func matrix(from: Int, to: Int, antialias: Bool) -> [Float] {
    switch self {
    case .nearest: fill(from, to) { i in [(Swift.min(Int((Float(i) + 0.5) * (Float(from) / Float(to))), from - 1), 1)] }
    case .area: area(from, to)
    case .bilinear: spans(from, to, radius: 1, antialias: antialias) { max(0, 1 - $0) }
    case .bicubic where !antialias: bicubic(from, to)
    case .bicubic: spans(from, to, radius: 2, antialias: true, Self.keys)
    case .lanczos3: spans(from, to, radius: 3, antialias: antialias) { Self.lanczos($0, 3) }
    case .lanczos5: spans(from, to, radius: 5, antialias: antialias) { Self.lanczos($0, 5) }
    }
  }

  private func fill(_ from: Int, _ to: Int, _ row: (Int) -> [(Int, Double)]) -> [Float] {
    var matrix = [Float](repeating: 0, count: from * to)
    for i in 0..<to { for (j, weight) in row(i) { matrix[i * from + j] += Float(weight) } }
    return matrix
  }

  /// A kernel around each sample's place, normalized over what lies within the image.
  private func spans(_ from: Int, _ to: Int, radius: Double, antialias: Bool, _ kernel: (Double) -> Double) -> [Float] {
    let step = Double(from) / Double(to)
    let scale = antialias ? max(step, 1) : 1
    return fill(from, to) { i in
      let centre = (Double(i) + 0.5) * step
      let first = max(0, Int((centre - radius * scale - 0.5).rounded(.up)))
      let last = Swift.min(from - 1, Int((centre + radius * scale - 0.5).rounded(.down)))
      guard first <= last else { return [(Swift.min(max(Int(centre), 0), from - 1), 1)] }
      let weights = (first...last).map { kernel(abs((Double($0) + 0.5 - centre) / scale)) }
      let sum = weights.reduce(0, +)
      return abs(sum) < 1e-30 ? [] : zip(first...last, weights).map { ($0, $1 / sum) }
    }
  }

  /// Keys' cubic with four neighbours; those outside the image are left out. TensorFlow reads the kernel from a table of 1024 places.
  private func bicubic(_ from: Int, _ to: Int) -> [Float] {
    fill(from, to) { i in
      let centre = (Double(i) + 0.5) * Double(from) / Double(to) - 0.5
      let low = centre.rounded(.down)
      let fraction = ((centre - low) * 1024).rounded(.toNearestOrEven) / 1024
      let weights = (-1...2).compactMap { k -> (Int, Double)? in
        let place = Int(low) + k
        return (0..<from).contains(place) ? (place, Self.keys(abs(Double(k) - fraction))) : nil
      }
      let sum = weights.reduce(0) { $0 + $1.1 }
      return weights.map { ($0.0, $0.1 / sum) }
    }
  }

  /// The mean of what a pixel of the result covers.
  private func area(_ from: Int, _ to: Int) -> [Float] {
    let step = Double(from) / Double(to)
    return fill(from, to) { i in
      let (begin, end) = (Double(i) * step, Double(i + 1) * step)
      return (Int(begin)..<Swift.min(from, Int(end.rounded(.up)))).map {
        ($0, (Swift.min(end, Double($0 + 1)) - max(begin, Double($0))) / step)
      }
    }
  }

  private static func keys(_ x: Double) -> Double {
    if x >= 2 { return 0 }
    return x >= 1 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : (1.5 * x - 2.5) * x * x + 1
  }

  private static func lanczos(_ x: Double, _ radius: Double) -> Double {
    if x > radius { return 0 }
    if x <= 1e-3 { return 1 }
    return radius * sin(.pi * x) * sin(.pi * x / radius) / (.pi * .pi * x * x)
  }
}

extension Graph {
  /// A matrix [to, from] applied along one dimension.
  func transformed(_ x: ValueID, axis: Int, by matrix: [Float]) throws -> ValueID {
    let shape = self.shape(x)
    let rest = shape.indices.filter { $0 != axis }
    let (from, to) = (shape[axis], matrix.count / max(shape[axis], 1))
    let front = try reshape(transpose(x, [axis] + rest), to: [from, rest.map { shape[$0] }.reduce(1, *)])
    let product = try matmul(constant(Tensor(matrix, shape: [to, from])), front)
    let order = shape.indices.map { $0 == axis ? 0 : $0 < axis ? $0 + 1 : $0 }
    return try transpose(reshape(product, to: [to] + rest.map { shape[$0] }), order)
  }

  /// Images [N,H,W,C] at another size.
  func resized(_ x: ValueID, height: Int, width: Int, method: ResizeMethod = .bilinear, antialias: Bool = false) throws -> ValueID {
    let shape = self.shape(x)
    if shape[1] == height, shape[2] == width { return x }
    switch method {
    case .bilinear where !antialias: return resizeBilinear(x, height: height, width: width)
    case .nearest:
      func places(_ from: Int, _ to: Int) -> [Int] { (0..<to).map { min(Int((Float($0) + 0.5) * (Float(from) / Float(to))), from - 1) } }
      return try take(take(x, axis: 1, places(shape[1], height)), axis: 2, places(shape[2], width))
    default:
      let rows = try transformed(x, axis: 1, by: method.matrix(from: shape[1], to: height, antialias: antialias))
      return try transformed(rows, axis: 2, by: method.matrix(from: shape[2], to: width, antialias: antialias))
    }
  }

  /// The part of images [N,H,W,C] that begins at (top, left).
  func cropped(_ x: ValueID, top: Int, left: Int, height: Int, width: Int) -> ValueID {
    let shape = self.shape(x)
    if shape[1] == height, shape[2] == width { return x }
    return slice(slice(x, axis: 1, from: top, count: height), axis: 2, from: left, count: width)
  }

  /// The largest window in the middle with the target's proportions, resized to it.
  func smartResized(_ x: ValueID, height: Int, width: Int, method: ResizeMethod = .bilinear, antialias: Bool = false) throws -> ValueID {
    let shape = self.shape(x)
    let rows = max(min(shape[1], Int(Float(shape[2] * height) / Float(width))), 1)
    let columns = max(min(shape[2], Int(Float(shape[1] * width) / Float(height))), 1)
    let window = cropped(x, top: (shape[1] - rows) / 2, left: (shape[2] - columns) / 2, height: rows, width: columns)
    return try resized(window, height: height, width: width, method: method, antialias: antialias)
  }
}

extension Layer {
  /// The shape of a batch of images, or an error that says what is wanted.
  func imageShape(_ x: ValueID, _ graph: Graph) throws -> [Int] {
    let shape = graph.shape(x)
    guard shape.count == 4, shape[1] > 0, shape[2] > 0 else {
      throw XferError.shape("\(name) wants images [batch, height, width, channels], shape \(shape) was given")
    }
    return shape
  }
}
