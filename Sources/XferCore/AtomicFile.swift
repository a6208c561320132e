import Glibc

/// Files that are there in full or not at all.
public enum AtomicFile {
  /// Has `body` write a file of another name in the same folder, makes sure that it reached the disk and gives it the name
  /// `path`. When anything fails, the file that was there before stays as it was and nothing else is left behind.
  ///
  /// An existing file keeps its permissions; behind a symbolic link the file it leads to is replaced.
  /// - Throws: what `body` throws; `XFER_E_NOT_FOUND` without the folder, `XFER_E_IO` for what the system refuses, with its reason.
  public static func replace(_ path: String, _ body: (_ temporary: String) throws -> Void) throws {
    let target = resolved(path)
    let slash = target.lastIndex(of: "/")
    let folder = slash.map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? "."
    let name = slash.map { String(target[target.index(after: $0)...]) } ?? target
    guard !name.isEmpty else { throw XferError.invalid("'\(path)' is no name for a file") }
    var status = stat()
    let permissions = stat(target, &status) == 0 ? status.st_mode : nil
    if let permissions, permissions & S_IFMT != S_IFREG { throw XferError.io("\(path) is there and is no file: it cannot be replaced") }

    let temporary = try make(in: folder, name, for: path)
    do {
      try body(temporary)
      if let permissions { chmod(temporary, permissions & 0o7777) }
      try sync(temporary, O_RDONLY, for: path)
      guard rename(temporary, target) == 0 else { throw systemError(path, "cannot be written") }
    } catch {
      unlink(temporary)
      throw error
    }
    // The name has reached the disk only with the folder. File systems that cannot do this keep it themselves.
    try? sync(folder, O_RDONLY | O_DIRECTORY, for: path)
  }

  /// Replaces a file by text.
  public static func write(_ text: String, to path: String) throws {
    try replace(path) { temporary in
      let file = open(temporary, O_WRONLY | O_TRUNC | O_CLOEXEC)
      guard file >= 0 else { throw systemError(path, "cannot be written") }
      defer { close(file) }
      var text = text
      try text.withUTF8 { try writeAll(file, UnsafeRawBufferPointer($0), path: path) }
    }
  }

  /// Removes what processes that were killed while they wrote this file left behind. Not for files that others may be writing.
  public static func removeLeftovers(of path: String) {
    let target = resolved(path)
    let slash = target.lastIndex(of: "/")
    let folder = slash.map { String(target[...$0]) } ?? "./"
    let name = slash.map { String(target[target.index(after: $0)...]) } ?? target
    let prefix = ".\(String(decoding: name.utf8.prefix(200), as: UTF8.self))."
    guard let stream = opendir(folder) else { return }
    defer { closedir(stream) }
    while let entry = readdir(stream) {
      let found = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      // A 64-bit number in base 36: all but one in millions have ten digits or more.
      let number = found.dropFirst(prefix.count)
      guard found.hasPrefix(prefix), (10...13).contains(number.count), number.allSatisfy({ $0.isASCII && ($0.isNumber || $0.isLowercase) })
      else { continue }
      unlink(folder + found)
    }
  }

  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  /// Makes an empty file with the permissions of any new file.
  private static func make(in folder: String, _ name: String, for path: String) throws -> String {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<100 {
      // Names have at most 255 bytes.
      let temporary =
        "\(folder)/.\(String(decoding: name.utf8.prefix(200), as: UTF8.self)).\(String(generator.next() as UInt64, radix: 36))"
      let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      if file >= 0 {
        close(file)
        return temporary
      }
      if errno != EEXIST { break }
    }
    throw systemError(path, "cannot be written")
  }

  private static func sync(_ path: String, _ flags: Int32, for target: String) throws {
    let file = open(path, flags | O_CLOEXEC)
    guard file >= 0 else { throw systemError(target, "cannot be written") }
    defer { close(file) }
    guard fsync(file) == 0 else { throw systemError(target, "cannot be written") }
  }
}

/// The error for a system call on `path` that just failed, with the system's reason.
public func systemError(_ path: String, _ what: String) -> XferError {
  let code = errno
  let message = "\(path) \(what): \(String(cString: strerror(code)))"
  return code == ENOENT || code == ENOTDIR ? XferError.notFound(message) : XferError.io(message)
}

/// Writes all bytes to an open file.
public func writeAll(_ file: Int32, _ bytes: UnsafeRawBufferPointer, path: String) throws {
  var rest = bytes
  while !rest.isEmpty {
    let count = write(file, rest.baseAddress, rest.count)
    if count < 0, errno == EINTR { continue }
    guard count >= 0 else { throw systemError(path, "cannot be written") }
    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
  }
}

/// All bytes of a file.
public func readFile(_ path: String) throws -> [UInt8] {
  // Without waiting: a pipe nobody writes to would be waited for.
  let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
  guard file >= 0 else { throw systemError(path, "cannot be opened") }
  defer { close(file) }
  var status = stat()
  guard fstat(file, &status) == 0 else { throw systemError(path, "cannot be read") }
  guard status.st_mode & S_IFMT == S_IFREG else { throw XferError.io("\(path) is no file") }
  return try [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, filled in
    while filled < buffer.count {
      let count = read(file, buffer.baseAddress.map { $0 + filled }, buffer.count - filled)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw systemError(path, "cannot be read") }
      if count == 0 { break }
      filled += count
    }
  }
}
