import Glibc
import Synchronization
public import CXfer

/// A dense row-major block of memory with a shape. Images are NHWC.
///
/// A tensor owns its memory or borrows it from a caller, who then promises that it stays in place until
/// the tensor is gone. Tensors are shared by reference; whoever writes one while another thread reads it is at
/// fault, as with any C buffer.
public final class Tensor: @unchecked Sendable {
  public let dtype: DType
  public let shape: [Int]
  public let data: UnsafeMutableRawPointer
  /// A number no other tensor of this process has or had.
  public let identity = uniqueIdentity()
  private let dispose: (() -> Void)?

  /// New memory, aligned to 64 bytes and zeroed.
  public init(zeros shape: [Int], dtype: DType = .float32) throws {
    let bytes = try Tensor.byteCount(shape, dtype)
    self.dtype = dtype
    self.shape = shape
    // Pages of their own go back to the system: weights of all sizes that come and go would leave holes in the heap as large as themselves.
    if bytes >= pagedBytes {
      let memory = try pages(bytes)
      data = memory
      dispose = { munmap(memory, bytes) }
    } else {
      let memory = try alignedMemory(bytes)
      memset(memory, 0, bytes)
      data = memory
      dispose = { free(memory) }
    }
  }

  /// A caller's memory, not copied. `dispose` runs when the tensor goes.
  public init(borrowing data: UnsafeMutableRawPointer, shape: [Int], dtype: DType, dispose: (() -> Void)? = nil) {
    self.dtype = dtype
    self.shape = shape
    self.data = data
    self.dispose = dispose
  }

  public convenience init(_ values: [Float], shape: [Int]? = nil) throws {
    let shape = shape ?? [values.count]
    guard shape.reduce(1, *) == values.count else {
      throw XferError.shape("\(values.count) values do not fill a tensor of shape \(shape)")
    }
    try self.init(zeros: shape)
    values.withUnsafeBytes { if let base = $0.baseAddress { data.copyMemory(from: base, byteCount: $0.count) } }
  }

  public convenience init(labels: [Int32], shape: [Int]? = nil) throws {
    try self.init(zeros: shape ?? [labels.count], dtype: .int32)
    labels.withUnsafeBytes { if let base = $0.baseAddress { data.copyMemory(from: base, byteCount: min($0.count, byteCount)) } }
  }

  deinit { dispose?() }

  public var count: Int { shape.reduce(1, *) }
  public var byteCount: Int { count * dtype.size }
  public var description: TensorDescription { TensorDescription(shape, dtype) }

  /// The elements as floats, whatever the dtype of the tensor (float32, float64, uint8, int32, int64, bool).
  public var floats: [Float] {
    switch dtype {
    case .float32: Array(UnsafeBufferPointer(start: data.assumingMemoryBound(to: Float.self), count: count))
    case .float64: UnsafeBufferPointer(start: data.assumingMemoryBound(to: Double.self), count: count).map { Float($0) }
    case .uint8, .bool: UnsafeBufferPointer(start: data.assumingMemoryBound(to: UInt8.self), count: count).map { Float($0) }
    case .int32: UnsafeBufferPointer(start: data.assumingMemoryBound(to: Int32.self), count: count).map { Float($0) }
    case .int64: UnsafeBufferPointer(start: data.assumingMemoryBound(to: Int64.self), count: count).map { Float($0) }
    case .float16: UnsafeBufferPointer(start: data.assumingMemoryBound(to: Float16.self), count: count).map { Float($0) }
    case .bfloat16:
      UnsafeBufferPointer(start: data.assumingMemoryBound(to: UInt16.self), count: count).map { Float(bitPattern: UInt32($0) << 16) }
    }
  }

  /// Float32 elements in place. The tensor must be float32.
  public var float32: UnsafeMutableBufferPointer<Float> {
    precondition(dtype == .float32)
    return UnsafeMutableBufferPointer(start: data.assumingMemoryBound(to: Float.self), count: count)
  }

  /// A copy in memory of its own.
  public func copy() throws -> Tensor {
    let other = try Tensor(zeros: shape, dtype: dtype)
    other.data.copyMemory(from: data, byteCount: byteCount)
    return other
  }

  /// The same elements under another shape; shares memory.
  public func reshaped(_ shape: [Int]) throws -> Tensor {
    guard shape.reduce(1, *) == count else { throw XferError.shape("shape \(self.shape) cannot be read as \(shape)") }
    return Tensor(borrowing: data, shape: shape, dtype: dtype, dispose: { [self] in _ = self })
  }

  /// Rows `range` of the first dimension; shares memory.
  public func rows(_ range: Range<Int>) -> Tensor {
    let row = shape.dropFirst().reduce(1, *) * dtype.size
    return Tensor(
      borrowing: data + range.lowerBound * row, shape: [range.count] + shape.dropFirst(), dtype: dtype, dispose: { [self] in _ = self })
  }

  /// Converted to `dtype` element by element; itself when nothing is to be done.
  public func converted(to target: DType) throws -> Tensor {
    if dtype == target { return self }
    switch target {
    case .float32: return try Tensor(floats, shape: shape)
    case .int32:
      let result = try Tensor(zeros: shape, dtype: .int32)
      let out = result.data.assumingMemoryBound(to: Int32.self)
      if dtype == .int64 {
        let source = data.assumingMemoryBound(to: Int64.self)
        for i in 0..<count { out[i] = Int32(clamping: source[i]) }
      } else {
        for (i, value) in floats.enumerated() { out[i] = value.isNaN ? .min : Int32(max(-2.14e9, min(2.14e9, value))) }
      }
      return result
    default: throw XferError.dtype("no conversion from \(dtype.name) to \(target.name)")
    }
  }

  /// Bytes of a tensor, refusing negative dimensions and sizes beyond the address space.
  public static func byteCount(_ shape: [Int], _ dtype: DType) throws -> Int {
    guard shape.count <= Int(XFER_MAX_RANK) else {
      throw XferError.shape("a shape of rank \(shape.count) was given, at most \(XFER_MAX_RANK) is possible: \(shape)")
    }
    var bytes = dtype.size
    for dimension in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: dimension)
      guard dimension >= 0, !overflow else { throw XferError.shape("shape \(shape) is impossible or too large") }
      bytes = product
    }
    return bytes
  }
}

/// A shape with an element type.
public struct TensorDescription: Equatable, Hashable, Sendable {
  public var shape: [Int]
  public var dtype: DType

  public init(_ shape: [Int], _ dtype: DType = .float32) {
    self.shape = shape
    self.dtype = dtype
  }

  public var count: Int { shape.reduce(1, *) }
  public var byteCount: Int { count * dtype.size }

  public var c: xfer_tensor_desc {
    var desc = xfer_tensor_desc()
    desc.dtype = dtype.rawValue
    desc.rank = Int32(shape.count)
    withUnsafeMutablePointer(to: &desc.dims) {
      $0.withMemoryRebound(to: Int64.self, capacity: Int(XFER_MAX_RANK)) { dims in
        for i in 0..<Int(XFER_MAX_RANK) { dims[i] = i < shape.count ? Int64(shape[i]) : 1 }
      }
    }
    return desc
  }
}

/// At least one byte, aligned to 64; an error naming the size where there is no memory.
public func alignedMemory(_ bytes: Int, alignment: Int = 64) throws -> UnsafeMutableRawPointer {
  var pointer: UnsafeMutableRawPointer?
  // The system promises more than it has and kills who takes it at its word: what cannot fit is refused here.
  guard bytes <= physicalMemory, posix_memalign(&pointer, alignment, max(bytes, 64)) == 0, let pointer else {
    throw XferError(XFER_E_OUT_OF_MEMORY, "no memory for \(bytes) bytes")
  }
  return pointer
}

/// Tensors from this size on have pages of their own.
private let pagedBytes = 1 << 20

/// Fresh pages, which read as zeros.
private func pages(_ bytes: Int) throws -> UnsafeMutableRawPointer {
  guard bytes <= physicalMemory, let block = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
    block != MAP_FAILED
  else { throw XferError(XFER_E_OUT_OF_MEMORY, "no memory for \(bytes) bytes") }
  return block
}

/// The machine's memory in bytes.
public let physicalMemory = max(1 << 30, sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)))

private let lastIdentity = Atomic<UInt64>(0)

/// A number that is given out once.
public func uniqueIdentity() -> UInt64 { lastIdentity.wrappingAdd(1, ordering: .relaxed).newValue }
