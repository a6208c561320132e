import CXfer

typealias Host = UnsafePointer<xfer_host>
typealias Desc = UnsafePointer<xfer_op_desc>
typealias Inputs = UnsafePointer<UnsafeRawPointer?>
typealias Outputs = UnsafePointer<UnsafeMutableRawPointer?>
typealias Run = @convention(c) (UnsafeMutableRawPointer, Inputs, Outputs, UnsafeMutableRawPointer?) -> xfer_status

/// What every kernel handle begins with; the payload of its op follows at `payloadOffset`.
struct KernelHead {
  var run: Run
  var host: Host
}

let payloadOffset = 64

extension KernelHead {
  static func of(_ kernel: UnsafeMutableRawPointer) -> KernelHead { kernel.load(as: KernelHead.self) }
}

/// A handle that keeps `payload`, with `extra` bytes behind it for tables the payload points to.
func makeKernel<Payload>(
  _ host: Host, _ payload: Payload, extra: Int = 0, run: @escaping Run
) -> UnsafeMutablePointer<Payload>? {
  let bytes = payloadOffset &+ aligned(MemoryLayout<Payload>.size) &+ extra
  guard let memory = host.pointee.alloc?(host, bytes, 64) else { return nil }
  memory.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
  memory.storeBytes(of: KernelHead(run: run, host: host), as: KernelHead.self)
  let place = (memory + payloadOffset).bindMemory(to: Payload.self, capacity: 1)
  place.initialize(to: payload)
  return place
}

/// The tables behind a payload.
func extraMemory<Payload>(_ payload: UnsafeMutablePointer<Payload>) -> UnsafeMutableRawPointer {
  UnsafeMutableRawPointer(payload) + aligned(MemoryLayout<Payload>.size)
}

func handle<Payload>(_ payload: UnsafeMutablePointer<Payload>) -> OpaquePointer {
  OpaquePointer(UnsafeMutableRawPointer(payload) - payloadOffset)
}

@inline(__always) func payload<Payload>(_ kernel: UnsafeMutableRawPointer, _: Payload.Type) -> UnsafeMutablePointer<Payload> {
  (kernel + payloadOffset).assumingMemoryBound(to: Payload.self)
}

/// Up to the next multiple of 64.
@inline(__always) func aligned(_ bytes: Int) -> Int { (bytes &+ 63) & ~63 }

@inline(__always) func ceilDivide(_ a: Int, _ b: Int) -> Int { (a &+ b &- 1) / b }

@inline(__always) func floats(_ p: UnsafeRawPointer?) -> Source {
  p.unsafelyUnwrapped.assumingMemoryBound(to: Float.self)
}
@inline(__always) func floats(_ p: UnsafeMutableRawPointer?) -> Target {
  p.unsafelyUnwrapped.assumingMemoryBound(to: Float.self)
}

/// A tensor's memory as what it is made of. Runs hold every tensor as one of floats, since a C function that a loop calls cannot be generic.
@inline(__always) func elements<E: Element>(_ p: Source, _: E.Type) -> UnsafePointer<E> {
  UnsafeRawPointer(p).assumingMemoryBound(to: E.self)
}
@inline(__always) func elements<E: Element>(_ p: Target, _: E.Type) -> UnsafeMutablePointer<E> {
  UnsafeMutableRawPointer(p).assumingMemoryBound(to: E.self)
}
/// Where element `n` of a tensor is held so is.
@inline(__always) func place(_ p: Source, _ n: Int, _ kind: ElementKind) -> Source {
  (UnsafeRawPointer(p) + n &<< kind.shift).assumingMemoryBound(to: Float.self)
}
@inline(__always) func place(_ p: Target, _ n: Int, _ kind: ElementKind) -> Target {
  (UnsafeMutableRawPointer(p) + n &<< kind.shift).assumingMemoryBound(to: Float.self)
}

func fail(_ host: Host, _ status: xfer_status, _ message: StaticString) -> xfer_status {
  host.pointee.set_error?(host, UnsafeRawPointer(message.utf8Start).assumingMemoryBound(to: CChar.self))
  return status
}

/// Runs `body` over [0, count) in pieces of at most `grain`, with `context` behind its first argument.
@inline(__always) func parallel<Context>(
  _ host: Host, count: Int, grain: Int, _ context: inout Context, _ body: xfer_task_fn
) {
  if count <= 0 { return }
  withUnsafeMutablePointer(to: &context) {
    host.pointee.parallel_for?(host, Int64(count), Int64(grain), body, UnsafeMutableRawPointer($0))
  }
}

func threads(_ host: Host) -> Int {
  let n = Int(host.pointee.thread_count?(host) ?? 1)
  return n < 1 ? 1 : n
}

/// Scratch memory of each worker, a slice of the workspace. The pool may have grown since the workspace was sized: a
/// worker beyond it borrows from the host.
struct Scratch {
  var base: UnsafeMutableRawPointer
  var bytes: Int
  var workers: Int

  func take(_ host: Host, _ worker: Int32) -> UnsafeMutableRawPointer? {
    Int(worker) < workers ? base + Int(worker) &* bytes : host.pointee.alloc?(host, bytes, 64)
  }
  func giveBack(_ host: Host, _ worker: Int32, _ memory: UnsafeMutableRawPointer) {
    if Int(worker) >= workers { host.pointee.free?(host, memory) }
  }
}
