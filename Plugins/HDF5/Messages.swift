import CXfer

/// Bytes read from front to back, never beyond their end.
struct Bytes {
  private(set) var start: UnsafePointer<UInt8>
  private(set) var count: Int
  /// False once more was asked for than there is.
  private(set) var isWhole = true

  init(start: UnsafePointer<UInt8>, count: Int) { (self.start, self.count) = (start, count) }

  init(start: UnsafeMutablePointer<UInt8>, count: Int) { self.init(start: UnsafePointer(start), count: count) }

  mutating func skip(_ bytes: Int) -> Bool {
    guard bytes >= 0, bytes <= count else {
      isWhole = false
      return false
    }
    start += bytes
    count -= bytes
    return true
  }

  mutating func take(_ bytes: Int) -> Bytes? {
    let part = Bytes(start: start, count: bytes)
    return skip(bytes) ? part : nil
  }

  /// A little-endian number of up to four bytes.
  mutating func number(_ bytes: Int) -> Int? { long(bytes).map { Int(truncatingIfNeeded: $0) } }

  mutating func long(_ bytes: Int) -> UInt64? {
    let place = start
    return skip(bytes) ? littleEndian(place, bytes) : nil
  }

  /// Skips a name with its end mark, filled up to a multiple of `unit`.
  mutating func skipName(unit: Int) -> Bool {
    var length = 0
    while length < count, start[length] != 0 { length += 1 }
    return length < count && skip((length + unit) / unit * unit)
  }
}

func littleEndian(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> UInt64 {
  var value: UInt64 = 0
  for i in 0..<count { value |= UInt64(bytes[i]) << UInt64(8 * i) }
  return value
}

func sum(_ a: UInt64, _ b: UInt64) -> UInt64? {
  let (sum, overflow) = a.addingReportingOverflow(b)
  return overflow || sum > UInt64(Int64.max) ? nil : sum
}

/// The number of elements a dataspace message tells, nil when it is damaged.
func dataspaceElements(_ body: inout Bytes, _ sizes: FileSizes) -> Int? {
  guard let version = body.number(1), let rank = body.number(1), let flags = body.number(1), rank <= 32 else { return nil }
  switch version {
  case 1: guard body.skip(5) else { return nil }
  case 2:
    guard let kind = body.number(1) else { return nil }
    if kind == 2 { return 0 }
  default: return nil
  }
  var count = 1
  for _ in 0..<rank {
    guard let size = body.long(sizes.length) else { return nil }
    let (product, overflow) = count.multipliedReportingOverflow(by: Int(clamping: size))
    guard !overflow else { return nil }
    count = product
  }
  return flags & 1 == 0 || body.skip(rank * sizes.length) ? count : nil
}

/// Bytes of an element of the type a datatype message tells, nil when it is damaged. Skips the message.
func datatypeSize(_ body: inout Bytes, depth: Int = 0) -> Int? {
  guard depth < 8, let head = body.number(1), let bits = body.number(3), let size = body.number(4), size > 0 else { return nil }
  let version = head >> 4
  guard (1...3).contains(version) else { return nil }
  let isSound =
    switch head & 15 {
    case 0, 4: body.skip(4)
    case 1: body.skip(12)
    case 2: body.skip(2)
    case 3, 7: true
    case 5: body.skip(bits & 255)
    case 6: skipMembers(&body, version, bits & 0xFFFF, size, depth)
    case 8: skipEnumeration(&body, version, bits & 0xFFFF, depth)
    case 9: datatypeSize(&body, depth: depth + 1) != nil
    case 10: skipArray(&body, version, depth)
    default: false
    }
  return isSound ? size : nil
}

private func skipMembers(_ body: inout Bytes, _ version: Int, _ count: Int, _ size: Int, _ depth: Int) -> Bool {
  var offsetBytes = 1
  while offsetBytes < 4, size >> (8 * offsetBytes) > 0 { offsetBytes += 1 }
  for _ in 0..<count {
    guard body.skipName(unit: version < 3 ? 8 : 1), let offset = body.number(version < 3 ? 4 : offsetBytes),
      version > 1 || body.skip(28), let member = datatypeSize(&body, depth: depth + 1), offset <= size, member <= size - offset
    else { return false }
  }
  return count > 0
}

private func skipEnumeration(_ body: inout Bytes, _ version: Int, _ count: Int, _ depth: Int) -> Bool {
  guard let size = datatypeSize(&body, depth: depth + 1) else { return false }
  for _ in 0..<count {
    guard body.skipName(unit: version < 3 ? 8 : 1) else { return false }
  }
  let (values, overflow) = size.multipliedReportingOverflow(by: count)
  return !overflow && body.skip(values)
}

private func skipArray(_ body: inout Bytes, _ version: Int, _ depth: Int) -> Bool {
  guard let rank = body.number(1), rank <= 32, version > 2 || body.skip(3), body.skip(version > 2 ? 4 * rank : 8 * rank) else {
    return false
  }
  return datatypeSize(&body, depth: depth + 1) != nil
}
