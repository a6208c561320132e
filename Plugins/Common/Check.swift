import CXfer

/// Why `prepare` refuses; the sentence has gone to the host already.
struct Refusal: Error { let status: xfer_status }

extension Op {
  /// Sends "conv2d: ..." to the host.
  func refuse(_ status: xfer_status, _ write: (inout Message) -> Void) -> Refusal {
    var message = Message()
    message.text(opName(kind) ?? "unknown op")
    message.text(": ")
    write(&message)
    message.send(to: host)
    return Refusal(status: status)
  }

  func refuse(_ status: xfer_status, _ text: StaticString) -> Refusal { refuse(status) { $0.text(text) } }

  func require(_ condition: Bool, _ status: xfer_status, _ text: StaticString) throws(Refusal) {
    if !condition { throw refuse(status, text) }
  }

  func expectCounts(inputs: ClosedRange<Int>, outputs: Int) throws(Refusal) {
    guard !inputs.contains(inputCount) || outputCount != outputs else { return }
    throw refuse(XFER_E_INVALID_ARGUMENT) {
      $0.number(inputCount)
      $0.text(" inputs and ")
      $0.number(outputCount)
      $0.text(" outputs were given, ")
      $0.number(inputs.lowerBound)
      if inputs.upperBound > inputs.lowerBound {
        $0.text("...")
        $0.number(inputs.upperBound)
      }
      $0.text(" and ")
      $0.number(outputs)
      $0.text(" are wanted")
    }
  }

  func expectCounts(inputs: Int, outputs: Int) throws(Refusal) { try expectCounts(inputs: inputs...inputs, outputs: outputs) }

  /// The attribute structure is there and large enough.
  func expectAttributes<A: BitwiseCopyable>(_: A.Type) throws(Refusal) -> A {
    let given = attributePointer?.loadUnaligned(as: Int.self) ?? 0
    guard given >= MemoryLayout<A>.size else {
      throw refuse(XFER_E_INVALID_ARGUMENT) {
        $0.text("attributes of ")
        $0.number(given)
        $0.text(" bytes were given, ")
        $0.number(MemoryLayout<A>.size)
        $0.text(" are wanted")
      }
    }
    return attributes(A.self)
  }

  func expect(_ given: xfer_tensor_desc, _ name: StaticString, _ wanted: xfer_tensor_desc) throws(Refusal) {
    if given == wanted { return }
    throw refuse(given.dtype == wanted.dtype ? XFER_E_SHAPE : XFER_E_DTYPE) {
      $0.text(name)
      $0.text(" is ")
      $0.tensor(given)
      $0.text(", wanted is ")
      $0.tensor(wanted)
    }
  }

  /// A float tensor of a rank; `rank` nil for any.
  func expectFloat(_ given: xfer_tensor_desc, _ name: StaticString, rank: Int? = nil) throws(Refusal) {
    if given.dtype != XFER_F32 {
      throw refuse(XFER_E_DTYPE) {
        $0.text(name)
        $0.text(" is ")
        $0.tensor(given)
        $0.text(", f32 is wanted")
      }
    }
    if let rank, rank != Int(given.rank) {
      throw refuse(XFER_E_SHAPE) {
        $0.text(name)
        $0.text(" is ")
        $0.tensor(given)
        $0.text(", rank ")
        $0.number(rank)
        $0.text(" is wanted")
      }
    }
  }

  /// Every description is one a kernel can compute with: a known type, a rank up to 8, no negative size.
  func expectPlainTensors() throws(Refusal) {
    try require(inputCount > 0 && outputCount > 0, XFER_E_INVALID_ARGUMENT, "an op has at least one input and one output")
    for i in 0..<inputCount + outputCount {
      let given = i < inputCount ? inputs[i] : outputs[i - inputCount]
      var fine = dtypeSize(given.dtype) != nil && (0...8).contains(given.rank)
      if fine { for axis in 0..<Int(given.rank) where given[axis] < 0 { fine = false } }
      if !fine {
        throw refuse(XFER_E_INVALID_ARGUMENT) {
          $0.text(i < inputCount ? "input " : "output ")
          $0.number(i < inputCount ? i : i - inputCount)
          $0.text(" is described as ")
          $0.tensor(given)
          $0.text(" of rank ")
          $0.number(Int(given.rank))
        }
      }
    }
  }

  func expectActivation(_ activation: xfer_activation) throws(Refusal) {
    guard !(Int32(XFER_ACTIVATION_LINEAR)...Int32(XFER_ACTIVATION_HARD_SILU)).contains(activation.kind) else { return }
    throw refuse(XFER_E_INVALID_ARGUMENT) {
      $0.text("activation ")
      $0.number(Int(activation.kind))
      $0.text(" is unknown, 0...13 are known")
    }
  }
}
