import Glibc

/// Which end of a buffer lies against a page that cannot be touched.
enum GuardPage {
  case end, start

  var name: String { self == .end ? "a guard page at the end" : "a guard page at the start" }
}

/// Memory with a known pattern on both sides, or between two pages that cannot be touched.
///
/// The pattern reads as NaN in float: what is read beyond the ends and used shows in the result, what is written there shows in the
/// pattern. Against a guard page every touch beyond that end stops the process, also of what is read and thrown away.
final class Buffer: @unchecked Sendable {
  let data: UnsafeMutableRawPointer
  let count: Int
  private let region: UnsafeMutableRawBufferPointer
  private let mapped: Bool
  /// What may be looked at around the data.
  private let visible: UnsafeMutableRawBufferPointer
  private let slot: Int?

  private static let pattern: UInt32 = 0x7FC5_A5A5
  private static let margin = 256

  /// `offset`: bytes off the 64-byte alignment, without a guard page. `guardPage`: the data lies against the page, at the end at most
  /// `alignment` − 1 bytes before it. `name`, `number`: what a fault beyond an end is reported as.
  init(
    count: Int, offset: Int = 0, guardPage: GuardPage? = nil, alignment: Int = 64, name: StaticString = "buffer", number: Int = 0
  ) {
    self.count = count
    let page = sysconf(Int32(_SC_PAGESIZE))
    let inner = (count + page) / page * page
    if let guardPage, let mapping = mmap(nil, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), mapping != MAP_FAILED,
      mprotect(mapping + page, inner, PROT_READ | PROT_WRITE) == 0
    {
      mapped = true
      region = UnsafeMutableRawBufferPointer(start: mapping, count: inner + 2 * page)
      visible = UnsafeMutableRawBufferPointer(start: mapping + page, count: inner)
      data = mapping + page + (guardPage == .end ? (inner - count) / alignment * alignment : 0)
      slot = FaultReport.watch(UnsafeRawBufferPointer(region), UnsafeRawBufferPointer(start: data, count: count), name, number)
    } else {
      mapped = false
      slot = nil
      let total = Self.margin * 2 + (count + 63) / 64 * 64 + 64
      let start = UnsafeMutableRawPointer.allocate(byteCount: total, alignment: 64)
      region = UnsafeMutableRawBufferPointer(start: start, count: total)
      visible = region
      data = start + Self.margin + offset
    }
    visible.withMemoryRebound(to: UInt32.self) { $0.update(repeating: Self.pattern) }
  }

  deinit {
    if let slot { FaultReport.forget(slot) }
    if mapped { munmap(region.baseAddress, region.count) } else { region.deallocate() }
  }

  func fill(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { if let source = $0.baseAddress { data.copyMemory(from: source, byteCount: bytes.count) } }
  }

  var bytes: [UInt8] { Array(UnsafeRawBufferPointer(start: data, count: count)) }

  private func isIntact(_ i: Int) -> Bool { visible[i] == UInt8(truncatingIfNeeded: Self.pattern >> UInt32(i % 4 * 8)) }

  /// Where something was written outside the data; nil when nothing was.
  var damage: String? {
    let first = data - (visible.baseAddress ?? data)
    for i in 0..<first where !isIntact(i) { return "wrote \(first - i) bytes before the start" }
    for i in (first + count)..<visible.count where !isIntact(i) { return "wrote \(i - first - count + 1) bytes beyond the end" }
    return nil
  }
}
