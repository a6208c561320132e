import CXfer
import Glibc

@testable import XferConformance

/// The reference backend under a host that runs loops on two threads.
let host = ConformanceHost(threads: 2)
nonisolated(unsafe) let naive = loadPlugin("xfer-naive", host: host)
let reference = naive.flatMap { Runner($0) }

/// The folder the tests were built into.
let buildFolder: String = {
  var path = [CChar](repeating: 0, count: 4096)
  let length = readlink("/proc/self/exe", &path, path.count - 1)
  let executable = String(decoding: path.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  return executable.split(separator: "/").dropLast().map { "/\($0)" }.joined()
}()

/// A plugin of the build folder, under a host of its own; nil when it was not built.
func loadPlugin(_ name: String, host: ConformanceHost) -> UnsafePointer<xfer_plugin>? {
  guard let library = openPrivately("\(buildFolder)/lib\(name).so"), let symbol = dlsym(library, "xfer_plugin_entry") else { return nil }
  return unsafeBitCast(symbol, to: xfer_plugin_entry_fn.self)(host.pointer)
}

/// Runs a program to its end: its exit status, or the negative number of the signal that ended it, and what it printed to both outputs.
func runCommand(_ path: String, _ arguments: [String]) throws -> (status: Int, output: String) {
  var name = Array("/tmp/xfer-output-XXXXXX".utf8CString)
  let file = mkstemp(&name)
  guard file >= 0 else { throw Failure(reason: "no temporary file") }
  defer {
    close(file)
    unlink(name)
  }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_adddup2(&actions, file, 1)
  posix_spawn_file_actions_adddup2(&actions, file, 2)
  var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
  defer { for word in words { free(word) } }
  var process = pid_t()
  guard posix_spawn(&process, path, &actions, nil, &words, environ) == 0 else { throw Failure(reason: "\(path) does not start") }
  var status: Int32 = 0
  while waitpid(process, &status, 0) < 0, errno == EINTR {}
  var bytes = [UInt8](repeating: 0, count: Int(lseek(file, 0, SEEK_END)))
  let count = pread(file, &bytes, bytes.count, 0)
  let signal = Int(status & 0x7F)
  return (signal == 0 ? Int(status >> 8 & 0xFF) : -signal, String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self))
}

/// Runs a case on the reference; the floats of its first output.
func run(_ op: Int, _ inputs: [CaseTensor], _ output: [Int], _ attributes: [UInt8] = []) throws -> [Float] {
  try runAll(op, inputs, [output], attributes)[0]
}

func runAll(_ op: Int, _ inputs: [CaseTensor], _ outputs: [[Int]], _ attributes: [UInt8] = []) throws -> [[Float]] {
  guard let reference else { throw Failure(reason: "the reference has no table") }
  let test = Case(op, inputs, outputs.map(floats), attributes, .exact)
  return try reference.results(test).map(\.floats)
}

extension [Float] {
  /// The largest distance between two lists of one length.
  func distance(to other: [Float]) -> Float {
    count == other.count ? zip(self, other).map { ($0 - $1).magnitude }.max() ?? 0 : .infinity
  }
}
