import CXfer

extension xfer_tensor_desc {
  /// The size of an axis; 1 beyond the rank.
  subscript(axis: Int) -> Int {
    guard axis >= 0, axis < min(Int(rank), 8) else { return 1 }
    return withUnsafeBytes(of: dims) { Int($0.load(fromByteOffset: axis * 8, as: Int64.self)) }
  }

  var count: Int { product(from: 0) }

  /// The product of the sizes from `axis` on.
  func product(from axis: Int) -> Int {
    var result = 1
    for i in axis..<max(axis, Int(rank)) { result *= self[i] }
    return result
  }

  /// The last dimension; 1 for a scalar.
  var channels: Int { self[Int(rank) - 1] }
  /// The product of all other dimensions.
  var rows: Int {
    var result = 1
    for i in 0..<max(0, Int(rank) - 1) { result *= self[i] }
    return result
  }

  static func == (a: xfer_tensor_desc, b: xfer_tensor_desc) -> Bool { a.dtype == b.dtype && a.hasShape(of: b) }

  func hasShape(of other: xfer_tensor_desc) -> Bool {
    guard rank == other.rank else { return false }
    for axis in 0..<Int(rank) where self[axis] != other[axis] { return false }
    return true
  }
}

/// A description for comparison: `f32(2, 3)` is a float matrix.
func f32(_ a: Int) -> xfer_tensor_desc { tensor(1, (Int64(a), 1, 1, 1, 1, 1, 1, 1)) }
func f32(_ a: Int, _ b: Int) -> xfer_tensor_desc { tensor(2, (Int64(a), Int64(b), 1, 1, 1, 1, 1, 1)) }
func f32(_ a: Int, _ b: Int, _ c: Int) -> xfer_tensor_desc { tensor(3, (Int64(a), Int64(b), Int64(c), 1, 1, 1, 1, 1)) }
func f32(_ a: Int, _ b: Int, _ c: Int, _ d: Int) -> xfer_tensor_desc {
  tensor(4, (Int64(a), Int64(b), Int64(c), Int64(d), 1, 1, 1, 1))
}
private func tensor(_ rank: Int32, _ dims: (Int64, Int64, Int64, Int64, Int64, Int64, Int64, Int64)) -> xfer_tensor_desc {
  xfer_tensor_desc(dtype: XFER_F32, rank: rank, dims: dims)
}

/// An op's description: the host's during `prepare`, the kernel's own copy afterwards.
struct Op {
  let host: UnsafePointer<xfer_host>
  let kind: Int32
  let inputCount: Int
  let outputCount: Int
  let inputs: UnsafePointer<xfer_tensor_desc>
  let outputs: UnsafePointer<xfer_tensor_desc>
  let attributePointer: UnsafeRawPointer?

  /// The attribute structure, whose presence `validate` has made sure of.
  func attributes<A: BitwiseCopyable>(_: A.Type) -> A {
    guard let attributePointer else { fatalError() }
    return attributePointer.loadUnaligned(as: A.self)
  }
}

/// One execution: the op and its buffers.
struct Call {
  let op: Op
  let inputs: UnsafePointer<UnsafeRawPointer?>
  let outputs: UnsafePointer<UnsafeMutableRawPointer?>
  let workspace: UnsafeMutableRawPointer

  func raw(_ input: Int) -> UnsafeRawPointer { inputs[input] ?? UnsafeRawPointer(workspace) }
  func rawOutput(_ output: Int) -> UnsafeMutableRawPointer { outputs[output] ?? workspace }
  func input(_ index: Int) -> UnsafePointer<Float> { raw(index).assumingMemoryBound(to: Float.self) }
  func output(_ index: Int) -> UnsafeMutablePointer<Float> { rawOutput(index).assumingMemoryBound(to: Float.self) }
  func attributes<A: BitwiseCopyable>(_ type: A.Type) -> A { op.attributes(type) }
}
