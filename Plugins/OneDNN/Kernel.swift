import COneDNN
import CXfer

/// Where a memory object's bytes are during an execution.
enum Place {
  case input(Int, offset: Int)
  case output(Int)
  /// Bytes from the workspace's start.
  case workspace(Int)
  /// Behind all that is kept in the workspace: what a primitive needs while it runs.
  case scratch
}

/// A memory object of the library; its address is set at every execution.
struct Memory {
  let handle: UnsafeMutableRawPointer
  let place: Place
}

/// One primitive with its arguments, a range of the kernel's.
struct Step {
  let primitive: UnsafeMutableRawPointer
  let firstArgument, argumentCount: Int
}

/// A kernel handle: steps run in order, on memories that all steps share. The tables follow in the same block.
struct Kernel {
  let op: Op
  let library: Library
  /// Primitives are made for a number of threads and divide their scratch memory by it.
  let threads: Int32
  var stream: UnsafeMutableRawPointer?
  /// The layout that packed weights must have; 0 where none come packed.
  var layout: UInt64 = 0
  var scratchOffset = 0
  var memoryCount = 0
  var stepCount = 0
  var argumentCount = 0
  let memories: UnsafeMutablePointer<Memory>
  let steps: UnsafeMutablePointer<Step>
  let arguments: UnsafeMutablePointer<xfer_dnnl_arg>

  // The largest kernel is a convolution with all epilogues and reordered weights, or a maximum's gradient.
  static let mostMemories = 12
  static let mostSteps = 3
  static let mostArguments = 24
}

extension Op {
  /// An empty kernel with a copy of what errors and executions read of the op.
  func makeKernel(_ library: Library, threads: Int32) throws(Refusal) -> UnsafeMutablePointer<Kernel> {
    func end<T>(_ start: Int, _: T.Type, _ count: Int) -> Int { (start + count * MemoryLayout<T>.stride + 63) / 64 * 64 }
    let memories = end(0, Kernel.self, 1)
    let steps = end(memories, Memory.self, Kernel.mostMemories)
    let arguments = end(steps, Step.self, Kernel.mostSteps)
    guard let block = host.pointee.alloc?(host, end(arguments, xfer_dnnl_arg.self, Kernel.mostArguments), 64) else {
      throw refuse(XFER_E_OUT_OF_MEMORY, "no memory for a kernel")
    }
    // The descriptions belong to the host; they are not read again.
    let kernel = block.bindMemory(to: Kernel.self, capacity: 1)
    kernel.initialize(
      to: Kernel(
        op: Op(
          host: host, kind: kind, inputCount: inputCount, outputCount: outputCount, inputs: inputs, outputs: outputs,
          attributePointer: nil),
        library: library, threads: threads,
        memories: (block + memories).bindMemory(to: Memory.self, capacity: Kernel.mostMemories),
        steps: (block + steps).bindMemory(to: Step.self, capacity: Kernel.mostSteps),
        arguments: (block + arguments).bindMemory(to: xfer_dnnl_arg.self, capacity: Kernel.mostArguments)))
    return kernel
  }
}

/// The host's threads, at least one.
func threadCount() -> Int32 { max(1, currentHost.flatMap { $0.pointee.thread_count?($0) } ?? 1) }

func executeKernel(
  _ kernel: OpaquePointer?, _ inputs: UnsafePointer<UnsafeRawPointer?>?, _ outputs: UnsafePointer<UnsafeMutableRawPointer?>?,
  _ workspace: UnsafeMutableRawPointer?
) -> xfer_status {
  guard let kernel, let inputs, let outputs else { return XFER_E_INVALID_ARGUMENT }
  let k = UnsafeMutableRawPointer(kernel).assumingMemoryBound(to: Kernel.self).pointee
  do throws(Refusal) {
    try k.bind(inputs, outputs, workspace)
    try k.library.pointee.withThreads(k.threads) { () throws(Refusal) in
      for step in 0..<k.stepCount {
        let step = k.steps[step]
        try k.op.expectSuccess(
          k.library.pointee.primitive_execute(
            step.primitive, k.stream, Int32(step.argumentCount), k.arguments + step.firstArgument), "dnnl_primitive_execute")
      }
      try k.op.expectSuccess(k.library.pointee.stream_wait(k.stream), "dnnl_stream_wait")
    }
    return XFER_OK
  } catch {
    return error.status
  }
}

extension Kernel {
  /// Gives every memory object its address.
  fileprivate func bind(
    _ inputs: UnsafePointer<UnsafeRawPointer?>, _ outputs: UnsafePointer<UnsafeMutableRawPointer?>, _ workspace: UnsafeMutableRawPointer?
  ) throws(Refusal) {
    if layout != 0, inputs[1]?.load(as: UInt64.self) != layout {
      throw op.refuse(XFER_E_INVALID_ARGUMENT, "the packed weights have another layout than this kernel was prepared for")
    }
    for i in 0..<memoryCount {
      let address: UnsafeMutableRawPointer? =
        switch memories[i].place {
        case .input(let input, let offset): inputs[input].map { UnsafeMutableRawPointer(mutating: $0) + offset }
        case .output(let output): outputs[output]
        case .workspace(let offset): workspace.map { $0 + offset }
        case .scratch: workspace.map { $0 + scratchOffset }
        }
      try op.expectSuccess(library.pointee.memory_set_data_handle(memories[i].handle, address), "dnnl_memory_set_data_handle")
    }
  }
}

func releaseKernel(_ kernel: OpaquePointer?) {
  guard let kernel else { return }
  let k = UnsafeMutableRawPointer(kernel).assumingMemoryBound(to: Kernel.self).pointee
  for i in 0..<k.stepCount { _ = k.library.pointee.primitive_destroy(k.steps[i].primitive) }
  for i in 0..<k.memoryCount { _ = k.library.pointee.memory_destroy(k.memories[i].handle) }
  if let stream = k.stream { _ = k.library.pointee.stream_destroy(stream) }
  k.op.host.pointee.free?(k.op.host, UnsafeMutableRawPointer(kernel))
}
