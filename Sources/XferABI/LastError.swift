import CXfer
import Glibc

/// The text behind `xfer_last_error`: one C string a thread, replaced by the thread's next failure and freed with the thread.
enum LastError {
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    pthread_key_create(&key) { free($0) }
    return key
  }()
  private static let none: StaticString = ""

  static var text: UnsafePointer<CChar>? {
    guard let text = pthread_getspecific(key) else { return none.cString }
    return UnsafePointer(text.assumingMemoryBound(to: CChar.self))
  }

  static func set(_ message: String) {
    let old = pthread_getspecific(key)
    // Where there is no memory for a new text the old one would lie: better none.
    pthread_setspecific(key, strdup(message))
    free(old)
  }
}

extension StaticString {
  /// A text with a final 0 that lives as long as the process.
  var cString: UnsafePointer<CChar> { UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self) }
}
