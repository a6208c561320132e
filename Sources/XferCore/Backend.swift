import Glibc
import Synchronization
public import CXfer

/// A compute backend: a plugin's kernel table under its name.
public struct Backend: @unchecked Sendable {
  public let name: String
  public let version: String
  public let table: UnsafePointer<xfer_backend>
  /// Whether it may be asked about images of bfloat16: one made for an older ABI may say yes to every type.
  public let knowsHalves: Bool
  /// Asked for by name: it gets every op it can do, not only those it prefers.
  public private(set) var chosen = false

  init?(_ plugin: LoadedPlugin) {
    guard plugin.kind == .backend, let table = plugin.pointer.pointee.table else { return nil }
    name = plugin.name
    version = plugin.version
    self.table = table.assumingMemoryBound(to: xfer_backend.self)
    knowsHalves = plugin.pointer.pointee.abi_minor >= 4
  }

  /// `variants` of the table, where it has that.
  public var variants: (@convention(c) (UnsafePointer<xfer_op_desc>?) -> UInt32)? {
    has(\.variants) ? table.pointee.variants : nil
  }

  /// `concurrent` of the table, where it has that.
  public var isConcurrent: Bool { has(\.concurrent) && table.pointee.concurrent != 0 }

  /// Whether the table, which may be of an older ABI, reaches as far as a field.
  private func has<Field>(_ field: KeyPath<xfer_backend, Field>) -> Bool {
    table.pointee.struct_size >= (MemoryLayout<xfer_backend>.offset(of: field) ?? .max - 64) + MemoryLayout<Field>.size
  }

  /// The order in which backends are asked when none is named. Others come behind these, `naive` last.
  private static let preference = ["simd", "onednn", "blas"]

  /// Every backend, the one to ask first in front: the `preferred` name, else `XFER_BACKEND`, else the built-in order.
  public static func ordered(preferring preferred: String? = nil) throws -> [Backend] {
    var byName: [String: LoadedPlugin] = [:]
    for plugin in PluginHost.shared.plugins where plugin.kind == .backend {
      if let known = byName[plugin.name], known.score >= plugin.score { continue }
      byName[plugin.name] = plugin
    }
    let rank = { (name: String) -> Int in name == "naive" ? 1000 : (preference.firstIndex(of: name) ?? 100) }
    var order = byName.values.sorted { (rank($0.name), $0.name) < (rank($1.name), $1.name) }
    let wanted = preferred ?? Choice.current
    if let wanted, wanted != "auto" {
      guard let index = order.firstIndex(where: { $0.name == wanted }) else {
        throw unknown(wanted, known: order.map(\.name))
      }
      order.insert(order.remove(at: index), at: 0)
      var backends = order.compactMap(Backend.init)
      if !backends.isEmpty { backends[0].chosen = true }
      return backends
    }
    return order.compactMap(Backend.init)
  }

  private static func unknown(_ name: String, known: [String]) -> XferError {
    let refusals = PluginHost.shared.rejected.filter { $0.path.contains("libxfer-\(name)") }
    let why =
      refusals.isEmpty
      ? "no plugin libxfer-\(name).so was found in \(PluginHost.searchPath.joined(separator: ":"))"
      : refusals.map { "\($0.path): \($0.reason)" }.joined(separator: "; ")
    return XferError(XFER_E_PLUGIN, "backend '\(name)' is not here (there are \(known.joined(separator: ", "))): \(why)")
  }

  /// Sets the backend that plans made from now on ask first; "auto" for the built-in order.
  public static func select(_ name: String) throws {
    _ = try ordered(preferring: name)
    Choice.set(name)
  }

  /// Grows with every ``select(_:)``: plans made before are not reused.
  public static var choiceGeneration: UInt64 { Choice.state.withLock { $0.generation } }

  private enum Choice {
    static let state = Mutex<(name: String?, generation: UInt64)>((getenv("XFER_BACKEND").map { String(cString: $0) }, 0))
    static var current: String? { state.withLock { $0.name } }
    static func set(_ value: String) { state.withLock { $0 = (value, $0.generation + 1) } }
  }
}
