import Glibc

/// Makes the folders a file lies in.
public func makeFolders(for file: String) throws {
  guard let slash = file.lastIndex(of: "/"), slash != file.startIndex else { return }
  try makeFolder(String(file[..<slash]))
}

/// Makes a folder and those above it.
public func makeFolder(_ path: String) throws {
  var status = stat()
  if stat(path, &status) == 0 {
    guard status.st_mode & S_IFMT == S_IFDIR else { throw XferError.io("\(path) is there and is no folder") }
    return
  }
  try makeFolders(for: path)
  guard mkdir(path, 0o777) == 0 || errno == EEXIST else { throw systemError(path, "cannot be made") }
}

/// Where things are kept that can be made again: `$XFER_CACHE`, else `~/.cache/xfer`.
public enum CacheFolder {
  public static var path: String {
    if let folder = getenv("XFER_CACHE").map({ String(cString: $0) }), !folder.isEmpty { return folder }
    return "\(getenv("HOME").map { String(cString: $0) } ?? ".")/.cache/xfer"
  }
}
