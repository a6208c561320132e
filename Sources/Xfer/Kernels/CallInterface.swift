@preconcurrency import CFFI
import XferCore

/// The prepared `ffi_cif` of a signature: made once when a kernel is registered, used by all its calls, on any thread.
final class CallInterface: @unchecked Sendable {
  let cif: UnsafeMutablePointer<ffi_cif>
  private let types: UnsafeMutablePointer<UnsafeMutablePointer<ffi_type>?>
  private static let preparing = Lock()

  init(_ signature: KernelSignature) throws {
    let count = signature.parameters.count
    cif = .allocate(capacity: 1)
    cif.initialize(to: ffi_cif())
    types = .allocate(capacity: max(count, 1))
    types.initialize(repeating: nil, count: max(count, 1))
    for (index, parameter) in signature.parameters.enumerated() {
      types[index] = parameter.isPointer ? Self.pointer : Self.type(parameter.type)
    }
    let result =
      switch signature.result {
      case .nothing: Self.void
      case .status: Self.type(.i32)
      case .element(let type): Self.type(type)
      }
    let status = Self.preparing.locked { ffi_prep_cif(cif, FFI_DEFAULT_ABI, UInt32(count), result, types) }
    guard status == FFI_OK else { throw XferError.internal("libffi refused the signature \"\(signature.text)\" with \(status.rawValue)") }
  }

  deinit {
    cif.deallocate()
    types.deallocate()
  }

  private static var pointer: UnsafeMutablePointer<ffi_type> { address(&ffi_type_pointer) }
  private static var void: UnsafeMutablePointer<ffi_type> { address(&ffi_type_void) }
  private static func type(_ scalar: KernelSignature.Scalar?) -> UnsafeMutablePointer<ffi_type> {
    switch scalar {
    case .f32: address(&ffi_type_float)
    case .f64: address(&ffi_type_double)
    case .i32: address(&ffi_type_sint32)
    case .i64: address(&ffi_type_sint64)
    case .u8: address(&ffi_type_uint8)
    case nil: address(&ffi_type_void)
    }
  }
  /// The descriptors are C globals: their addresses hold for good.
  private static func address(_ pointer: UnsafeMutablePointer<ffi_type>) -> UnsafeMutablePointer<ffi_type> { pointer }

  /// One call: `arguments` are addresses of the values, `result` has room for 8 bytes.
  @inline(__always)
  func call(
    _ function: UnsafeRawPointer, _ result: UnsafeMutableRawPointer, _ arguments: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  ) {
    ffi_call(cif, unsafeBitCast(function, to: (@convention(c) () -> Void).self), result, arguments)
  }
}
