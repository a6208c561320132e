import CXfer

/// A case failed in words.
struct Failure: Error { let reason: String }

/// How a case is run.
struct Mode {
  /// Inputs are marked constant, and packed where the backend packs.
  var constant = false
  var packed = false
  /// Buffers one element off their alignment, as a caller's own memory may be.
  var misaligned = false
  /// Every buffer, the workspace too, lies against a page that cannot be touched; inputs and outputs with no byte between.
  var guardPage: GuardPage?
  /// The threads the host tells of when the kernel is prepared, and when it is executed; nil leaves the host as it is.
  var threads: (prepare: Int, execute: Int)?
  /// Which of the backend's variants of the op.
  var variant = 0
  /// The entry of `Case.aliases` that shares memory.
  var alias: [Int: Int] = [:]

  var name: String {
    let parts = [
      packed ? "packed constants" : constant ? "constants" : nil, misaligned ? "misaligned" : nil, guardPage?.name,
      variant > 0 ? "variant \(variant)" : nil,
      threads.map { $0.prepare == $0.execute ? "\($0.execute) threads" : "prepared for \($0.prepare) threads, run with \($0.execute)" },
      alias.isEmpty ? nil : "aliased \(alias.sorted { $0.key < $1.key }.map { "output \($0.key) with input \($0.value)" })",
    ].compactMap { $0 }
    return parts.isEmpty ? "plain" : parts.joined(separator: ", ")
  }
}

/// Runs cases on a backend.
struct Runner {
  let backend: xfer_backend
  /// The host the plugin was entered with, where cases set its thread count.
  var host: ConformanceHost?

  init?(_ plugin: UnsafePointer<xfer_plugin>, host: ConformanceHost? = nil) {
    self.host = host
    guard plugin.pointee.kind == Int32(XFER_PLUGIN_BACKEND), let table = plugin.pointee.table,
      table.load(as: Int.self) >= MemoryLayout<xfer_backend>.offset(of: \.variants) ?? 0
    else { return nil }
    var backend = xfer_backend()
    withUnsafeMutableBytes(of: &backend) { copy in
      copy.copyMemory(from: UnsafeRawBufferPointer(start: table, count: min(table.load(as: Int.self), copy.count)))
    }
    self.backend = backend
  }

  func withDescription<T>(
    _ test: Case, constants: UInt64, packed: UInt64, variant: Int = 0, _ body: (UnsafePointer<xfer_op_desc>) throws -> T
  ) rethrows -> T {
    try test.inputs.map(\.desc).withUnsafeBufferPointer { inputs in
      try test.outputs.withUnsafeBufferPointer { outputs in
        // A copy of doublewords: attribute structures hold nothing of a larger alignment.
        var words = [UInt64](repeating: 0, count: test.attributes.count / 8 + 1)
        words.withUnsafeMutableBytes { $0.copyBytes(from: test.attributes) }
        return try words.withUnsafeBytes { attributes in
          var desc = xfer_op_desc(
            struct_size: MemoryLayout<xfer_op_desc>.size, op: Int32(test.op), n_inputs: UInt32(inputs.count),
            n_outputs: UInt32(outputs.count),
            inputs: inputs.baseAddress, outputs: outputs.baseAddress, attributes: test.attributes.isEmpty ? nil : attributes.baseAddress,
            constant_inputs: constants, packed_inputs: packed, precision: test.precision, variant: UInt64(variant))
          return try body(&desc)
        }
      }
    }
  }

  func supports(_ test: Case) -> Int32 { withDescription(test, constants: 0, packed: 0) { backend.supports?($0) ?? 0 } }

  /// In how many variants the backend knows the op.
  func variants(_ test: Case) -> Int { withDescription(test, constants: test.constants, packed: 0) { Int(backend.variants?($0) ?? 1) } }

  /// Bytes and layout of a packed input; nil when the backend takes it as it is.
  func packing(_ test: Case, _ input: Int) -> (bytes: Int, layout: UInt64)? {
    guard let packSize = backend.pack_size else { return nil }
    var layout: UInt64 = 0
    let bytes = withDescription(test, constants: test.constants, packed: 0) { packSize($0, UInt32(input), &layout) }
    return bytes > 0 ? (bytes, layout) : nil
  }

  /// Whether anything of the case can be packed.
  func packs(_ test: Case) -> Bool { test.inputs.indices.contains { test.constants >> UInt64($0) & 1 == 1 && packing(test, $0) != nil } }

  /// Prepares, executes once (or `times`, the last counts) and releases. Throws what went wrong, damage to memory included.
  func run(_ test: Case, _ mode: Mode = Mode(), times: Int = 1) throws(Failure) -> [[UInt8]] {
    var packed: UInt64 = 0
    var inputs: [Buffer] = []
    for (index, input) in test.inputs.enumerated() {
      if mode.packed, test.constants >> UInt64(index) & 1 == 1, let packing = packing(test, index) {
        inputs.append(try pack(test, index, bytes: packing.bytes, mode))
        packed |= 1 << UInt64(index)
      } else {
        let buffer = makeBuffer(input.desc, mode, "input", index)
        buffer.fill(input.bytes)
        inputs.append(buffer)
      }
    }
    var outputs = test.outputs.enumerated().map { makeBuffer($1, mode, "output", $0) }
    for (output, input) in mode.alias { outputs[output] = inputs[input] }

    var kernel: OpaquePointer?
    var workspaceBytes = 0
    if let threads = mode.threads { host?.tellsOf(threads: threads.prepare) }
    let constants = mode.constant || mode.packed ? test.constants : 0
    let status = withDescription(test, constants: constants, packed: packed, variant: mode.variant) {
      backend.prepare?($0, &kernel, &workspaceBytes) ?? XFER_E_PLUGIN
    }
    guard status == XFER_OK, let kernel else { throw Failure(reason: "prepare gave \(status)") }
    defer { backend.release?(kernel) }
    let workspace = Buffer(count: workspaceBytes, guardPage: mode.guardPage, name: "workspace")
    if let threads = mode.threads { host?.tellsOf(threads: threads.execute) }
    let inputPointers = inputs.map { UnsafeRawPointer?($0.data) }
    let outputPointers = outputs.map { UnsafeMutableRawPointer?($0.data) }
    for _ in 0..<times {
      let status = backend.execute?(kernel, inputPointers, outputPointers, workspace.data) ?? XFER_E_PLUGIN
      guard status == XFER_OK else { throw Failure(reason: "execute gave \(status)") }
    }
    for (index, buffer) in inputs.enumerated() {
      if let damage = buffer.damage { throw Failure(reason: "input \(index): \(damage)") }
      if !mode.alias.values.contains(index), packed >> UInt64(index) & 1 == 0, buffer.bytes != test.inputs[index].bytes {
        throw Failure(reason: "input \(index) was changed")
      }
    }
    for (index, buffer) in outputs.enumerated() {
      if let damage = buffer.damage { throw Failure(reason: "output \(index): \(damage)") }
    }
    if let damage = workspace.damage { throw Failure(reason: "workspace of \(workspaceBytes) bytes: \(damage)") }
    return outputs.map(\.bytes)
  }

  private func makeBuffer(_ desc: xfer_tensor_desc, _ mode: Mode, _ name: StaticString, _ number: Int) -> Buffer {
    Buffer(
      count: desc.byteCount, offset: mode.misaligned ? desc.elementSize : 0, guardPage: mode.guardPage, alignment: desc.elementSize,
      name: name, number: number)
  }

  func pack(_ test: Case, _ input: Int, bytes: Int, _ mode: Mode) throws(Failure) -> Buffer {
    let source = makeBuffer(test.inputs[input].desc, mode, "the source of packed input", input)
    source.fill(test.inputs[input].bytes)
    let target = Buffer(count: bytes, guardPage: mode.guardPage, name: "packed input", number: input)
    let status = withDescription(test, constants: test.constants, packed: 0) {
      backend.pack?($0, UInt32(input), source.data, target.data) ?? XFER_E_PLUGIN
    }
    guard status == XFER_OK else { throw Failure(reason: "pack of input \(input) gave \(status)") }
    if let damage = source.damage ?? target.damage { throw Failure(reason: "pack of input \(input) into \(bytes) bytes: \(damage)") }
    return target
  }
}
