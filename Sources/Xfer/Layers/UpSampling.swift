import Glibc
public import XferCore
public import XferGraph

/// Repeats or interpolates rows and columns: [N,H,W,C] → [N, H·size.0, W·size.1, C].
public final class UpSampling2D: Layer {
  public override class var className: String { "UpSampling2D" }
  let size: (Int, Int)
  let interpolation: String

  /// - Parameter interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5"; half-pixel centres, no antialiasing.
  public init(size: (Int, Int) = (2, 2), interpolation: String = "nearest", name: String? = nil) throws {
    (self.size, self.interpolation) = (size, interpolation)
    super.init(name: name)
    try Self.check(size, interpolation, Self.className)
  }

  init(config: inout Configuration) throws {
    size = try config.pair("size", (2, 2))
    interpolation = try config.string("interpolation", "nearest").lowercased()
    try config.channelsLast()
    try Self.check(size, interpolation, config.className)
    try super.init(reading: &config)
  }

  private static let names = ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]

  private static func check(_ size: (Int, Int), _ interpolation: String, _ layer: String) throws {
    guard min(size.0, size.1) > 0 else { throw XferError.invalid("\(layer): 'size' is to be above 0, \(size) was given") }
    guard names.contains(interpolation) else {
      throw XferError.invalid("\(layer): unknown interpolation '\(interpolation)'\(hint(interpolation, among: names))")
    }
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let s = try graph.imageShape(inputs[0])
    let (height, width) = (s[1] * size.0, s[2] * size.1)
    switch interpolation {
    case "nearest":
      let split = try graph.reshape(inputs[0], to: [s[0], s[1], 1, s[2], 1, s[3]])
      return try graph.reshape(graph.broadcast(split, to: [s[0], s[1], size.0, s[2], size.1, s[3]]), to: [s[0], height, width, s[3]])
    case "bilinear": return graph.resizeBilinear(inputs[0], height: height, width: width)
    default: return try graph.resample(inputs[0], height: height, width: width, InterpolationKernel(rawValue: interpolation) ?? .bicubic)
    }
  }

  public override var ownConfig: [String: JSONValue] {
    ["size": [.int(size.0), .int(size.1)], "data_format": "channels_last", "interpolation": .string(interpolation)]
  }
}

/// Weights of neighbours by their distance, for resampling.
enum InterpolationKernel: String {
  case bicubic, lanczos3, lanczos5

  var radius: Double {
    switch self {
    case .bicubic: 2
    case .lanczos3: 3
    case .lanczos5: 5
    }
  }

  func callAsFunction(_ distance: Double) -> Double {
    let x = abs(distance)
    guard x < radius else { return 0 }
    switch self {
    // Keys' cubic convolution (1981) with a = −1/2.
    case .bicubic: return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2
    // sinc(x) · sinc(x/radius).
    case .lanczos3, .lanczos5:
      guard x > 1e-5 else { return 1 }
      return radius * sin(.pi * x) * sin(.pi * x / radius) / (.pi * .pi * x * x)
    }
  }

  /// The weights [to, from] of a dimension's old places for its new ones. What lies beyond the ends does not count.
  func matrix(from: Int, to: Int) throws -> Tensor {
    var weights = [Float](repeating: 0, count: from * to)
    for i in 0..<to {
      let centre = (Double(i) + 0.5) * Double(from) / Double(to) - 0.5
      let row = (0..<from).map { self(Double($0) - centre) }
      let total = row.reduce(0, +)
      for (j, weight) in row.enumerated() where weight != 0 { weights[i * from + j] = Float(weight / total) }
    }
    return try Tensor(weights, shape: [to, from])
  }
}

extension Graph {
  /// Images [N,H,W,C] at another size: a matrix for the rows, a matrix for the columns.
  func resample(_ x: ValueID, height: Int, width: Int, _ kernel: InterpolationKernel) throws -> ValueID {
    let s = shape(x)
    var value = try reshape(transpose(x, [1, 0, 2, 3]), to: [s[1], s[0] * s[2] * s[3]])
    value = try matmul(constant(kernel.matrix(from: s[1], to: height)), value)
    value = try reshape(transpose(reshape(value, to: [height, s[0], s[2], s[3]]), [2, 1, 0, 3]), to: [s[2], s[0] * height * s[3]])
    value = try matmul(constant(kernel.matrix(from: s[2], to: width)), value)
    return try transpose(reshape(value, to: [width, s[0], height, s[3]]), [1, 2, 0, 3])
  }
}
