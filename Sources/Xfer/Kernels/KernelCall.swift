import CXfer
import Glibc
import XferCore
import XferGraph

/// A call of a kernel laid out for the shapes of a plan: what does not change between runs is written once.
enum KernelCall {
  struct Site {
    let title: String
    let isBackward: Bool
    let primary: Int
    let attributes: [String: Double]

    func check(_ status: Int32) throws {
      guard status == 0 else { throw XferError.data("\(title) failed: it returned the status \(status)") }
    }
  }

  static func prepare(
    _ site: Site, _ owned: OwnedFunction, _ inputs: [TensorDescription], _ outputs: [TensorDescription?]
  ) throws -> CustomOp.Run {
    switch owned.function {
    case .frame(let function):
      let frame = CallFrame(site, owned, inputs, outputs)
      return { from, to in try site.check(frame.call(function, from, to)) }
    case .native(let signature, let interface, let address):
      if let direct = direct(signature, address, inputs, outputs, owned) { return direct }
      let call = try NativeCall(site, owned, signature, interface, address, inputs, outputs)
      return { from, to in try call.run(from, to) }
    }
  }

  /// Functions of one number, libm's among them, need no libffi: the compiler knows how to call them.
  private static func direct(
    _ signature: KernelSignature, _ address: UnsafeRawPointer, _ inputs: [TensorDescription], _ outputs: [TensorDescription?],
    _ owned: OwnedFunction
  ) -> CustomOp.Run? {
    guard !signature.isBackward, signature.parameters.count == 1, inputs[0].dtype == .float32, let output = outputs[0] else { return nil }
    let count = output.count
    switch (signature.result, signature.parameters[0].type) {
    case (.element(.f32), .f32?):
      let function = unsafeBitCast(address, to: (@convention(c) (Float) -> Float).self)
      return { from, to in
        guard let x = from[0]?.assumingMemoryBound(to: Float.self), let y = to[0]?.assumingMemoryBound(to: Float.self) else { return }
        withExtendedLifetime(owned) { for i in 0..<count { y[i] = function(x[i]) } }
      }
    case (.element(.f64), .f64?):
      let function = unsafeBitCast(address, to: (@convention(c) (Double) -> Double).self)
      return { from, to in
        guard let x = from[0]?.assumingMemoryBound(to: Float.self), let y = to[0]?.assumingMemoryBound(to: Float.self) else { return }
        withExtendedLifetime(owned) { for i in 0..<count { y[i] = Float(function(Double(x[i]))) } }
      }
    default: return nil
    }
  }
}

/// Memory for C that lives as long as its owner.
final class CMemory<Element> {
  let base: UnsafeMutablePointer<Element>
  init(_ count: Int, _ value: Element) {
    base = .allocate(capacity: max(count, 1))
    base.initialize(repeating: value, count: max(count, 1))
  }
  convenience init(_ values: [Element], or empty: Element) {
    self.init(values.count, empty)
    for (index, value) in values.enumerated() { base[index] = value }
  }
  deinit { base.deallocate() }
}

/// The structure a frame function gets.
private final class CallFrame {
  private let call: CMemory<xfer_call>
  private let inputs: CMemory<xfer_call_tensor>
  private let outputs: CMemory<xfer_call_tensor>
  private let outputBytes: [Int]
  private let inputCount: Int
  private let owned: OwnedFunction
  private var kept: [AnyObject] = []
  private var texts: [UnsafeMutablePointer<CChar>?] = []

  init(_ site: KernelCall.Site, _ owned: OwnedFunction, _ inputs: [TensorDescription], _ outputs: [TensorDescription?]) {
    self.owned = owned
    inputCount = inputs.count
    outputBytes = outputs.map { $0?.byteCount ?? 0 }
    var kept: [AnyObject] = []
    func described(_ description: TensorDescription?) -> xfer_call_tensor {
      guard let description else { return xfer_call_tensor() }
      let dims = CMemory(description.shape.map { Int64($0) }, or: 0)
      kept.append(dims)
      return xfer_call_tensor(
        data: nil, dims: UnsafePointer(dims.base), count: Int64(description.count), rank: Int32(description.shape.count),
        dtype: description.dtype.rawValue)
    }
    self.inputs = CMemory(inputs.map(described), or: xfer_call_tensor())
    self.outputs = CMemory(outputs.map(described), or: xfer_call_tensor())
    let attributes = site.attributes.sorted { $0.key < $1.key }
    texts = attributes.map { strdup($0.key) }
    let names = CMemory<UnsafePointer<CChar>?>(texts.map { $0.map { UnsafePointer($0) } }, or: nil)
    let values = CMemory(attributes.map(\.value), or: 0)
    kept += [names, values]
    self.kept = kept
    call = CMemory(
      1,
      xfer_call(
        struct_size: MemoryLayout<xfer_call>.size, user: owned.user, is_backward: site.isBackward ? 1 : 0, n_inputs: UInt32(inputs.count),
        n_outputs: UInt32(outputs.count), n_attributes: UInt32(attributes.count), inputs: UnsafePointer(self.inputs.base),
        outputs: UnsafePointer(self.outputs.base), attribute_names: UnsafePointer(names.base), attribute_values: UnsafePointer(values.base))
    )
  }

  deinit { for text in texts { free(text) } }

  func call(
    _ function: xfer_frame_fn, _ from: UnsafePointer<UnsafeRawPointer?>, _ to: UnsafePointer<UnsafeMutableRawPointer?>
  ) -> Int32 {
    for i in 0..<inputCount { inputs.base[i].data = UnsafeMutableRawPointer(mutating: from[i]) }
    for i in outputBytes.indices {
      outputs.base[i].data = to[i]
      if let place = to[i] { memset(place, 0, outputBytes[i]) }
    }
    return function(UnsafePointer(call.base))
  }
}

/// A call through libffi.
private final class NativeCall {
  /// A tensor parameter: which address of the run goes into which slot, and its elements where they are of another type than the tensor's.
  private struct Tensor {
    let slot: Int
    let place: Int
    let isOutput: Bool
    let description: TensorDescription
    let type: KernelSignature.Scalar
    let scratch: CMemory<UInt64>?
  }

  private let site: KernelCall.Site
  private let owned: OwnedFunction
  private let interface: CallInterface
  private let address: UnsafeRawPointer
  private let result: KernelSignature.Result
  private let slots: CMemory<UInt64>
  private let arguments: CMemory<UnsafeMutableRawPointer?>
  private let returned = CMemory<UInt64>(2, 0)
  private var tensors: [Tensor] = []
  private var kept: [AnyObject] = []
  private let outputs: [TensorDescription?]
  /// What a run without conversions does before the call, in memory that is read without counting references: addresses into slots,
  /// outputs to be cleared. Nil where elements are converted or passed one by one.
  private let plain: (moves: CMemory<Move>, moveCount: Int, clears: CMemory<Clear>, clearCount: Int)?

  private struct Move {
    let slot: UnsafeMutablePointer<UInt64>
    let place: Int
    let isOutput: Bool
  }

  private struct Clear {
    let place: Int
    let bytes: Int
  }

  init(
    _ site: KernelCall.Site, _ owned: OwnedFunction, _ signature: KernelSignature, _ interface: CallInterface, _ address: UnsafeRawPointer,
    _ inputs: [TensorDescription], _ outputs: [TensorDescription?]
  ) throws {
    (self.site, self.owned, self.interface, self.address, self.outputs) = (site, owned, interface, address, outputs)
    result = signature.result
    let perElement = if case .element = signature.result { true } else { false }
    let count = signature.parameters.count
    slots = CMemory(count, 0)
    arguments = CMemory(count, nil)
    for index in 0..<count { arguments.base[index] = UnsafeMutableRawPointer(slots.base + index) }
    // A gradient's inputs are the op's own, its output, and dy.
    let own = site.isBackward ? inputs.count - 2 : inputs.count
    let result = site.isBackward ? inputs[own] : outputs[0] ?? inputs[0]
    var tensors: [Tensor] = []
    var kept: [AnyObject] = []
    func description(_ operand: KernelSignature.Operand?) throws -> TensorDescription {
      switch operand {
      case .output?: return result
      case .outputGradient?: return inputs[own + 1]
      case .input(let index)?, .inputGradient(let index)?:
        guard index < own else { throw XferError.shape("\(site.title): input \(index) is asked for, there are \(own)") }
        return inputs[index]
      case nil: return inputs[min(site.primary, own - 1)]
      }
    }
    for (slot, parameter) in signature.parameters.enumerated() {
      let number: Double
      switch parameter.role {
      case .tensor(let operand):
        let shape = try description(operand)
        guard let type = parameter.type else { continue }
        let (place, isOutput): (Int, Bool) =
          switch operand {
          case .input(let index): (index, false)
          case .output: site.isBackward ? (own, false) : (0, true)
          case .outputGradient: (own + 1, false)
          case .inputGradient(let index): (index, true)
          }
        // An unwanted gradient is computed all the same, into memory nobody reads: the function need not ask.
        let unwanted = isOutput && outputs[place] == nil
        if perElement, shape.count != result.count {
          throw XferError.shape(
            "\(site.title): a function of elements wants tensors of one size, \(shape.shape) and \(result.shape) were given")
        }
        let converts = type.dtype != shape.dtype || unwanted
        let scratch = converts && !perElement ? CMemory<UInt64>((shape.count * type.size + 7) / 8, 0) : nil
        tensors.append(Tensor(slot: slot, place: place, isOutput: isOutput, description: shape, type: type, scratch: scratch))
        continue
      case .dims(let operand):
        let dims = CMemory(try description(operand).shape.map { Int64($0) }, or: 0)
        kept.append(dims)
        slots.base[slot] = UInt64(UInt(bitPattern: dims.base))
        continue
      case .user:
        slots.base[slot] = UInt64(UInt(bitPattern: owned.user))
        continue
      case .count(let operand): number = Double(try description(operand).count)
      case .rank(let operand): number = Double(try description(operand).shape.count)
      case .rows: number = Double(try description(nil).shape.first ?? 1)
      case .columns: number = Double(try description(nil).shape.dropFirst().reduce(1, *))
      case .attribute(let name):
        guard let value = site.attributes[name] else { throw XferError.invalid("\(site.title): the attribute '\(name)' was not given") }
        number = value
      }
      guard let type = parameter.type else { continue }
      if type == .i32, number > 2147483647 {
        throw XferError.shape("\(site.title): '\(parameter.name)' is \(Int(number)), which an i32 cannot hold: take i64")
      }
      store(number, UnsafeMutableRawPointer(slots.base + slot), type)
    }
    (self.tensors, self.kept) = (tensors, kept)
    guard !perElement, tensors.allSatisfy({ $0.scratch == nil }) else {
      plain = nil
      return
    }
    let base = slots.base
    let moves = tensors.map { Move(slot: base + $0.slot, place: $0.place, isOutput: $0.isOutput) }
    let clears = outputs.enumerated().compactMap { place, output in output.map { Clear(place: place, bytes: $0.byteCount) } }
    plain = (
      CMemory(moves, or: Move(slot: base, place: 0, isOutput: false)), moves.count, CMemory(clears, or: Clear(place: 0, bytes: 0)),
      clears.count
    )
  }

  func run(_ from: UnsafePointer<UnsafeRawPointer?>, _ to: UnsafePointer<UnsafeMutableRawPointer?>) throws {
    if let plain {
      for i in 0..<plain.clearCount {
        let clear = plain.clears.base[i]
        if let place = to[clear.place] { memset(place, 0, clear.bytes) }
      }
      for i in 0..<plain.moveCount {
        let move = plain.moves.base[i]
        move.slot.pointee = UInt64(UInt(bitPattern: move.isOutput ? to[move.place].map { UnsafeRawPointer($0) } : from[move.place]))
      }
      interface.call(address, UnsafeMutableRawPointer(returned.base), arguments.base)
      if result == .status { try site.check(Int32(truncatingIfNeeded: returned.base[0])) }
      return
    }
    if case .element(let type) = result { return runElements(type, from, to) }
    for (index, description) in outputs.enumerated() {
      if let description, let place = to[index] { memset(place, 0, description.byteCount) }
    }
    for tensor in tensors {
      let memory = tensor.isOutput ? to[tensor.place].map { UnsafeRawPointer($0) } : from[tensor.place]
      if let scratch = tensor.scratch {
        if tensor.isOutput {
          memset(scratch.base, 0, tensor.description.count * tensor.type.size)
        } else if let memory {
          convert(memory, tensor.description.dtype, UnsafeMutableRawPointer(scratch.base), tensor.type.dtype, tensor.description.count)
        }
        slots.base[tensor.slot] = UInt64(UInt(bitPattern: scratch.base))
      } else {
        slots.base[tensor.slot] = UInt64(UInt(bitPattern: memory))
      }
    }
    interface.call(address, UnsafeMutableRawPointer(returned.base), arguments.base)
    if result == .status { try site.check(Int32(truncatingIfNeeded: returned.base[0])) }
    for tensor in tensors where tensor.isOutput {
      if let scratch = tensor.scratch, let place = to[tensor.place] {
        convert(UnsafeRawPointer(scratch.base), tensor.type.dtype, place, tensor.description.dtype, tensor.description.count)
      }
    }
  }

  /// Calls the function for each element.
  private func runElements(
    _ type: KernelSignature.Scalar, _ from: UnsafePointer<UnsafeRawPointer?>, _ to: UnsafePointer<UnsafeMutableRawPointer?>
  ) {
    guard let description = outputs[0], let place = to[0] else { return }
    let out = place.assumingMemoryBound(to: Float.self)
    let room = UnsafeMutableRawPointer(returned.base)
    for index in 0..<description.count {
      for tensor in tensors {
        guard let memory = from[tensor.place] else { continue }
        store(element(memory, tensor.description.dtype, index), UnsafeMutableRawPointer(slots.base + tensor.slot), tensor.type)
      }
      interface.call(address, room, arguments.base)
      out[index] = type == .f64 ? Float(room.load(as: Double.self)) : room.load(as: Float.self)
    }
  }
}

/// Writes a number as a C value of this type; what does not fit is brought to the nearest that does.
private func store(_ value: Double, _ place: UnsafeMutableRawPointer, _ type: KernelSignature.Scalar) {
  switch type {
  case .f32: place.storeBytes(of: Float(value), as: Float.self)
  case .f64: place.storeBytes(of: value, as: Double.self)
  case .i32: place.storeBytes(of: Int32(clampedInteger(value, -2147483648, 2147483647)), as: Int32.self)
  case .i64: place.storeBytes(of: Int64(clampedInteger(value, -9.2e18, 9.2e18)), as: Int64.self)
  case .u8: place.storeBytes(of: UInt8(clampedInteger(value, 0, 255)), as: UInt8.self)
  }
}

private func clampedInteger(_ value: Double, _ low: Double, _ high: Double) -> Double {
  value.isNaN ? 0 : min(max(value, low), high).rounded(.towardZero)
}

private func element(_ memory: UnsafeRawPointer, _ dtype: DType, _ index: Int) -> Double {
  switch dtype {
  case .float32: Double(memory.load(fromByteOffset: index * 4, as: Float.self))
  case .float64: memory.load(fromByteOffset: index * 8, as: Double.self)
  case .int32: Double(memory.load(fromByteOffset: index * 4, as: Int32.self))
  case .int64: Double(memory.load(fromByteOffset: index * 8, as: Int64.self))
  case .uint8, .bool: Double(memory.load(fromByteOffset: index, as: UInt8.self))
  case .float16, .bfloat16: .nan
  }
}

private func convert(_ from: UnsafeRawPointer, _ given: DType, _ to: UnsafeMutableRawPointer, _ wanted: DType, _ count: Int) {
  if given == wanted {
    to.copyMemory(from: from, byteCount: count * given.size)
    return
  }
  guard let type = KernelSignature.Scalar.allCases.first(where: { $0.dtype == wanted }) else { return }
  for index in 0..<count { store(element(from, given, index), to + index * wanted.size, type) }
}
