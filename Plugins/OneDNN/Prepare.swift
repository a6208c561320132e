import COneDNN
import CXfer

func prepareKernel(
  _ desc: UnsafePointer<xfer_op_desc>?, _ kernel: UnsafeMutablePointer<OpaquePointer?>?, _ workspace: UnsafeMutablePointer<Int>?
) -> xfer_status {
  guard let host = currentHost, let desc, let kernel, let workspace, let op = Op(desc.pointee, host) else { return XFER_E_INVALID_ARGUMENT }
  do throws(Refusal) {
    guard let dnnl else { throw op.refuse(XFER_E_PLUGIN, "there is no libdnnl") }
    try op.require(desc.pointee.packed_inputs & ~2 == 0, XFER_E_INVALID_ARGUMENT, "this backend packs input 1 alone")
    let packed = desc.pointee.packed_inputs != 0
    let problem = try op.problem(packed: packed)
    let threads = threadCount()
    let made = try op.makeKernel(dnnl, threads: threads)
    do throws(Refusal) {
      workspace.pointee = try dnnl.pointee.withThreads(threads) { () throws(Refusal) in
        var builder = try Builder(op, dnnl, made)
        try op.withDescriptor(dnnl, problem.described) { (pd, forward) throws(Refusal) in
          try builder.build(problem, packed: packed, pd, forward: forward)
        }
        return builder.finish()
      }
    } catch {
      releaseKernel(OpaquePointer(made))
      throw error
    }
    kernel.pointee = OpaquePointer(made)
    return XFER_OK
  } catch {
    return error.status
  }
}

extension Op {
  init?(_ desc: xfer_op_desc, _ host: UnsafePointer<xfer_host>) {
    guard let inputs = desc.inputs, let outputs = desc.outputs else { return nil }
    self.init(
      host: host, kind: desc.op, inputCount: Int(desc.n_inputs), outputCount: Int(desc.n_outputs), inputs: inputs, outputs: outputs,
      attributePointer: desc.attributes)
  }
}

extension Builder {
  /// The steps of a problem, whose plan is `pd`.
  mutating func build(_ problem: Problem, packed: Bool, _ pd: PrimitiveDescriptor, forward: PrimitiveDescriptor?) throws(Refusal) {
    let p = problem.described
    if p.kind == Int32(XFER_DNNL_POOLING), let forward {
      return try poolGradient(pd, forward: forward, maximum: p.algorithm == Int32(XFER_DNNL_POOL_MAX))
    }
    switch Int(p.direction) {
    case XFER_DNNL_TO_SRC:
      let dy = try argument(pd, XFER_DNNL_ARG_DIFF_DST, XFER_DNNL_DIFF_DST, at: .input(0, offset: 0))
      let kernel = try weights(problem, packed, pd)
      try step(pd, dy, kernel, try argument(pd, XFER_DNNL_ARG_DIFF_SRC, XFER_DNNL_DIFF_SRC, at: .output(0)))
    case XFER_DNNL_TO_WEIGHTS: try kernelGradient(problem, pd)
    default:
      let x = try argument(pd, XFER_DNNL_ARG_SRC, XFER_DNNL_SRC, at: .input(0, offset: 0))
      let kernel = p.weights.rank > 0 ? try weights(problem, packed, pd) : nil
      let bias =
        p.bias.rank > 0
        ? xfer_dnnl_arg(arg: Int32(XFER_DNNL_ARG_BIAS), memory: try plainMemory(p.bias, at: .input(2, offset: 0))) : nil
      let y = try argument(pd, XFER_DNNL_ARG_DST, XFER_DNNL_DST, at: .output(0))
      // The library adds to what is there. (It can read another tensor instead, but version 2.6 reads beside it where rows are short.)
      if p.residual != 0 {
        let residual = try plainMemory(p.dst, at: .input(op.inputCount - 1, offset: 0))
        try reorder(p.dst, nil, nil, from: residual, to: y.memory)
      }
      try step(pd, x, kernel, bias, y)
    }
  }

  /// The weights as the primitive wants them; where they are given otherwise, a step before it lays them out in the workspace.
  private mutating func weights(_ problem: Problem, _ packed: Bool, _ pd: PrimitiveDescriptor) throws(Refusal) -> xfer_dnnl_arg {
    let wanted = try layout(pd, XFER_DNNL_WEIGHTS)
    let given =
      packed
      ? try packedWeights(wanted)
      : Given(memory: try plainMemory(problem.weights, at: .input(1, offset: 0)), fits: try isPlain(problem.weights, wanted))
    if given.fits { return xfer_dnnl_arg(arg: Int32(XFER_DNNL_ARG_WEIGHTS), memory: given.memory) }
    let place = keep(bytes(wanted))
    let laidOut = try memory(wanted, at: place)
    if packed {
      try op.withPackedLayout(library) { (layout, _) throws(Refusal) in
        try reorder(problem.weights, layout, wanted, from: given.memory, to: laidOut)
      }
    } else {
      try reorder(problem.weights, nil, wanted, from: given.memory, to: laidOut)
    }
    return xfer_dnnl_arg(arg: Int32(XFER_DNNL_ARG_WEIGHTS), memory: laidOut)
  }

  private struct Given {
    let memory: UnsafeMutableRawPointer
    let fits: Bool
  }

  private mutating func packedWeights(_ wanted: xfer_dnnl_md) throws(Refusal) -> Given {
    try op.withPackedLayout(library) { (layout, key) throws(Refusal) in
      kernel.pointee.layout = key
      return Given(
        memory: try memory(layout, at: .input(1, offset: packedHeader)), fits: library.pointee.memory_desc_equal(layout, wanted) != 0)
    }
  }

  private func isPlain(_ tensor: xfer_dnnl_tensor, _ layout: xfer_dnnl_md) throws(Refusal) -> Bool {
    var plain: Int32 = 0
    try op.expectSuccess(withUnsafePointer(to: tensor) { xfer_dnnl_is_plain(library, $0, layout, &plain) }, "dnnl_memory_desc_equal")
    return plain != 0
  }

  /// A step between two layouts; nil is the plain one.
  private mutating func reorder(
    _ tensor: xfer_dnnl_tensor, _ from: xfer_dnnl_md?, _ to: xfer_dnnl_md?, from source: UnsafeMutableRawPointer,
    to target: UnsafeMutableRawPointer
  ) throws(Refusal) {
    var made: PrimitiveDescriptor?
    let outcome = withUnsafePointer(to: tensor) { xfer_dnnl_reorder(library, $0, from, to, &made) }
    try op.expectSuccess(outcome)
    guard let made else { throw op.refuse(XFER_E_PLUGIN, "libdnnl made no reorder") }
    defer { _ = library.pointee.primitive_desc_destroy(made) }
    try step(
      made, xfer_dnnl_arg(arg: Int32(XFER_DNNL_ARG_SRC), memory: source), xfer_dnnl_arg(arg: Int32(XFER_DNNL_ARG_DST), memory: target))
  }

  private mutating func kernelGradient(_ problem: Problem, _ pd: PrimitiveDescriptor) throws(Refusal) {
    let made = try layout(pd, XFER_DNNL_DIFF_WEIGHTS)
    let x = try argument(pd, XFER_DNNL_ARG_SRC, XFER_DNNL_SRC, at: .input(0, offset: 0))
    let dy = try argument(pd, XFER_DNNL_ARG_DIFF_DST, XFER_DNNL_DIFF_DST, at: .input(1, offset: 0))
    let plain = try isPlain(problem.weights, made)
    let place = plain ? Place.output(0) : keep(bytes(made))
    let gradient = try memory(made, at: place)
    try step(pd, x, dy, xfer_dnnl_arg(arg: Int32(XFER_DNNL_ARG_DIFF_WEIGHTS), memory: gradient))
    if plain { return }
    try reorder(problem.weights, made, nil, from: gradient, to: try plainMemory(problem.weights, at: .output(0)))
  }

  /// The library's gradient of a maximum wants to know from its own forward run where each maximum was: that is run first.
  private mutating func poolGradient(_ pd: PrimitiveDescriptor, forward: PrimitiveDescriptor, maximum: Bool) throws(Refusal) {
    let dy = try argument(pd, XFER_DNNL_ARG_DIFF_DST, XFER_DNNL_DIFF_DST, at: .input(op.inputCount - 1, offset: 0))
    let dx = try argument(pd, XFER_DNNL_ARG_DIFF_SRC, XFER_DNNL_DIFF_SRC, at: .output(0))
    guard maximum else { return try step(pd, dy, dx) }
    let places = try layout(forward, XFER_DNNL_WORKSPACE)
    let kept = xfer_dnnl_arg(arg: Int32(XFER_DNNL_ARG_WORKSPACE), memory: try memory(places, at: keep(bytes(places))))
    let x = try argument(forward, XFER_DNNL_ARG_SRC, XFER_DNNL_SRC, at: .input(0, offset: 0))
    let result = try layout(forward, XFER_DNNL_DST)
    let y = xfer_dnnl_arg(arg: Int32(XFER_DNNL_ARG_DST), memory: try memory(result, at: keep(bytes(result))))
    try step(forward, x, y, kept)
    try step(pd, dy, dx, kept)
  }
}
