import Glibc
public import XferCore

/// A function of a weight, written into a graph: a penalty or a projection.
public protocol WeightRule: Sendable {
  func emit(_ weight: ValueID, _ graph: Graph) throws -> ValueID
}

/// A weight: float32 numbers with a name, a `trainable` flag and a version.
///
/// Plans bind a weight's memory and pack constants made of it; the version tells them when to do so again.
public final class Variable {
  /// "kernel", "gamma", …
  public let name: String
  /// "block1_conv1/kernel": the layer's path and the name. Set when the layer is built or nested.
  public var path: String
  public let shape: [Int]
  public var trainable: Bool
  /// The version at which the values came from a file; nil when they never did.
  private var loadedVersion: UInt64?
  /// A penalty on the values, [1], that counts towards the loss while the weight is trained.
  public var regularizer: (any WeightRule)?
  /// What the values are projected to after each update.
  public var constraint: (any WeightRule)?
  /// A product that is added to the values wherever they are used. See ``adapt(_:)``.
  public internal(set) var lowRank: LowRankUpdate?
  /// Whether it is a factor of such a product. Files hold the sum instead.
  public internal(set) var isFactor = false
  /// The current memory. May be a private file mapping until it is first written.
  public private(set) var tensor: Tensor
  /// A number no other weight of this process has or had.
  public let identity = uniqueIdentity()
  /// Grows with every change of the values.
  public private(set) var version: UInt64 = 0
  /// The digest of the values as they were in a version.
  private var digested: (version: UInt64, digest: Digest)?

  public init(name: String, path: String, tensor: Tensor, trainable: Bool = true) {
    self.name = name
    self.path = path
    self.tensor = tensor
    self.trainable = trainable
    shape = tensor.shape
  }

  public var count: Int { tensor.count }
  public var values: [Float] { tensor.floats }

  /// A fingerprint of the values, computed once a version.
  public var digest: Digest {
    if let digested, digested.version == version { return digested.digest }
    let digest = freshDigest
    digested = (version, digest)
    return digest
  }

  /// The same read from memory now: what an audit wants to know is whether the values changed, not whether somebody said so.
  public var freshDigest: Digest {
    var digest = Digest()
    digest.combine(UnsafeRawBufferPointer(start: tensor.data, count: tensor.byteCount))
    return digest
  }

  /// Copies values in. The shape must be the weight's own.
  public func assign(_ value: Tensor) throws {
    try checkShape(value.shape)
    let value = try value.converted(to: .float32)
    tensor.data.copyMemory(from: value.data, byteCount: tensor.byteCount)
    version += 1
  }

  /// Takes a float32 tensor as the weight's memory, without copying.
  public func adopt(_ value: Tensor) throws {
    try checkShape(value.shape)
    guard value.dtype == .float32 else { throw XferError.dtype("weight '\(path)' is float32, \(value.dtype.name) was given") }
    tensor = value
    version += 1
  }

  /// Copies values in, as ``assign(_:)`` does, unless they are there already: then the version stays.
  public func restore(_ value: Tensor) throws {
    try checkShape(value.shape)
    let value = try value.converted(to: .float32)
    if memcmp(tensor.data, value.data, tensor.byteCount) != 0 { try assign(value) }
  }

  /// Says that the values of this moment came from a file: those of a pretrained network.
  public func markLoaded() { loadedVersion = version }
  /// Whether the values came from a file, be they trained since.
  public var isLoaded: Bool { loadedVersion != nil }
  /// Whether they are still as they came.
  public var isAsLoaded: Bool { loadedVersion == version }

  /// Says that the memory was written from outside, by an optimizer step for example.
  public func touch() { version += 1 }

  private func checkShape(_ given: [Int]) throws {
    guard given == shape else { throw XferError.shape("weight '\(path)' has shape \(shape), a value of shape \(given) was given") }
  }
}
