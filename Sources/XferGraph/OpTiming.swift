import Glibc
import CXfer
import XferCore

/// An op as a plan runs it.
struct MeasuredOp {
  let op: OpSpecification
  let backend: Backend
  /// Inputs that come packed, as bits.
  let packed: UInt64

  init(op: OpSpecification, backend: Backend, packed: UInt64) { (self.op, self.backend, self.packed) = (op, backend, packed) }

  /// With the constants packed that the backend packs.
  init(_ op: OpSpecification, among backends: [Backend]) throws {
    let backend = try op.choose(among: backends)
    let packed = op.inputs.indices.filter { op.constants >> UInt64($0) & 1 == 1 && op.packing(of: $0, by: backend) != nil }
    self.init(op: op, backend: backend, packed: packed.reduce(0) { $0 | 1 << UInt64($1) })
  }

  var key: Digest { op.tuningKey(backend: backend, packed: packed) }
}

/// An op made ready to be timed on memory made for the purpose.
final class OpTiming {
  private let kernel: PreparedKernel
  private let inputs: [UnsafeRawPointer?]
  private let outputs: [UnsafeMutableRawPointer?]
  private let workspace: UnsafeMutableRawPointer
  private let block: UnsafeMutableRawPointer

  init(_ measured: MeasuredOp) throws {
    let op = measured.op
    let variant = Tuner.shared.decidedVariant(of: op, backend: measured.backend, packed: measured.packed)
    kernel = try PreparedKernel(op, backend: measured.backend, packed: measured.packed, variant: variant)
    var sizes = op.inputs.indices.map { index in
      measured.packed >> UInt64(index) & 1 == 1 ? op.packing(of: index, by: measured.backend)?.bytes ?? 0 : op.inputs[index].byteCount
    }
    sizes += op.outputs.map(\.byteCount) + [kernel.workspace]
    let steps = sizes.map { ($0 + 127) / 64 * 64 }
    let total = steps.reduce(0, +)
    guard let block = aligned_alloc(64, total) else {
      throw XferError(XFER_E_OUT_OF_MEMORY, "there is no memory for measuring: \(total / 1_000_000) MB are wanted")
    }
    self.block = block
    // 0x3c3c3c3c is a float of about 0.01; indices, labels and states are to be 0.
    memset(block, 0x3c, total)
    var offset = 0
    let places = steps.map { step in
      defer { offset += step }
      return block + offset
    }
    for (place, input) in zip(places, op.inputs) where input.dtype != .float32 { memset(place, 0, input.byteCount) }
    inputs = places.prefix(op.inputs.count).map { UnsafeRawPointer?($0) }
    outputs = places.dropFirst(op.inputs.count).prefix(op.outputs.count).map { UnsafeMutableRawPointer?($0) }
    workspace = places[places.count - 1]
  }

  deinit { free(block) }

  /// Seconds of one run.
  func run() throws -> Double {
    let begin = monotonicSeconds()
    try inputs.withUnsafeBufferPointer { inputs in
      try outputs.withUnsafeBufferPointer { outputs in
        guard let ins = inputs.baseAddress, let outs = outputs.baseAddress else { return }
        try kernel.execute(ins, outs, workspace)
      }
    }
    return monotonicSeconds() - begin
  }
}
