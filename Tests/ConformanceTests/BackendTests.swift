import CXfer
import Glibc
import Testing

@testable import XferConformance

/// The plugins beside the tests, compared with the reference. One that was not built, or cannot run on this machine, is skipped.
@Suite("Backends against the reference") struct BackendTests {
  static let plugins = [
    "xfer-simd-baseline", "xfer-simd-avx2", "xfer-simd-avx512", "xfer-simd-avx512bf16", "xfer-simd-amx", "xfer-onednn", "xfer-blas",
    "xfer-naive",
  ]

  static func isUsable(_ name: String) -> Bool {
    let host = ConformanceHost()
    return loadPlugin(name, host: host).map { ($0.pointee.score?(host.pointer) ?? 1) > 0 } ?? false
  }

  @Test(
    "plugins that were built", .enabled(if: plugins.contains(where: isUsable), "no backend plugin is in the build folder"),
    arguments: plugins)
  func conformance(name: String) throws {
    let host = ConformanceHost(threads: 2)
    guard let plugin = loadPlugin(name, host: host) else {
      try skip("lib\(name).so is not in \(buildFolder)")
    }
    guard (plugin.pointee.score?(host.pointer) ?? 1) > 0 else {
      try skip("lib\(name).so cannot run here: \(host.lastError)")
    }
    let reference = try #require(loadPlugin("xfer-naive", host: host))
    let report = checkBackend(plugin, reference: reference, seed: 3, rounds: 25)
    #expect(report.passed, "\(report.text)")
    #expect(report.cases > 0, "the backend supports nothing")
    if name.hasPrefix("xfer-simd") {
      let declined = report.entries.filter { $0.name.contains("conv2d") && $0.declined > 0 }.map(\.name)
      #expect(declined.isEmpty, "every convolution has a kernel: in groups, with a depth multiplier, strided and dilated")
      for name in [
        "conv2d", "conv2d_backward_input", "conv2d_backward_kernel", "depthwise_conv2d", "depthwise_conv2d_backward_input",
        "depthwise_conv2d_backward_kernel", "separable_conv2d", "pool2d", "pool2d_backward", "reduce", "activation", "activation_backward",
        "binary", "scale_shift", "moments", "batchnorm_backward_reduce", "batchnorm_backward_input", "concat",
      ] {
        let entry = try #require(report.entries.first { $0.name == name })
        #expect(entry.halves > 0, "\(name) never ran on tensors of bfloat16")
      }
    }
  }

  /// In a process of its own, which a touched guard page ends.
  @Test(
    "plugins keep to their buffers in many shapes",
    .enabled(if: plugins.contains(where: isUsable), "no backend plugin is in the build folder"),
    arguments: plugins)
  func shapes(name: String) throws {
    guard Self.isUsable(name) else { try skip("lib\(name).so is not in \(buildFolder), or cannot run here") }
    let (status, output) = try runCommand(
      "\(buildFolder)/xfer-cli", ["plugin-check", "\(buildFolder)/lib\(name).so", "--rounds", "0", "--shapes", "80", "--seed", "4"])
    #expect(status == 0, "\(output)")
    #expect(output.contains("matmul between guard pages"), "\(output)")
  }

  /// The runner does not say why one argument's case was cancelled.
  private func skip(_ reason: String) throws -> Never {
    print("skipped: \(reason)")
    try Test.cancel(Comment(rawValue: reason))
  }
}

@Suite("The checker") struct CheckerTests {
  @Test("sees what is written beyond a buffer's ends")
  func canaries() {
    let buffer = Buffer(count: 10, offset: 4)
    #expect(buffer.damage == nil)
    buffer.data.storeBytes(of: 1, toByteOffset: 10, as: UInt8.self)
    #expect(buffer.damage == "wrote 1 bytes beyond the end")
    let other = Buffer(count: 8, guardPage: .end, alignment: 8)
    other.data.storeBytes(of: 1, toByteOffset: -4, as: UInt8.self)
    #expect(other.damage == "wrote 4 bytes before the start")
  }

  @Test("sees a wrong number, a wrong bit and a changed input", .serialized, arguments: [0, 1, 2])
  func brokenBackends(kind: Int) throws {
    // The reference's table with an execute that spoils what it did.
    let naive = try #require(naive)
    let good = try #require(naive.pointee.table).load(as: xfer_backend.self)
    Spoiled.execute = good.execute
    var table = good
    switch kind {
    case 0:
      table.execute = { kernel, inputs, outputs, workspace in
        let status = Spoiled.execute?(kernel, inputs, outputs, workspace) ?? XFER_E_PLUGIN
        outputs?[0]?.assumingMemoryBound(to: Float.self)[0] += 0.01
        return status
      }
    case 1:
      table.execute = { kernel, inputs, outputs, workspace in
        let status = Spoiled.execute?(kernel, inputs, outputs, workspace) ?? XFER_E_PLUGIN
        Spoiled.count += 1
        let bits = outputs?[0]?.assumingMemoryBound(to: UInt32.self)
        bits?[0] ^= UInt32(Spoiled.count % 5)
        return status
      }
    default:
      table.execute = { kernel, inputs, outputs, workspace in
        let status = Spoiled.execute?(kernel, inputs, outputs, workspace) ?? XFER_E_PLUGIN
        UnsafeMutableRawPointer(mutating: inputs?[0])?.assumingMemoryBound(to: Float.self)[0] += 1
        return status
      }
    }
    var plugin = naive.pointee
    var options = ConformanceOptions()
    options.gradients = false
    options.ops = ["scale_shift"]
    let report = withUnsafePointer(to: &table) { table in
      plugin.table = UnsafeRawPointer(table)
      return withUnsafePointer(to: &plugin) { checkBackend($0, reference: naive, seed: 5, rounds: 3, options: options) }
    }
    #expect(report.failures.count == 3, "\(report.text)")
  }

  @Test("names op, shapes, seed and buffer when a backend reads beyond an end")
  func faults() async throws {
    let result = await #expect(processExitsWith: .signal(SIGSEGV), observing: [\.standardErrorContent]) {
      let naive = try #require(naive)
      var table = try #require(naive.pointee.table).load(as: xfer_backend.self)
      Spoiled.execute = table.execute
      table.execute = { kernel, inputs, outputs, workspace in
        // The scale has one element a channel; this one looks for another.
        if let scale = inputs?[1] { Spoiled.count += Int(scale.load(fromByteOffset: 4 * 7, as: UInt32.self) & 1) }
        return Spoiled.execute?(kernel, inputs, outputs, workspace) ?? XFER_E_PLUGIN
      }
      var plugin = naive.pointee
      var options = ConformanceOptions()
      options.ops = ["scale_shift"]
      withUnsafePointer(to: &table) { table in
        plugin.table = UnsafeRawPointer(table)
        withUnsafePointer(to: &plugin) { _ = checkShapes($0, host: host, reference: naive, seed: 5, shapes: 50, options: options) }
      }
    }
    let words = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    for part in [
      "memory fault while checking scale_shift, shape ", " of seed 5: f32[", "a guard page at the end, ", " threads",
      " bytes beyond the end of input 1 was touched",
    ] { #expect(words.contains(part), "\(words)") }
  }

  @Test("sees what is left unwritten, and bits that depend on where the buffers lie", .serialized, arguments: [0, 1])
  func brokenBetweenPages(kind: Int) throws {
    let naive = try #require(naive)
    var table = try #require(naive.pointee.table).load(as: xfer_backend.self)
    Spoiled.execute = table.execute
    if kind == 0 {
      table.execute = { kernel, inputs, outputs, workspace in
        guard let y = outputs?[0]?.assumingMemoryBound(to: Float.self) else { return XFER_E_PLUGIN }
        let before = y[0]
        let status = Spoiled.execute?(kernel, inputs, outputs, workspace) ?? XFER_E_PLUGIN
        y[0] = before
        return status
      }
    } else {
      table.execute = { kernel, inputs, outputs, workspace in
        let status = Spoiled.execute?(kernel, inputs, outputs, workspace) ?? XFER_E_PLUGIN
        // One bit, far below what is tolerated.
        if let y = outputs?[0], UInt(bitPattern: y) % 4096 == 0 { y.assumingMemoryBound(to: UInt32.self)[0] ^= 1 }
        return status
      }
    }
    var plugin = naive.pointee
    var options = ConformanceOptions()
    options.ops = ["broadcast"]
    let report = withUnsafePointer(to: &table) { table in
      plugin.table = UnsafeRawPointer(table)
      return withUnsafePointer(to: &plugin) { checkShapes($0, host: host, reference: naive, seed: 5, shapes: 40, options: options) }
    }
    #expect(report.failures.count == 20, "\(report.text)")
    #expect(report.failures.allSatisfy { $0.contains("broadcast, shape ") && $0.contains(" of seed 5: ") }, "\(report.text)")
  }

  private typealias Execute =
    @convention(c) (
      OpaquePointer?, UnsafePointer<UnsafeRawPointer?>?, UnsafePointer<UnsafeMutableRawPointer?>?, UnsafeMutableRawPointer?
    ) -> xfer_status

  private enum Spoiled {
    nonisolated(unsafe) static var execute: Execute?
    nonisolated(unsafe) static var count = 0
  }
}
