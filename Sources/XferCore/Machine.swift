import Glibc

/// The processor this runs on, as far as speed depends on it.
public enum Machine {
  /// Its name in words, with the number of its cores.
  public static let name: String = {
    let processor = field("model name") ?? "unknown processor"
    return "\(processor), \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) cores"
  }()

  /// Equal for equal processors with caches of equal size.
  public static let digest: Digest = {
    var digest = Digest()
    digest.combine(name)
    for cache in [_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE] {
      digest.combine(UInt64(bitPattern: Int64(sysconf(Int32(cache)))))
    }
    return digest
  }()

  private static func field(_ name: String) -> String? {
    guard let file = fopen("/proc/cpuinfo", "r") else { return nil }
    defer { fclose(file) }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    while getline(&line, &capacity, file) > 0 {
      guard let line, let colon = strchr(line, CInt(UInt8(ascii: ":"))) else { continue }
      if strncmp(line, name, name.utf8.count) == 0 {
        return String(cString: colon + 1).trimmingSpace()
      }
    }
    return nil
  }
}

extension String {
  fileprivate func trimmingSpace() -> String {
    var rest = self[...]
    while let last = rest.last, last.isWhitespace { rest.removeLast() }
    while let first = rest.first, first.isWhitespace { rest.removeFirst() }
    return String(rest)
  }
}
