import CXfer
import XferCore

/// A prepared op: a backend's, released with the object, or a function of the program's own.
final class Kernel {
  /// Who runs it, for reports.
  let backendName: String
  let workspace: Int
  /// What to measure for a forecast; nil for the program's functions.
  let measured: MeasuredOp?
  private var body: Body

  private enum Body {
    case prepared(PreparedKernel)
    /// The backend's variants of the op, in turn, until one is decided for.
    case trial(TunedOp, [PreparedKernel])
    case program((UnsafePointer<UnsafeRawPointer?>, UnsafePointer<UnsafeMutableRawPointer?>) throws -> Void)
  }

  init(_ op: OpSpecification, backend: Backend, packed: UInt64) throws {
    backendName = backend.name
    measured = MeasuredOp(op: op, backend: backend, packed: packed)
    let record = Tuner.shared.record(of: op, backend: backend, packed: packed)
    if let record, record.decision == nil {
      let variants = try (0..<record.variants).map { try PreparedKernel(op, backend: backend, packed: packed, variant: $0) }
      body = .trial(record, variants)
      workspace = variants.reduce(0) { max($0, $1.workspace) }
    } else {
      let kernel = try PreparedKernel(op, backend: backend, packed: packed, variant: record?.decision?.variant ?? 0)
      body = .prepared(kernel)
      workspace = kernel.workspace
    }
  }

  init(_ custom: CustomOp, _ op: OpSpecification) throws {
    workspace = 0
    backendName = "program"
    measured = nil
    body = .program(try custom.prepare(op.inputs, op.outputs))
  }

  func execute(
    _ inputs: UnsafePointer<UnsafeRawPointer?>, _ outputs: UnsafePointer<UnsafeMutableRawPointer?>, _ workspace: UnsafeMutableRawPointer?
  ) throws {
    switch body {
    case .prepared(let kernel): try kernel.execute(inputs, outputs, workspace)
    case .program(let body): try body(inputs, outputs)
    case .trial(let record, let variants):
      if let decision = record.decision {
        body = .prepared(variants[decision.variant])
        return try variants[decision.variant].execute(inputs, outputs, workspace)
      }
      let variant = record.next()
      let begin = monotonicSeconds()
      try variants[variant].execute(inputs, outputs, workspace)
      if record.add(variant, seconds: monotonicSeconds() - begin) { Tuner.shared.decided() }
    }
  }
}

/// A backend's kernel for one variant of an op.
final class PreparedKernel {
  let workspace: Int
  private let table: UnsafePointer<xfer_backend>
  private let run:
    @convention(c) (OpaquePointer?, UnsafePointer<UnsafeRawPointer?>?, UnsafePointer<UnsafeMutableRawPointer?>?, UnsafeMutableRawPointer?)
      -> xfer_status
  private let handle: OpaquePointer
  private let what: String

  init(_ op: OpSpecification, backend: Backend, packed: UInt64, variant: Int = 0) throws {
    guard let prepare = backend.table.pointee.prepare, let execute = backend.table.pointee.execute else {
      throw XferError(XFER_E_PLUGIN, "backend '\(backend.name)' has no prepare or no execute")
    }
    var handle: OpaquePointer?
    var workspace = 0
    try op.withDescription(packed: packed, variant: variant) {
      try check(prepare($0, &handle, &workspace), "\(op.label): \(op.kind.name) on backend '\(backend.name)'")
    }
    guard let handle else { throw XferError(XFER_E_PLUGIN, "backend '\(backend.name)' prepared nothing for \(op.kind.name)") }
    (table, run, self.handle, self.workspace) = (backend.table, execute, handle, workspace)
    what = "\(op.label): \(op.kind.name)"
  }

  deinit { table.pointee.release?(handle) }

  func execute(
    _ inputs: UnsafePointer<UnsafeRawPointer?>, _ outputs: UnsafePointer<UnsafeMutableRawPointer?>, _ workspace: UnsafeMutableRawPointer?
  ) throws { try check(run(handle, inputs, outputs, workspace), what) }
}

extension Graph {
  /// What a backend is asked about a node; its inputs in `constant` are told to keep their values.
  func specification(_ node: Node, constant: Set<ValueID>) -> OpSpecification {
    var mask: UInt64 = 0
    for (index, input) in node.inputs.enumerated().prefix(64) where constant.contains(root(input)) { mask |= 1 << UInt64(index) }
    return OpSpecification(
      kind: node.kind, attributes: node.attributes, inputs: node.inputs.map { description($0) },
      outputs: node.outputs.map { description($0) }, constants: mask, precision: precision,
      label: node.label)
  }
}

/// An op with its shapes: what a backend is asked about.
struct OpSpecification {
  let kind: OpKind
  let attributes: OpAttributes
  var inputs: [TensorDescription]
  var outputs: [TensorDescription]
  let constants: UInt64
  let precision: Precision
  let label: String

  /// - Parameters:
  ///   - packed: inputs that come as the backend packed them, as bits.
  ///   - variant: which of the backend's variants of the op is meant.
  func withDescription<T>(packed: UInt64, variant: Int = 0, _ body: (UnsafePointer<xfer_op_desc>) throws -> T) rethrows -> T {
    let (ins, outs) = (inputs.map(\.c), outputs.map(\.c))
    return try ins.withUnsafeBufferPointer { ins in
      try outs.withUnsafeBufferPointer { outs in
        try attributes.withPointer { attributes in
          var desc = xfer_op_desc(
            struct_size: MemoryLayout<xfer_op_desc>.size, op: kind.rawValue, n_inputs: UInt32(ins.count), n_outputs: UInt32(outs.count),
            inputs: ins.baseAddress, outputs: outs.baseAddress, attributes: attributes, constant_inputs: constants, packed_inputs: packed,
            precision: precision.rawValue, variant: UInt64(variant))
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

  func isSupported(by backend: Backend) -> Bool {
    withDescription(packed: 0) { (backend.table.pointee.supports?($0) ?? 0) != Int32(XFER_SUPPORT_NO) }
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
