import CXfer

/// Checks the op and copies its description into one block: the `Op`, the tensor descriptions, the attributes.
func prepareKernel(
  _ desc: UnsafePointer<xfer_op_desc>?, _ kernel: UnsafeMutablePointer<OpaquePointer?>?, _ workspace: UnsafeMutablePointer<Int>?
) -> xfer_status {
  guard let host = currentHost, let desc = desc?.pointee, let kernel, let workspace, let inputs = desc.inputs, let outputs = desc.outputs
  else { return XFER_E_INVALID_ARGUMENT }
  let given = Op(
    host: host, kind: desc.op, inputCount: Int(desc.n_inputs), outputCount: Int(desc.n_outputs), inputs: inputs, outputs: outputs,
    attributePointer: desc.attributes)
  do throws(Refusal) {
    try given.expectPlainTensors()
    if desc.packed_inputs != 0 { throw given.refuse(XFER_E_INVALID_ARGUMENT, "packed inputs were given, this backend packs nothing") }
    workspace.pointee = try validate(given)
  } catch {
    return error.status
  }
  let tensor = MemoryLayout<xfer_tensor_desc>.stride
  let header = (MemoryLayout<Op>.size + 15) / 16 * 16
  let attributeBytes = desc.attributes?.loadUnaligned(as: Int.self) ?? 0
  let tensors = (given.inputCount + given.outputCount) * tensor
  guard let block = host.pointee.alloc?(host, header + tensors + attributeBytes, 64) else {
    return given.refuse(XFER_E_OUT_OF_MEMORY, "no memory for a kernel").status
  }
  let ins = block + header
  let outs = ins + given.inputCount * tensor
  let attributes = ins + tensors
  ins.copyMemory(from: UnsafeRawPointer(inputs), byteCount: given.inputCount * tensor)
  outs.copyMemory(from: UnsafeRawPointer(outputs), byteCount: given.outputCount * tensor)
  if let source = desc.attributes { attributes.copyMemory(from: source, byteCount: attributeBytes) }
  let own = Op(
    host: host, kind: desc.op, inputCount: given.inputCount, outputCount: given.outputCount,
    inputs: UnsafePointer(ins.assumingMemoryBound(to: xfer_tensor_desc.self)),
    outputs: UnsafePointer(outs.assumingMemoryBound(to: xfer_tensor_desc.self)),
    attributePointer: desc.attributes == nil ? nil : UnsafeRawPointer(attributes))
  block.initializeMemory(as: Op.self, to: own)
  kernel.pointee = OpaquePointer(block)
  return XFER_OK
}

func executeKernel(
  _ kernel: OpaquePointer?, _ inputs: UnsafePointer<UnsafeRawPointer?>?, _ outputs: UnsafePointer<UnsafeMutableRawPointer?>?,
  _ workspace: UnsafeMutableRawPointer?
) -> xfer_status {
  guard let kernel, let inputs, let outputs else { return XFER_E_INVALID_ARGUMENT }
  let own = UnsafeMutableRawPointer(kernel)
  // Without a workspace none is touched; the kernel's address only stands in for a pointer.
  run(Call(op: own.load(as: Op.self), inputs: inputs, outputs: outputs, workspace: workspace ?? own))
  return XFER_OK
}

func releaseKernel(_ kernel: OpaquePointer?) {
  guard let kernel else { return }
  let block = UnsafeMutableRawPointer(kernel)
  let host = block.load(as: Op.self).host
  host.pointee.free?(host, block)
}
