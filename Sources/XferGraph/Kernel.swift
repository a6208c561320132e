import CXfer
import XferCore

/// A prepared op: a backend's, released with the object, or a function of the program's own.
final class Kernel {
  /// Who runs it, for reports.
  let backendName: String
  let workspace: Int
  private let run: (UnsafePointer<UnsafeRawPointer?>, UnsafePointer<UnsafeMutableRawPointer?>, UnsafeMutableRawPointer?) throws -> Void
  private let release: () -> Void

  init(_ op: OpSpecification, backend: Backend, packed: UInt64) throws {
    guard let prepare = backend.table.pointee.prepare, let execute = backend.table.pointee.execute else {
      throw XferError(XFER_E_PLUGIN, "backend '\(backend.name)' has no prepare or no execute")
    }
    var handle: OpaquePointer?
    var workspace = 0
    try op.withDescription(packed: packed) {
      try check(prepare($0, &handle, &workspace), "\(op.label): \(op.kind.name) on backend '\(backend.name)'")
    }
    guard let handle else { throw XferError(XFER_E_PLUGIN, "backend '\(backend.name)' prepared nothing for \(op.kind.name)") }
    self.workspace = workspace
    backendName = backend.name
    run = { try check(execute(handle, $0, $1, $2), "\(op.label): \(op.kind.name)") }
    release = { backend.table.pointee.release?(handle) }
  }

  init(_ custom: CustomOp, _ op: OpSpecification) throws {
    workspace = 0
    backendName = "program"
    let body = try custom.prepare(op.inputs, op.outputs)
    run = { inputs, outputs, _ in try body(inputs, outputs) }
    release = {}
  }

  deinit { release() }

  func execute(
    _ inputs: UnsafePointer<UnsafeRawPointer?>, _ outputs: UnsafePointer<UnsafeMutableRawPointer?>, _ workspace: UnsafeMutableRawPointer?
  ) throws { try run(inputs, outputs, workspace) }
}

extension Graph {
  /// What a backend is asked about a node; its inputs in `constant` are told to keep their values.
  func specification(_ node: Node, constant: Set<ValueID>) -> OpSpecification {
    var mask: UInt64 = 0
    for (index, input) in node.inputs.enumerated().prefix(64) where constant.contains(root(input)) { mask |= 1 << UInt64(index) }
    return OpSpecification(
      kind: node.kind, attributes: node.attributes, inputs: node.inputs.map { description($0) },
      outputs: node.outputs.map { description($0) }, constants: mask, label: node.label)
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
            inputs: ins.baseAddress, outputs: outs.baseAddress, attributes: attributes, constant_inputs: constants, packed_inputs: packed,
            precision: Int32(XFER_PRECISION_FLOAT32))
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

  func isPreferred(by backend: Backend) -> Bool {
    withDescription(packed: 0) { backend.table.pointee.supports?($0) == Int32(XFER_SUPPORT_PREFERRED) }
  }

  /// Bytes and layout of a constant input in the backend's own form; nil when it is used as it is.
  func packing(of input: Int, by backend: Backend) -> (bytes: Int, layout: UInt64)? {
    guard let packSize = backend.table.pointee.pack_size else { return nil }
    var layout: UInt64 = 0
    let bytes = withDescription(packed: 0) { packSize($0, UInt32(input), &layout) }
    return bytes > 0 ? (bytes, layout) : nil
  }
}
