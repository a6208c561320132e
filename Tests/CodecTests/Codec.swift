import CXfer
import Foundation
import Glibc
import XferConformance

/// A codec plugin beside the tests, loaded by itself with a host that does the least it has to.
struct Codec<Table>: @unchecked Sendable {
  let plugin: UnsafePointer<xfer_plugin>
  let table: Table

  /// Nil when the plugin was not built.
  init?(_ name: String, _ kind: Int) {
    let path = "\(Codecs.folder)/libxfer-\(name).so"
    guard let image = openPrivately(path), let symbol = dlsym(image, "xfer_plugin_entry"),
      let plugin = unsafeBitCast(symbol, to: xfer_plugin_entry_fn.self)(TestHost.pointer), plugin.pointee.kind == Int32(kind),
      let table = plugin.pointee.table
    else { return nil }
    self.plugin = plugin
    self.table = table.assumingMemoryBound(to: Table.self).pointee
  }
}

enum Codecs {
  /// The folder of the test bundle, where the package's plugins are built too.
  static let folder: String = {
    let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return URL(filePath: program).deletingLastPathComponent().path
  }()

  static let h5 = Codec<xfer_h5_codec>("hdf5", Int(XFER_PLUGIN_HDF5))
  static let images = Codec<xfer_image_codec>("images", Int(XFER_PLUGIN_IMAGE_CODEC))
  static let zip = Codec<xfer_zip_codec>("zip", Int(XFER_PLUGIN_ZIP))
}

/// A status that is not XFER_OK, with the plugin's sentence.
struct Failure: Error, CustomStringConvertible {
  let status: xfer_status
  let message: String
  var description: String { "\(status): \(message)" }
}

func check(_ status: xfer_status) throws {
  if status != XFER_OK { throw Failure(status: status, message: TestHost.takeMessage()) }
}

/// The status a call fails with, or XFER_OK.
func status(_ body: () throws -> Void) -> xfer_status {
  do {
    try body()
    return XFER_OK
  } catch let failure as Failure {
    // Every failure has a sentence, and no more than the codes of the header.
    return failure.message.isEmpty || failure.status > XFER_E_INTERNAL ? -1 : failure.status
  } catch {
    return -1
  }
}

enum TestHost {
  private static let key = "xfer message"

  static func takeMessage() -> String {
    Thread.current.threadDictionary.allKeys.isEmpty ? "" : (Thread.current.threadDictionary[key] as? String ?? "")
  }

  nonisolated(unsafe) static let pointer: UnsafePointer<xfer_host> = {
    let host = UnsafeMutablePointer<xfer_host>.allocate(capacity: 1)
    host.initialize(
      to: xfer_host(
        struct_size: MemoryLayout<xfer_host>.size,
        abi_major: UInt32(XFER_PLUGIN_ABI_MAJOR), abi_minor: UInt32(XFER_PLUGIN_ABI_MINOR), max_isa: Int32(XFER_ISA_AMX_BF16),
        thread_count: { _ in 1 },
        parallel_for: { _, count, _, fn, context in fn?(context, 0, count, 0) },
        alloc: { _, bytes, alignment in
          var memory: UnsafeMutableRawPointer?
          return posix_memalign(&memory, max(alignment, 8), max(bytes, 1)) == 0 ? memory : nil
        },
        free: { _, pointer in Glibc.free(pointer) },
        log: { _, _, _ in },
        set_error: { _, message in
          Thread.current.threadDictionary[TestHost.key] = message.map { String(cString: $0) } ?? ""
        }))
    return UnsafePointer(host)
  }()
}

// MARK: Files

enum Fixture {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")
  static func path(_ name: String) -> String { folder.appending(path: name).path }
  static func bytes(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: folder.appending(path: name))) }
}

/// Data too large for the repository: a folder given by XFER_SHARED or lying beside the checkout.
enum Shared {
  static let folder: String? = {
    let beside = URL(filePath: #filePath).appending(path: "../../../../shared").standardizedFileURL.path
    return [ProcessInfo.processInfo.environment["XFER_SHARED"], beside].compactMap { $0 }
      .first { FileManager.default.fileExists(atPath: "\($0)/weights") }
  }()
  static func path(_ name: String) -> String { "\(folder ?? ".")/\(name)" }
}

/// A folder that goes with the value.
final class Scratch {
  let url: URL
  init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "xfer-codecs-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(at: url) }
  func path(_ name: String) -> String { url.appending(path: name).path }
}

/// Runs a Python program; nil where there is no Python.
func python(_ program: String, _ arguments: String...) throws -> String? {
  let process = Process()
  process.executableURL = URL(filePath: "/usr/bin/env")
  process.arguments = ["python3", "-c", program] + arguments
  let output = Pipe()
  process.standardOutput = output
  try process.run()
  let data = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  if process.terminationStatus == 127 { return nil }
  return String(decoding: data, as: UTF8.self)
}

/// A fixed sequence of numbers.
struct Sequence64 {
  var state: UInt64
  mutating func next(below bound: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int((z ^ (z >> 31)) % UInt64(bound))
  }
}

/// Calls `body` with the file cut at many places, and with one to three of its bits turned, many times.
func damage(_ file: [UInt8], cuts: Int, flips: Int, _ body: ([UInt8]) -> Void) {
  for i in 0..<cuts { body(Array(file.prefix(file.count * i / cuts))) }
  var random = Sequence64(state: 17)
  for _ in 0..<flips {
    var damaged = file
    for _ in 0...random.next(below: 3) { damaged[random.next(below: file.count)] ^= 1 << UInt8(random.next(below: 8)) }
    body(damaged)
  }
}
