import Glibc
import Synchronization
import CPlatform
public import CXfer
import XferNaive

/// A plugin that was accepted.
public struct LoadedPlugin: @unchecked Sendable {
  public enum Kind: Int32, Sendable {
    case backend = 1, imageCodec, hdf5, zip
    /// The word `xfer plugins` prints.
    public var name: String {
      switch self {
      case .backend: "backend"
      case .imageCodec: "image codec"
      case .hdf5: "hdf5"
      case .zip: "zip"
      }
    }
  }
  public let kind: Kind
  public let name: String
  public let version: String
  public let score: Int
  /// The file, or "(built in)".
  public let path: String
  public let pointer: UnsafePointer<xfer_plugin>
}

/// A file that looked like a plugin and was refused.
public struct RejectedPlugin: Sendable {
  public let path: String
  public let reason: String
}

/// Finds, checks and keeps plugins. Nothing is ever unloaded.
///
/// Search order: paths given to ``add(path:)``; `XFER_PLUGIN_PATH` (a colon list of folders or files); `xfer/plugins`
/// beside the image this code lives in, its own folder (a build tree) and `../lib/xfer/plugins` (a command in `bin`).
/// The current folder is never searched. Of plugins with one name the highest score wins; of equal ones the first found.
public final class PluginHost: Sendable {
  public static let shared = PluginHost()

  private struct State {
    var searched = false
    var loaded: [LoadedPlugin] = []
    var rejected: [RejectedPlugin] = []
    var seen: Set<String> = []
  }
  private let state = Mutex(State())

  /// Every accepted plugin, best first within a name.
  public var plugins: [LoadedPlugin] { searched { $0.loaded } }
  public var rejected: [RejectedPlugin] { searched { $0.rejected } }

  /// The best plugin of a kind and name.
  public func best(_ kind: LoadedPlugin.Kind, name: String? = nil) -> LoadedPlugin? {
    plugins.filter { $0.kind == kind && (name == nil || $0.name == name) }.max { $0.score < $1.score }
  }

  /// Loads one plugin file now. Throws its reason when it is refused.
  @discardableResult
  public func add(path: String) throws -> LoadedPlugin {
    switch open(path) {
    case .success(let plugin):
      state.withLock {
        if $0.seen.insert(path).inserted { $0.loaded.insert(plugin, at: 0) }
      }
      return plugin
    case .failure(let error): throw error
    }
  }

  private func searched<T: Sendable>(_ body: (State) -> T) -> T {
    state.withLock { state in
      if !state.searched {
        state.searched = true
        if let entry = xfer_plugin_naive_entry(HostTable.pointer), case .success(let naive) = Self.accept(entry, path: "(built in)") {
          state.loaded.append(naive)
        }
        for path in Self.candidates() where state.seen.insert(path).inserted {
          switch open(path) {
          case .success(let plugin): state.loaded.append(plugin)
          case .failure(let error): state.rejected.append(RejectedPlugin(path: path, reason: error.message))
          }
        }
      }
      return body(state)
    }
  }

  private func open(_ path: String) -> Result<LoadedPlugin, XferError> {
    func refuse(_ reason: String) -> Result<LoadedPlugin, XferError> { .failure(XferError(XFER_E_PLUGIN, reason)) }
    guard access(path, R_OK) == 0 else { return refuse("plugin \(path) cannot be read: \(String(cString: strerror(errno)))") }
    guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      return refuse(dlerror().map { String(cString: $0) } ?? "dlopen failed")
    }
    guard let symbol = dlsym(handle, "xfer_plugin_entry") else { return refuse("it exports no xfer_plugin_entry") }
    let entry = unsafeBitCast(symbol, to: (@convention(c) (UnsafePointer<xfer_host>?) -> UnsafePointer<xfer_plugin>?).self)
    guard let plugin = entry(HostTable.pointer) else { return refuse("xfer_plugin_entry gave nothing: \(LastMessage.take())") }
    return Self.accept(plugin, path: path)
  }

  private static func accept(_ plugin: UnsafePointer<xfer_plugin>, path: String) -> Result<LoadedPlugin, XferError> {
    func refuse(_ reason: String) -> Result<LoadedPlugin, XferError> { .failure(XferError(XFER_E_PLUGIN, reason)) }
    let header = MemoryLayout<xfer_plugin>.offset(of: \.shutdown) ?? 0
    guard plugin.pointee.struct_size >= header else {
      return refuse("its table has \(plugin.pointee.struct_size) bytes, at least \(header) are wanted")
    }
    let table = plugin.pointee
    guard table.abi_major == UInt32(XFER_PLUGIN_ABI_MAJOR) else {
      return refuse(
        "it was made for plugin ABI \(table.abi_major).\(table.abi_minor), this library has \(XFER_PLUGIN_ABI_MAJOR).\(XFER_PLUGIN_ABI_MINOR)"
      )
    }
    guard let kind = LoadedPlugin.Kind(rawValue: table.kind) else { return refuse("its kind \(table.kind) is unknown to this library") }
    guard let name = table.name.map({ String(cString: $0) }), !name.isEmpty, let body = table.table else {
      return refuse("it has no name or no table")
    }
    let wanted =
      switch kind {
      // What ABI 1.0 had.
      case .backend: MemoryLayout<xfer_backend>.offset(of: \.variants) ?? 0
      case .imageCodec: MemoryLayout<xfer_image_codec>.size
      case .hdf5: MemoryLayout<xfer_h5_codec>.size
      case .zip: MemoryLayout<xfer_zip_codec>.size
      }
    let given = body.load(as: Int.self)
    guard given >= wanted else { return refuse("its \(kind.name) table has \(given) bytes, at least \(wanted) are wanted") }
    let score = table.score.map { Int($0(HostTable.pointer)) } ?? 1
    guard score > 0 else { return refuse("it cannot run here: \(LastMessage.take())") }
    return .success(
      LoadedPlugin(
        kind: kind, name: name, version: table.version.map { String(cString: $0) } ?? "", score: score, path: path, pointer: plugin))
  }

  // MARK: Discovery

  /// Folders searched, in order.
  public static var searchPath: [String] {
    var folders: [String] = []
    if let list = getenv("XFER_PLUGIN_PATH") { folders += String(cString: list).split(separator: ":").map(String.init) }
    if let image = imagePath() {
      let folder = image.prefix(upTo: image.lastIndex(of: "/") ?? image.startIndex)
      folders += ["\(folder)/xfer/plugins", "\(folder)/../lib/xfer/plugins", String(folder)]
    }
    return folders
  }

  private static func candidates() -> [String] {
    searchPath.flatMap { path -> [String] in
      if path.hasSuffix(".so") { return [path] }
      guard let folder = opendir(path) else { return [] }
      defer { closedir(folder) }
      var names: [String] = []
      while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name.hasPrefix("libxfer-"), name.hasSuffix(".so") { names.append("\(path)/\(name)") }
      }
      return names.sorted()
    }
  }

  private static func imagePath() -> String? {
    guard let name = xfer_image_of(#dsohandle), let real = realpath(name, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }
}
