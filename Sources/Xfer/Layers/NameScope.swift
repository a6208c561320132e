import Glibc
import Synchronization

/// The layers being built, outermost first, by thread: a weight's path begins with them, as in Keras ("sequential/dense/kernel" for a layer
/// that a Sequential builds; "dense/kernel" for one that was called on symbols itself).
enum NameScope {
  private static let scopes = Mutex<[UInt: [String]]>([:])
  private static var thread: UInt { UInt(pthread_self()) }

  static func within<T>(_ name: String, _ body: () throws -> T) rethrows -> T {
    scopes.withLock { $0[thread, default: []].append(name) }
    defer {
      scopes.withLock { scopes in
        scopes[thread]?.removeLast()
        if scopes[thread]?.isEmpty == true { scopes[thread] = nil }
      }
    }
    return try body()
  }

  /// The path of a weight of the layer `layer`, which is being built or stands alone.
  static func path(_ weight: String, of layer: String) -> String {
    let open = scopes.withLock { $0[thread] ?? [] }
    return ((open.last == layer ? open : open + [layer]) + [weight]).joined(separator: "/")
  }
}
