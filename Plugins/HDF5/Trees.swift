import CHDF5
import CXfer

/// Checks the B-trees (version 1) and local heaps of old files before the library reads them.
///
/// Neither carries a checksum, and the library (1.10) follows them for as long as they lead on: a child that points back to its parent, or a free
/// block of a heap that names itself as the next, would never end. The layouts are those of the HDF5 File Format Specification 3.0,
/// III.A.1 and III.D.
struct TreeCheck {
  let file: File
  let sizes: FileSizes

  private var nowhere: UInt64 { UInt64.max >> UInt64(64 - 8 * sizes.address) }

  private func read(_ address: UInt64, _ count: Int) -> UnsafeMutablePointer<UInt8>? {
    guard let start = sum(sizes.base, address), let end = sum(start, UInt64(count)), end <= file.io.pointee.bytes,
      let bytes = allocate(UInt8.self, count)
    else { return nil }
    if readBytes(file.io, start, bytes, count) { return bytes }
    release(bytes)
    return nil
  }

  /// A group's tree of names.
  func acceptsGroup(tree: UInt64, heap: UInt64) -> Bool { acceptsHeap(heap) && accepts(tree, kind: 0, keySize: sizes.length) }

  /// The tree of a chunked data set; `rank` counts the dimension of the element's bytes.
  func acceptsChunks(_ tree: UInt64, rank: Int) -> Bool { accepts(tree, kind: 1, keySize: 8 + 8 * rank) }

  private func accepts(_ tree: UInt64, kind: Int, keySize: Int) -> Bool {
    if tree == nowhere { return true }
    // Nodes that lie apart from each other cannot be more than this.
    var left = file.io.pointee.bytes / UInt64(headSize)
    return acceptsNode(tree, kind, keySize, level: nil, &left)
  }

  private var headSize: Int { 8 + 2 * sizes.address }

  private func acceptsNode(_ address: UInt64, _ kind: Int, _ keySize: Int, level: Int?, _ left: inout UInt64) -> Bool {
    guard left > 0, let head = read(address, headSize) else { return false }
    left -= 1
    let (mark, found, height, used) = (littleEndian(head, 4), Int(head[4]), Int(head[5]), Int(littleEndian(head + 6, 2)))
    release(head)
    // Even nodes of two children each reach no 16 levels in a file of weights.
    guard mark == 0x4545_5254, found == kind, height == level ?? height, height < 16 else { return false }
    if height == 0 { return true }
    let entry = keySize + sizes.address
    guard let entries = read(address + UInt64(headSize), used * entry) else { return false }
    defer { release(entries) }
    for i in 0..<used {
      let child = littleEndian(entries + i * entry + keySize, sizes.address)
      guard acceptsNode(child, kind, keySize, level: height - 1, &left) else { return false }
    }
    return true
  }

  /// A heap: "HEAP", a version, the size of its data, where its free blocks begin, where its data lie. A free block begins with the
  /// next one's place (1 for none) and its own size.
  private func acceptsHeap(_ address: UInt64) -> Bool {
    guard let head = read(address, 8 + 2 * sizes.length + sizes.address) else { return false }
    let (mark, size) = (littleEndian(head, 4), littleEndian(head + 8, sizes.length))
    var free = littleEndian(head + 8 + sizes.length, sizes.length)
    let data = littleEndian(head + 8 + 2 * sizes.length, sizes.address)
    release(head)
    guard mark == 0x5041_4548, size <= file.io.pointee.bytes else { return false }
    let block = 2 * sizes.length
    guard free != 1, free != UInt64.max >> UInt64(64 - 8 * sizes.length) else { return true }
    guard let bytes = read(data, Int(size)) else { return false }
    defer { release(bytes) }
    var left = Int(size) / block
    while free != 1 {
      guard left > 0, free <= size, size - free >= UInt64(block) else { return false }
      left -= 1
      free = littleEndian(bytes + Int(free), sizes.length)
    }
    return true
  }
}
