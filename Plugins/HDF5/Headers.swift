import CHDF5
import CXfer

/// Checks the object headers of old files before the library reads them.
///
/// Headers of version 1, which all of Keras' published weight files have, carry no checksum, and the library (1.10) believes every length
/// in their messages: a damaged one makes it read beyond its memory. Headers of version 2 ("OHDR") are checksummed and left to it.
/// The layouts are those of the HDF5 File Format Specification 3.0, chapter IV.
struct HeaderCheck {
  private let file: File
  private let sizes: FileSizes

  init?(_ file: File) {
    guard let sizes = FileSizes(file) else { return nil }
    (self.file, self.sizes) = (file, sizes)
  }

  /// Whether the header at this address of the file can be given to the library.
  func accepts(_ address: UInt64) -> Bool {
    guard let start = sum(sizes.base, address) else { return false }
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { prefix in
      guard let bytes = prefix.baseAddress, read(start, bytes, 16) else { return false }
      if littleEndian(bytes, 4) == 0x5244_484F { return true }
      guard bytes[0] == 1 else { return false }
      // Headers go on elsewhere when they have grown; a bound ends those that lead back to themselves.
      var chunks = Chunks()
      guard chunks.add(start + 16, littleEndian(bytes + 8, 4)) else { return false }
      var index = 0
      while index < chunks.count {
        guard checkChunk(chunks[index].address, chunks[index].size, &chunks) else { return false }
        index += 1
      }
      return true
    }
  }

  private func read(_ address: UInt64, _ buffer: UnsafeMutablePointer<UInt8>, _ count: Int) -> Bool {
    guard let end = sum(address, UInt64(count)), end <= file.io.pointee.bytes else { return false }
    return readBytes(file.io, address, buffer, count)
  }

  private func checkChunk(_ address: UInt64, _ size: UInt64, _ chunks: inout Chunks) -> Bool {
    guard size <= 1 << 24, let bytes = allocate(UInt8.self, Int(size)) else { return false }
    defer { release(bytes) }
    guard read(address, bytes, Int(size)) else { return false }
    var rest = Bytes(start: bytes, count: Int(size))
    while rest.count >= 8 {
      guard let type = rest.number(2), let size = rest.number(2), let flags = rest.number(1), rest.skip(3), var body = rest.take(size)
      else {
        return false
      }
      if type == 0x10 {
        guard let next = body.long(sizes.address), let length = body.long(sizes.length), let start = sum(sizes.base, next),
          chunks.add(start, length)
        else { return false }
      } else if flags & 2 == 0, !checkMessage(type, body) {
        return false
      }
    }
    return true
  }

  private func checkMessage(_ type: Int, _ message: Bytes) -> Bool {
    var body = message
    switch type {
    case 0x01: return dataspaceElements(&body, sizes) != nil
    case 0x03: return datatypeSize(&body) != nil
    case 0x04: return body.number(4).map { body.skip($0) } ?? false
    case 0x05: return checkFill(&body)
    case 0x08: return checkLayout(&body)
    case 0x0B: return checkFilters(&body)
    case 0x0C: return checkAttribute(&body)
    case 0x11:
      guard let tree = body.long(sizes.address), let heap = body.long(sizes.address) else { return false }
      return TreeCheck(file: file, sizes: sizes).acceptsGroup(tree: tree, heap: heap)
    default: return true
    }
  }

  private func checkFill(_ body: inout Bytes) -> Bool {
    guard let version = body.number(1) else { return false }
    if version >= 3 {
      guard let flags = body.number(1) else { return false }
      if flags & 0x20 == 0 { return true }
    } else {
      guard body.skip(2), let defined = body.number(1) else { return false }
      if version == 2, defined == 0 { return true }
    }
    // Version 1 always states a size; -1 stands for no value.
    guard let size = body.number(4) else { return false }
    return size == 0xFFFF_FFFF || body.skip(size)
  }

  private func checkLayout(_ body: inout Bytes) -> Bool {
    guard let version = body.number(1) else { return false }
    if version < 3 {
      guard let rank = body.number(1), let kind = body.number(1), body.skip(5), rank <= 33 else { return false }
      if kind == 0 { return body.skip(4 * rank) && body.number(4).map { body.skip($0) } ?? false }
      guard let address = body.long(sizes.address), body.skip(4 * rank) else { return false }
      return kind == 1 || TreeCheck(file: file, sizes: sizes).acceptsChunks(address, rank: rank)
    }
    switch body.number(1) {
    case 0: return body.number(2).map { body.skip($0) } ?? false
    case 1: return body.skip(sizes.address + sizes.length)
    case 2 where version == 3:
      guard let rank = body.number(1), rank <= 33, let address = body.long(sizes.address), body.skip(4 * rank) else { return false }
      return TreeCheck(file: file, sizes: sizes).acceptsChunks(address, rank: rank)
    // Newer layouts come only with checksummed headers.
    default: return false
    }
  }

  private func checkFilters(_ body: inout Bytes) -> Bool {
    guard let version = body.number(1), let count = body.number(1), count <= 32, version == 1 || version == 2, version == 2 || body.skip(6)
    else {
      return false
    }
    for _ in 0..<count {
      guard let id = body.number(2) else { return false }
      var nameLength = 0
      if version == 1 || id >= 256 {
        guard let length = body.number(2) else { return false }
        nameLength = version == 1 ? (length + 7) & ~7 : length
      }
      guard body.skip(2), let values = body.number(2), body.skip(nameLength), body.skip(4 * values) else { return false }
      if version == 1, values % 2 == 1, !body.skip(4) { return false }
    }
    return true
  }

  private func checkAttribute(_ body: inout Bytes) -> Bool {
    guard let version = body.number(1), (1...3).contains(version), let flags = body.number(1), let nameSize = body.number(2),
      let typeSize = body.number(2), let spaceSize = body.number(2), version < 3 || body.skip(1)
    else { return false }
    let padding = { (size: Int) in version == 1 ? (size + 7) & ~7 : size }
    guard let name = body.take(padding(nameSize)), nameSize > 0, name.start[nameSize - 1] == 0, var type = body.take(padding(typeSize)),
      var space = body.take(padding(spaceSize))
    else { return false }
    // A type or shape that is stored elsewhere is named by an address here.
    if version > 1, flags & 3 != 0 { return true }
    guard let element = datatypeSize(&type), let count = dataspaceElements(&space, sizes) else { return false }
    let (size, overflow) = element.multipliedReportingOverflow(by: count)
    return !overflow && body.skip(size)
  }
}

/// The sizes of addresses and of lengths in a file, and where its addresses count from.
struct FileSizes {
  private(set) var address = 8
  private(set) var length = 8
  private(set) var base: UInt64 = 0

  init?(_ file: File) {
    let creation = H5Fget_create_plist(file.id)
    guard creation >= 0 else { return nil }
    defer { H5Pclose(creation) }
    var userBlock: hsize_t = 0
    guard H5Pget_sizes(creation, &address, &length) >= 0, H5Pget_userblock(creation, &userBlock) >= 0,
      (1...8).contains(address), (1...8).contains(length)
    else { return nil }
    base = UInt64(userBlock)
  }
}

/// The parts of one header, at most as many as a sane one has.
private struct Chunks {
  private var places: InlineArray<64, (address: UInt64, size: UInt64)> = .init(repeating: (0, 0))
  private(set) var count = 0

  subscript(index: Int) -> (address: UInt64, size: UInt64) { places[index] }

  mutating func add(_ address: UInt64, _ size: UInt64) -> Bool {
    guard count < 64 else { return false }
    places[count] = (address, size)
    count += 1
    return true
  }
}
