public import CXfer
import XferCore

private func dtype(_ value: xfer_dtype) throws -> DType {
  guard let dtype = DType(rawValue: value) else { throw XferError.dtype("dtype \(value) is none of XFER_F32 (1) to XFER_BOOL (8)") }
  return dtype
}

@c @implementation public func xfer_tensor_create(
  _ dtype: xfer_dtype, _ rank: Int32, _ dims: UnsafePointer<Int64>?, _ data: UnsafeRawPointer?,
  _ tensor: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(tensor, .tensor) {
      let result = try Tensor(zeros: shape(rank, dims), dtype: XferABI.dtype(dtype))
      if let data { result.data.copyMemory(from: data, byteCount: result.byteCount) }
      return result
    }
  }
}

@c @implementation public func xfer_tensor_wrap(
  _ dtype: xfer_dtype, _ rank: Int32, _ dims: UnsafePointer<Int64>?, _ data: UnsafeMutableRawPointer?,
  _ destroy: xfer_destroy_fn?, _ user: UnsafeMutableRawPointer?, _ tensor: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(tensor, .tensor) {
      let (shape, dtype) = (try shape(rank, dims), try XferABI.dtype(dtype))
      let bytes = try Tensor.byteCount(shape, dtype)
      guard let data else { throw invalid("data is NULL, \(bytes) bytes are wanted") }
      guard UInt(bitPattern: data) % UInt(dtype.size) == 0 else {
        throw invalid("data at \(data) is not aligned to the \(dtype.size) bytes of a \(dtype.name)")
      }
      return Tensor(borrowing: data, shape: shape, dtype: dtype, dispose: destroy.map { destroy in { destroy(user) } })
    }
  }
}

@c @implementation public func xfer_tensor_describe(
  _ tensor: OpaquePointer?, _ dtype: UnsafeMutablePointer<xfer_dtype>?, _ rank: UnsafeMutablePointer<Int32>?,
  _ dims: UnsafeMutablePointer<Int64>?, _ data: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> xfer_status {
  call {
    let tensor = try object(tensor, .tensor, "tensor")
    dtype?.pointee = tensor.dtype.rawValue
    give(tensor.shape, rank, dims)
    data?.pointee = tensor.data
  }
}

@c @implementation public func xfer_tensor_release(_ tensor: OpaquePointer?) { HandleTable.release(tensor, .tensor) }
