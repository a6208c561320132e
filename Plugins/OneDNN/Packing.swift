import COneDNN
import CXfer

/// Packed weights begin with the number of their layout: a kernel prepared for another one refuses them.
let packedHeader = 64

/// What the library chooses depends on the numbers of rows and of threads. Packed weights and the answers of `supports` must not:
/// they are those for these.
private let typicalRows = (images: 32, matrix: 256)
let typicalThreads: Int32 = 4

extension Op {
  /// Lends the layout that constant weights are packed into, with its number: the same for every batch.
  func withPackedLayout<T>(_ library: Library, _ body: (xfer_dnnl_md, UInt64) throws(Refusal) -> T) throws(Refusal) -> T {
    let rows = Int(kind) == XFER_OP_MATMUL ? typicalRows.matrix : typicalRows.images
    let wanted = try problem(rows: rows, packed: true)
    return try library.pointee.withThreads(typicalThreads) { () throws(Refusal) in
      try withDescriptor(library, wanted.described) { (pd, _) throws(Refusal) in
        guard let layout = library.pointee.primitive_desc_query_md(pd, Int32(XFER_DNNL_WEIGHTS), 0) else {
          throw refuse(XFER_E_PLUGIN, "dnnl_primitive_desc_query_md of libdnnl gave nothing")
        }
        let key = withUnsafePointer(to: wanted.weights) { xfer_dnnl_layout(library, $0, layout) }
        try require(key != 0, XFER_E_UNSUPPORTED, "libdnnl has a layout for these weights that cannot be named")
        return try body(layout, key)
      }
    }
  }
}

/// Bytes of the packed weights; 0 for what is no weights or is best left plain.
func packSize(_ desc: UnsafePointer<xfer_op_desc>?, _ input: UInt32, _ layout: UnsafeMutablePointer<UInt64>?) -> Int {
  guard let dnnl, let quietHost, let desc, input == 1, let op = Op(desc.pointee, quietHost), op.inputCount > 1, supports(desc) != 0,
    let weights = try? op.problem(), weights.weightsInput == 1, op.inputs[1].rank != 3
  else { return 0 }
  let bytes = try? op.withPackedLayout(dnnl) { (packed, key) throws(Refusal) in
    var plain: Int32 = 0
    try op.expectSuccess(
      withUnsafePointer(to: weights.weights) { xfer_dnnl_is_plain(dnnl, $0, packed, &plain) }, "dnnl_memory_desc_equal")
    layout?.pointee = key
    return plain != 0 ? 0 : packedHeader + dnnl.pointee.memory_desc_get_size(packed)
  }
  return bytes ?? 0
}

func packInput(
  _ desc: UnsafePointer<xfer_op_desc>?, _ input: UInt32, _ source: UnsafeRawPointer?, _ packed: UnsafeMutableRawPointer?
) -> xfer_status {
  guard let dnnl, let currentHost, let desc, let source, let packed, input == 1, let op = Op(desc.pointee, currentHost) else {
    return XFER_E_INVALID_ARGUMENT
  }
  do throws(Refusal) {
    let plain = try op.problem().weights
    try op.withPackedLayout(dnnl) { (layout, key) throws(Refusal) in
      packed.initializeMemory(as: UInt8.self, repeating: 0, count: packedHeader)
      packed.storeBytes(of: key, as: UInt64.self)
      // The layout was asked for with the typical threads, the work is done by the host's.
      try dnnl.pointee.withThreads(threadCount()) { () throws(Refusal) in
        try op.expectSuccess(
          withUnsafePointer(to: plain) {
            xfer_dnnl_lay_out(dnnl, $0, layout, UnsafeMutableRawPointer(mutating: source), packed + packedHeader)
          })
      }
    }
    return XFER_OK
  } catch {
    return error.status
  }
}
