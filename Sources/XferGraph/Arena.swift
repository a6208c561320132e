import Glibc
import XferCore
import CXfer

/// The memory of intermediate values: one block, as large as the largest plan that shares it needs.
public final class Arena {
  private(set) var base: UnsafeMutableRawPointer?
  private(set) var bytes = 0

  public init() {}

  deinit { if let base { munmap(base, bytes) } }

  /// Makes the block at least `wanted` bytes large. Its contents are lost when it moves.
  func reserve(_ wanted: Int) throws {
    guard wanted > bytes else { return }
    if let base { munmap(base, bytes) }
    (base, bytes) = (nil, 0)
    let huge = 2 << 20
    let size = (wanted + huge - 1) / huge * huge
    guard wanted <= physicalMemory, let block = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      block != MAP_FAILED
    else {
      throw XferError(XFER_E_OUT_OF_MEMORY, "no memory for \(wanted) bytes of intermediate values")
    }
    // Fewer page faults and TLB misses; refused silently where the system has no huge pages.
    madvise(block, size, MADV_HUGEPAGE)
    (base, bytes) = (block, size)
  }
}

/// An arena for each of the threads that run plans of their own at the same time.
public final class Arenas {
  private var all: [Arena] = []

  public init() {}

  public subscript(index: Int) -> Arena {
    while all.count <= index { all.append(Arena()) }
    return all[index]
  }
}
