import Glibc
import Synchronization
import CXfer

/// The `xfer_host` every plugin gets: thread pool, memory, log and error text. It lives as long as the process.
enum HostTable {
  nonisolated(unsafe) static let pointer: UnsafePointer<xfer_host> = {
    let host = UnsafeMutablePointer<xfer_host>.allocate(capacity: 1)
    host.initialize(
      to: xfer_host(
        struct_size: MemoryLayout<xfer_host>.size,
        abi_major: UInt32(XFER_PLUGIN_ABI_MAJOR), abi_minor: UInt32(XFER_PLUGIN_ABI_MINOR),
        max_isa: isaCap(),
        thread_count: { _ in Int32(ThreadPool.shared.threadCount) },
        parallel_for: { _, count, grain, fn, context in
          if let fn { ThreadPool.shared.run(count: count, grain: grain, fn, context) }
        },
        alloc: { _, bytes, alignment in try? alignedMemory(bytes, alignment: max(alignment, MemoryLayout<Int>.size)) },
        free: { _, pointer in Glibc.free(pointer) },
        log: { _, level, message in if let message { log(level, String(cString: message)) } },
        set_error: { _, message in LastMessage.set(message.map { String(cString: $0) } ?? "") }
      ))
    return UnsafePointer(host)
  }()

  private static func isaCap() -> Int32 {
    switch getenv("XFER_MAX_ISA").map({ String(cString: $0) }) {
    case "baseline": Int32(XFER_ISA_BASELINE)
    case "avx2": Int32(XFER_ISA_AVX2)
    case "avx512": Int32(XFER_ISA_AVX512)
    case "avx512bf16": Int32(XFER_ISA_AVX512_BF16)
    case "amx", nil: Int32(XFER_ISA_AMX_BF16)
    case let other?:
      {
        log(
          Int32(XFER_LOG_WARNING),
          "XFER_MAX_ISA is to be baseline, avx2, avx512, avx512bf16 or amx, '\(other)' was given: nothing is capped")
        return Int32(XFER_ISA_AMX_BF16)
      }()
    }
  }
}

private let logHandler = Mutex<(@Sendable (_ level: Int32, _ message: String) -> Void)?>(nil)

/// Takes log lines from now on, from any thread; nil: stderr.
public func setLogHandler(_ handler: (@Sendable (_ level: Int32, _ message: String) -> Void)?) { logHandler.withLock { $0 = handler } }

/// Log lines go to stderr or to who asked for them; below warnings only with XFER_LOG=debug or info.
public func log(_ level: Int32, _ message: String) {
  let threshold: Int32 =
    switch getenv("XFER_LOG").map({ String(cString: $0) }) {
    case "debug": Int32(XFER_LOG_DEBUG)
    case "info": Int32(XFER_LOG_INFO)
    case "error": Int32(XFER_LOG_ERROR)
    default: Int32(XFER_LOG_WARNING)
    }
  guard level >= threshold else { return }
  if let handler = logHandler.withLock({ $0 }) { handler(level, message) } else { writeError("xfer: \(message)\n") }
}

/// Writes text to stderr in one call.
public func writeError(_ text: String) {
  var text = text
  text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
}

/// The last message a plugin left for the calling thread.
enum LastMessage {
  private static let messages = Mutex<[UInt: String]>([:])

  static func set(_ message: String) { messages.withLock { $0[UInt(pthread_self())] = message } }
  static func take() -> String { messages.withLock { $0.removeValue(forKey: UInt(pthread_self())) } ?? "no reason was given" }
}

/// Turns a plugin's status into an error with the plugin's own words.
public func check(_ status: xfer_status, _ what: @autoclosure () -> String) throws {
  if status != XFER_OK { throw XferError(status, "\(what()): \(LastMessage.take())") }
}
