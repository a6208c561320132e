import Glibc
import XferCore

/// A file in memory without a copy. Writing to the memory changes nothing in the file.
final class MappedFile {
  let bytes: UnsafeMutableRawBufferPointer

  init(_ path: String) throws {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw systemError(path, "cannot be opened") }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw systemError(path, "cannot be read") }
    guard status.st_mode & S_IFMT == S_IFREG else { throw XferError.io("\(path) is no file") }
    guard status.st_size > 0 else {
      bytes = UnsafeMutableRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let memory = mmap(nil, Int(status.st_size), PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0), memory != MAP_FAILED else {
      throw systemError(path, "cannot be read")
    }
    bytes = UnsafeMutableRawBufferPointer(start: memory, count: Int(status.st_size))
  }

  deinit { if let memory = bytes.baseAddress { munmap(memory, bytes.count) } }
}
