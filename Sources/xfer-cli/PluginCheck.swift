import ArgumentParser
import CXfer
import Glibc
import Xfer
import XferConformance
import XferNaive

struct PluginCheck: ParsableCommand, ReportsJSON {
  static let configuration = CommandConfiguration(
    commandName: "plugin-check",
    abstract: "Compare a backend plugin with the reference on random cases.",
    discussion: """
      Every op the plugin supports runs in many shapes, alignments and layouts and is compared with the built-in reference; gradients are \
      compared with finite differences. More shapes run with every buffer against pages that cannot be touched: a plugin that reads or \
      writes outside its buffers ends the command there, after a line that says where. Fails when one result is beyond its tolerance.
      """)

  @Argument(help: ArgumentHelp("The plugin, a shared library with xfer_plugin_entry.", valueName: "file.so"))
  var plugin: String

  @Option(help: ArgumentHelp("Random cases of each op.", valueName: "n"))
  var rounds = 20

  @Option(help: ArgumentHelp("Random cases of each op between pages that cannot be touched.", valueName: "n"))
  var shapes = 100

  @Option(help: ArgumentHelp("An op to check, as the report names it; may be given again. All by default.", valueName: "name"))
  var op: [String] = []

  @Option(help: ArgumentHelp("The same seed gives the same cases.", valueName: "n"))
  var seed: UInt32 = 1

  @OptionGroup var output: OutputOptions

  func validate() throws {
    for (name, count) in [("--rounds", rounds), ("--shapes", shapes)] where !(0...100_000).contains(count) {
      throw ValidationError("\(name) is from 0 to 100000, \(count) was given")
    }
    for name in op where !conformanceOps.contains(name) { throw ValidationError("--op: there is no op called \(name)") }
  }

  func run() throws {
    let host = ConformanceHost(threads: 2)
    let table = try open(host)
    var options = ConformanceOptions()
    options.ops = Set(op)
    options.gradients = rounds > 0
    options.progress = { note("checking \($0)") }
    guard let reference = xfer_plugin_naive_entry(host.pointer) else { throw XferError.internal("the built-in reference did not start") }
    var report = checkBackend(table, reference: reference, seed: UInt64(seed), rounds: rounds, options: options)
    report.add(checkShapes(table, host: host, reference: reference, seed: UInt64(seed), shapes: shapes, options: options))
    if output.json {
      printJSON([
        "plugin": .string(report.plugin), "passed": .bool(report.passed), "cases": .int(report.cases), "seed": .int(Int(seed)),
        "ops": .array(
          report.entries.map { entry in
            [
              "name": .string(entry.name), "cases": .int(entry.cases), "declined": .int(entry.declined), "worst": .double(entry.worst),
              "failures": .array(entry.failures.map { .string($0) }),
            ]
          }),
      ])
    } else {
      print(report.text)
    }
    guard report.passed else { throw XferError(XFER_E_PLUGIN, "\(plugin): \(report.failures.count) results are wrong") }
  }

  private func open(_ host: ConformanceHost) throws -> UnsafePointer<xfer_plugin> {
    func refusal(_ reason: String) -> XferError { XferError(XFER_E_PLUGIN, "\(plugin): \(reason)") }
    // A name without a slash would be searched in the system's folders.
    guard let handle = dlopen(plugin.contains("/") ? plugin : "./\(plugin)", RTLD_NOW | RTLD_LOCAL) else {
      throw refusal(dlerror().map { String(cString: $0) } ?? "it cannot be loaded")
    }
    guard let symbol = dlsym(handle, "xfer_plugin_entry") else { throw refusal("it exports no xfer_plugin_entry") }
    guard let table = unsafeBitCast(symbol, to: xfer_plugin_entry_fn.self)(host.pointer) else {
      throw refusal("xfer_plugin_entry gave nothing: \(host.lastError)")
    }
    guard table.pointee.abi_major == UInt32(XFER_PLUGIN_ABI_MAJOR) else {
      throw refusal("it was made for plugin ABI \(table.pointee.abi_major), this is \(XFER_PLUGIN_ABI_MAJOR)")
    }
    guard table.pointee.kind == LoadedPlugin.Kind.backend.rawValue else { throw refusal("it is no backend") }
    if let score = table.pointee.score, score(host.pointer) <= 0 { throw refusal("it cannot run here: \(host.lastError)") }
    return table
  }
}
