import Synchronization
import CXfer
import XferCore

/// Constants in a backend's own layout, shared by all plans that need the same one.
enum PackedWeights {
  private struct Entry { weak var tensor: Tensor? }
  private static let cache = Mutex<[String: Entry]>([:])

  /// What a packed form is called. `value` names the constant: equal names mean equal bytes.
  static func key(_ value: String, _ op: OpSpecification, input: Int, backend: Backend, layout: UInt64) -> String {
    "\(backend.name)/\(backend.version)/\(layout)/\(op.inputs[input].shape)/\(value)"
  }

  /// The form of that name, if some plan has it.
  static func known(_ key: String) -> Tensor? { cache.withLock { $0[key]?.tensor } }

  static func make(
    _ key: String, _ op: OpSpecification, input: Int, backend: Backend, bytes: Int, source: UnsafeRawPointer
  ) throws -> Tensor {
    guard let pack = backend.table.pointee.pack else {
      throw XferError(XFER_E_PLUGIN, "backend '\(backend.name)' has pack_size but no pack")
    }
    let packed = try Tensor(zeros: [bytes], dtype: .uint8)
    try op.withDescription(packed: 0) {
      try check(pack($0, UInt32(input), source, packed.data), "\(op.label): packing on backend '\(backend.name)'")
    }
    cache.withLock {
      $0 = $0.filter { $0.value.tensor != nil }
      $0[key] = Entry(tensor: packed)
    }
    return packed
  }
}
