import COneDNN
import CXfer

typealias PrimitiveDescriptor = UnsafeMutableRawPointer

extension Op {
  /// The library's plan for a problem; the caller destroys it.
  func describe(_ library: Library, _ p: xfer_dnnl_problem, forward: PrimitiveDescriptor? = nil) throws(Refusal) -> PrimitiveDescriptor {
    var made: PrimitiveDescriptor?
    let outcome = withUnsafePointer(to: p) { xfer_dnnl_describe(library, $0, forward, &made) }
    try expectSuccess(outcome)
    guard let made else { throw refuse(XFER_E_PLUGIN, "libdnnl made no primitive descriptor") }
    return made
  }

  /// Plans a problem, its forward direction first where it is a gradient, and lends both for the time of `body`.
  func withDescriptor<T>(
    _ library: Library, _ p: xfer_dnnl_problem, _ body: (PrimitiveDescriptor, _ forward: PrimitiveDescriptor?) throws(Refusal) -> T
  ) throws(Refusal) -> T {
    var forward: PrimitiveDescriptor?
    if p.direction != Int32(XFER_DNNL_FORWARD) { forward = try describe(library, p.forward) }
    defer { if let forward { _ = library.pointee.primitive_desc_destroy(forward) } }
    let own = try describe(library, p, forward: forward)
    defer { _ = library.pointee.primitive_desc_destroy(own) }
    return try body(own, forward)
  }
}

/// Fills an empty kernel.
struct Builder {
  let op: Op
  let library: Library
  let kernel: UnsafeMutablePointer<Kernel>
  /// Bytes of the workspace that are kept from one step to the next.
  private var kept = 0
  private var scratch = 0

  init(_ op: Op, _ library: Library, _ kernel: UnsafeMutablePointer<Kernel>) throws(Refusal) {
    (self.op, self.library, self.kernel) = (op, library, kernel)
    try op.expectSuccess(
      library.pointee.stream_create(&kernel.pointee.stream, library.pointee.engine, UInt32(XFER_DNNL_IN_ORDER)), "dnnl_stream_create")
  }

  /// Closes the kernel; the bytes of its workspace.
  func finish() -> Int {
    kernel.pointee.scratchOffset = kept
    return kept + scratch
  }

  /// Room in the workspace.
  mutating func keep(_ bytes: Int) -> Place {
    defer { kept += (bytes + 63) / 64 * 64 }
    return .workspace(kept)
  }

  func bytes(_ layout: xfer_dnnl_md) -> Int { library.pointee.memory_desc_get_size(layout) }

  /// What a primitive wants of one of its tensors.
  func layout(_ pd: PrimitiveDescriptor, _ which: Int) throws(Refusal) -> xfer_dnnl_md {
    guard let layout = library.pointee.primitive_desc_query_md(pd, Int32(which), 0) else {
      throw op.refuse(XFER_E_PLUGIN, "dnnl_primitive_desc_query_md of libdnnl gave nothing")
    }
    return layout
  }

  mutating func memory(_ layout: xfer_dnnl_md, at place: Place) throws(Refusal) -> UnsafeMutableRawPointer {
    var handle: UnsafeMutableRawPointer?
    let status = library.pointee.memory_create(&handle, layout, library.pointee.engine, nil)
    return try add(handle, status, place)
  }

  mutating func plainMemory(_ tensor: xfer_dnnl_tensor, at place: Place) throws(Refusal) -> UnsafeMutableRawPointer {
    var handle: UnsafeMutableRawPointer?
    let status = withUnsafePointer(to: tensor) { xfer_dnnl_plain_memory(library, $0, &handle) }
    return try add(handle, status, place)
  }

  private func add(_ handle: UnsafeMutableRawPointer?, _ status: Int32, _ place: Place) throws(Refusal) -> UnsafeMutableRawPointer {
    try op.expectSuccess(status, "dnnl_memory_create")
    guard let handle, kernel.pointee.memoryCount < Kernel.mostMemories else {
      throw op.refuse(XFER_E_INTERNAL, "a kernel has more tensors than were thought of")
    }
    (kernel.pointee.memories + kernel.pointee.memoryCount).initialize(to: Memory(handle: handle, place: place))
    kernel.pointee.memoryCount += 1
    return handle
  }

  /// An argument whose layout the primitive tells.
  mutating func argument(
    _ pd: PrimitiveDescriptor, _ argument: Int, _ which: Int, at place: Place
  ) throws(Refusal) -> xfer_dnnl_arg {
    xfer_dnnl_arg(arg: Int32(argument), memory: try memory(try layout(pd, which), at: place))
  }

  /// Makes the primitive and appends it with its arguments and its scratch memory.
  mutating func step(_ pd: PrimitiveDescriptor, _ arguments: xfer_dnnl_arg?...) throws(Refusal) {
    let first = kernel.pointee.argumentCount
    for argument in arguments { if let argument { try append(argument) } }
    let needed = try layout(pd, XFER_DNNL_SCRATCHPAD)
    if bytes(needed) > 0 {
      scratch = max(scratch, bytes(needed))
      try append(xfer_dnnl_arg(arg: Int32(XFER_DNNL_ARG_SCRATCHPAD), memory: try memory(needed, at: .scratch)))
    }
    var primitive: UnsafeMutableRawPointer?
    try op.expectSuccess(library.pointee.primitive_create(&primitive, pd), "dnnl_primitive_create")
    guard let primitive, kernel.pointee.stepCount < Kernel.mostSteps else {
      throw op.refuse(XFER_E_INTERNAL, "a kernel has more steps than were thought of")
    }
    (kernel.pointee.steps + kernel.pointee.stepCount).initialize(
      to: Step(primitive: primitive, firstArgument: first, argumentCount: kernel.pointee.argumentCount - first))
    kernel.pointee.stepCount += 1
  }

  private func append(_ argument: xfer_dnnl_arg) throws(Refusal) {
    guard kernel.pointee.argumentCount < Kernel.mostArguments else {
      throw op.refuse(XFER_E_INTERNAL, "a kernel has more arguments than were thought of")
    }
    (kernel.pointee.arguments + kernel.pointee.argumentCount).initialize(to: argument)
    kernel.pointee.argumentCount += 1
  }
}
