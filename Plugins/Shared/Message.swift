import CXfer

/// The host that loaded this plugin, set once by the entry.
nonisolated(unsafe) var host: UnsafePointer<xfer_host>?

/// A part of an error sentence. C strings live as long as the call.
enum Part: ExpressibleByStringLiteral {
  case literal(StaticString)
  case text(UnsafePointer<CChar>?)
  case number(Int)

  init(stringLiteral value: StaticString) { self = .literal(value) }
}

/// Hands the sentence to the host and returns `status`, so that a failing function reads `return fail(...)`.
@inline(never)
func fail(_ status: xfer_status, _ parts: Part...) -> xfer_status {
  guard let host, let report = host.pointee.set_error else { return status }
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { buffer in
    var used = 0
    // Longer sentences (a hostile name can have any length) are cut.
    func put(_ byte: CChar) {
      if used < 1023 {
        buffer[used] = byte
        used += 1
      }
    }
    for part in parts {
      switch part {
      case .literal(let value):
        for i in 0..<value.utf8CodeUnitCount { put(CChar(bitPattern: value.utf8Start[i])) }
      case .text(let value):
        guard let value else { continue }
        var i = 0
        while value[i] != 0, used < 1023 {
          put(value[i])
          i += 1
        }
      case .number(let value):
        if value < 0 { put(45) }
        var divisor: UInt = 1
        while value.magnitude / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
          put(CChar(48 + value.magnitude / divisor % 10))
          divisor /= 10
        }
      }
    }
    buffer[used] = 0
    report(host, buffer.baseAddress)
  }
  return status
}

/// Memory of the host for `count` values; nil when there is none or the size is beyond reason.
func allocate<T>(_ type: T.Type, _ count: Int) -> UnsafeMutablePointer<T>? {
  let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<T>.stride)
  guard !overflow, let host, let memory = host.pointee.alloc?(host, bytes, 64) else { return nil }
  return memory.bindMemory(to: T.self, capacity: max(count, 1))
}

func release(_ pointer: UnsafeMutableRawPointer?) {
  if let host { host.pointee.free?(host, pointer) }
}

/// A copy of a C string in the host's memory.
func copyString(_ text: UnsafePointer<CChar>) -> UnsafeMutablePointer<CChar>? {
  var length = 0
  while text[length] != 0 { length += 1 }
  guard let copy = allocate(CChar.self, length + 1) else { return nil }
  copy.update(from: text, count: length + 1)
  return copy
}

/// A literal as the C string it is.
func cString(_ literal: StaticString) -> UnsafePointer<CChar> {
  UnsafeRawPointer(literal.utf8Start).assumingMemoryBound(to: CChar.self)
}
