import Glibc

/// Memory with a known pattern on both sides, or between two pages that cannot be touched.
///
/// The pattern reads as NaN in float: what is read beyond the ends and used shows in the result, what is written there shows in the
/// pattern. Between guard pages every touch beyond the end stops the process, also of what is read and thrown away.
final class Buffer {
  let data: UnsafeMutableRawPointer
  let count: Int
  private let region: UnsafeMutableRawBufferPointer
  private let mapped: Bool
  /// What may be looked at around the data.
  private let visible: UnsafeMutableRawBufferPointer

  private static let pattern: [UInt8] = [0xA5, 0xA5, 0xC5, 0x7F]
  private static let margin = 256

  /// `offset`: bytes off the 64-byte alignment. `guarded`: the end lies against a guard page, at most `alignment` − 1 bytes before it.
  init(count: Int, offset: Int = 0, guarded: Bool = false, alignment: Int = 64) {
    self.count = count
    let page = sysconf(Int32(_SC_PAGESIZE))
    let inner = (count + Self.margin + page - 1) / page * page
    if guarded, let mapping = mmap(nil, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), mapping != MAP_FAILED,
      mprotect(mapping + page, inner, PROT_READ | PROT_WRITE) == 0
    {
      mapped = true
      region = UnsafeMutableRawBufferPointer(start: mapping, count: inner + 2 * page)
      visible = UnsafeMutableRawBufferPointer(start: mapping + page, count: inner)
      data = mapping + page + (inner - count) / alignment * alignment
    } else {
      mapped = false
      let total = Self.margin * 2 + (count + 63) / 64 * 64 + 64
      let start = UnsafeMutableRawPointer.allocate(byteCount: total, alignment: 64)
      region = UnsafeMutableRawBufferPointer(start: start, count: total)
      visible = region
      data = start + Self.margin + offset
    }
    for i in visible.indices { visible[i] = Self.pattern[i & 3] }
  }

  deinit {
    if mapped { munmap(region.baseAddress, region.count) } else { region.deallocate() }
  }

  func fill(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { if let source = $0.baseAddress { data.copyMemory(from: source, byteCount: bytes.count) } }
  }

  var bytes: [UInt8] { Array(UnsafeRawBufferPointer(start: data, count: count)) }

  /// Where something was written outside the data; nil when nothing was.
  var damage: String? {
    let first = data - (visible.baseAddress ?? data)
    for i in 0..<first where visible[i] != Self.pattern[i & 3] { return "wrote \(first - i) bytes before the start" }
    for i in (first + count)..<visible.count where visible[i] != Self.pattern[i & 3] {
      return "wrote \(i - first - count + 1) bytes beyond the end"
    }
    return nil
  }
}
