import CXfer
import XferCore

/// A backend's prepared op. Released with the object.
final class Kernel {
  let backend: Backend
  let workspace: Int
  private let handle: OpaquePointer

  init(_ op: OpSpecification, backend: Backend, packed: UInt64) throws {
    guard let prepare = backend.table.pointee.prepare else { throw XferError(XFER_E_PLUGIN, "backend '\(backend.name)' has no prepare") }
    var handle: OpaquePointer?
    var workspace = 0
    try op.withDescription(packed: packed) {
      try check(prepare($0, &handle, &workspace), "\(op.label): \(op.kind.name) on backend '\(backend.name)'")
    }
    guard let handle else { throw XferError(XFER_E_PLUGIN, "backend '\(backend.name)' prepared nothing for \(op.kind.name)") }
    self.handle = handle
    self.backend = backend
    self.workspace = workspace
  }

  deinit { backend.table.pointee.release?(handle) }

  func execute(_ inputs: UnsafePointer<UnsafeRawPointer?>, _ outputs: UnsafePointer<UnsafeMutableRawPointer?>, _ workspace: UnsafeMutableRawPointer?) -> xfer_status {
    backend.table.pointee.execute?(handle, inputs, outputs, workspace) ?? XFER_E_PLUGIN
  }
}

/// An op with its shapes: what a backend is asked about.
struct OpSpecification {
  let kind: OpKind
  let attributes: OpAttributes
  let inputs: [TensorDescription]
  let outputs: [TensorDescription]
  let constants: UInt64
  let label: String

  func withDescription<T>(packed: UInt64, _ body: (UnsafePointer<xfer_op_desc>) throws -> T) rethrows -> T {
    let (ins, outs) = (inputs.map(\.c), outputs.map(\.c))
    return try ins.withUnsafeBufferPointer { ins in
      try outs.withUnsafeBufferPointer { outs in
        try attributes.withPointer { attributes in
          var desc = xfer_op_desc(
            struct_size: MemoryLayout<xfer_op_desc>.size, op: kind.rawValue, n_inputs: UInt32(ins.count), n_outputs: UInt32(outs.count),
            inputs: ins.baseAddress, outputs: outs.baseAddress, attributes: attributes, constant_inputs: constants, packed_inputs: packed)
          return try body(&desc)
        }
      }
    }
  }

  /// A backend chosen by name where it can do the op, else the first that prefers it, else the first that can do it.
  func choose(among backends: [Backend]) throws -> Backend {
    try withDescription(packed: 0) { desc in
      var able: Backend?
      for backend in backends {
        switch backend.table.pointee.supports?(desc) ?? 0 {
        case Int32(XFER_SUPPORT_PREFERRED): return backend
        case Int32(XFER_SUPPORT_YES):
          if backend.chosen { return backend }
          able = able ?? backend
        default: break
        }
      }
      guard let able else { throw XferError.unsupported("\(label): no backend can do \(kind.name) of shapes \(inputs.map(\.shape))") }
      return able
    }
  }

  /// Bytes and layout of a constant input in the backend's own form; nil when it is used as it is.
  func packing(of input: Int, by backend: Backend) -> (bytes: Int, layout: UInt64)? {
    guard let packSize = backend.table.pointee.pack_size else { return nil }
    var layout: UInt64 = 0
    let bytes = withDescription(packed: 0) { packSize($0, UInt32(input), &layout) }
    return bytes > 0 ? (bytes, layout) : nil
  }
}
