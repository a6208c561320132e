import ArgumentParser
import Xfer

struct Plugins: ParsableCommand, ReportsJSON {
  static let configuration = CommandConfiguration(
    abstract: "List the plugins that were found, and those that were refused with the reason.",
    discussion: """
      Plugins are searched in the folders and files of $XFER_PLUGIN_PATH (a colon list), then beside the command and the library. \
      Of plugins with one name the one with the highest score is used.
      """)

  @OptionGroup var output: OutputOptions

  func run() throws {
    let host = PluginHost.shared
    if output.json {
      printJSON([
        "plugins": .array(
          host.plugins.map { plugin in
            [
              "kind": .string(plugin.kind.name), "name": .string(plugin.name), "version": .string(plugin.version),
              "score": .int(plugin.score),
              "path": .string(plugin.path),
            ]
          }),
        "rejected": .array(host.rejected.map { ["path": .string($0.path), "reason": .string($0.reason)] }),
        "search_path": .array(PluginHost.searchPath.map { .string($0) }),
        "backends": .array(try Backend.ordered().map { .string($0.name) }),
      ])
      return
    }
    let rows = host.plugins.map { [$0.kind.name, $0.name, $0.version, "\($0.score)", $0.path] }
    print(aligned([["kind", "name", "version", "score", "file"]] + rows, right: [3]))
    if !host.rejected.isEmpty {
      print("\nrefused:")
      for plugin in host.rejected { print("  \(plugin.path)\n    \(plugin.reason)") }
    }
    print("\nbackends are asked in this order: \(try Backend.ordered().map(\.name).joined(separator: ", "))")
  }
}
