import CXfer
import Foundation
import Testing

@Suite("HDF5, reading", .enabled(if: Codecs.h5 != nil, "libxfer-hdf5.so is not beside the tests"))
struct H5ReadTests {
  static let kernel = (0..<24).map { Float($0) / 8 - 1 }

  @Test(arguments: ["legacy.h5", "modern.h5"]) func structure(_ name: String) throws {
    let file = try H5(Fixture.path(name))
    let layers = try file.members("/").filter { $0 != "kinds/" }
    // The modern file tracks the order of creation. Links to nowhere and to other files are not there.
    #expect(layers == (name == "modern.h5" ? ["z_first/", "a_second/", "soft"] : ["a_second/", "soft", "z_first/"]))
    #expect(try file.members("z_first") == ["z_first/"])
    #expect(try file.members("/z_first/z_first").sorted() == ["bias:0", "kernel:0"])
    #expect(file.exists("z_first/z_first/kernel:0"))
    #expect(file.exists("/"))
    #expect(!file.exists("z_first/none/kernel:0"))
    #expect(!file.exists("dangling"))
    #expect(!file.exists("elsewhere"))
  }

  @Test(arguments: ["legacy.h5", "modern.h5"]) func data(_ name: String) throws {
    let file = try H5(Fixture.path(name))
    let kernel = try file.describe("z_first/z_first/kernel:0")
    #expect(kernel.dtype == XFER_F32 && kernel.shape == [2, 3, 4])
    #expect(try file.values("z_first/z_first/kernel:0", as: Float.self) == Self.kernel)
    #expect(try file.describe("a_second/a_second/bias:0").dtype == XFER_F16)
    #expect(try file.values("a_second/a_second/bias:0", as: UInt16.self) == [0x3E00, 0xC000])
    #expect(try file.values("soft", as: Int32.self) == [-3, 4])
    #expect(try file.values("kinds/u16", as: Int32.self) == [1, 65535])
    #expect(try file.values("kinds/u32", as: Int64.self) == [1, 4_294_967_295])
    #expect(try file.values("kinds/big", as: Float.self) == [1.5, -2])
    #expect(try file.describe("kinds/f64").shape == [])
    #expect(try file.values("kinds/f64", as: Double.self) == [3.25])
    #expect(try file.describe("kinds/bool").dtype == XFER_BOOL)
    #expect(try file.values("kinds/bool", as: UInt8.self) == [1, 0])
    #expect(try file.describe("kinds/none").shape == [0, 3])
    #expect(try file.bytes("kinds/none").isEmpty)
  }

  @Test(arguments: ["legacy.h5", "modern.h5"]) func attributes(_ name: String) throws {
    let file = try H5(Fixture.path(name))
    #expect(try file.strings("/", "layer_names") == ["z_first", "a_second"])
    #expect(try file.strings("", "keras_version") == ["2.4.0"])
    #expect(try file.strings("/", "backend") == ["tensorflow"])
    #expect(try file.strings("/", "texts") == ["x", "héllo", ""])
    #expect(try file.strings("z_first", "weight_names") == ["z_first/kernel:0", "z_first/bias:0"])
    // How Keras writes the names of a layer without weights.
    #expect(try file.strings("/", "none") == [])
  }

  @Test(arguments: ["legacy.h5", "modern.h5"]) func fromMemory(_ name: String) throws {
    try Fixture.bytes(name).withUnsafeBytes { bytes in
      let file = try H5(memory: bytes)
      #expect(try file.values("z_first/z_first/kernel:0", as: Float.self) == Self.kernel)
      #expect(try file.strings("/", "texts") == ["x", "héllo", ""])
      try file.close()
    }
  }

  @Test func errors() throws {
    let missing = #expect(throws: Failure.self) { try H5("/no/such/file.h5") }
    #expect(missing?.status == XFER_E_NOT_FOUND && missing?.message.contains("/no/such/file.h5") == true)
    #expect(status { _ = try H5("/") } == XFER_E_IO)
    let text = #expect(throws: Failure.self) { try H5(Fixture.path("make_fixtures.py")) }
    #expect(text?.status == XFER_E_FORMAT && text?.message.contains("make_fixtures.py") == true)
    let file = try H5(Fixture.path("legacy.h5"))
    #expect(status { _ = try file.bytes("none") } == XFER_E_NOT_FOUND)
    #expect(status { _ = try file.bytes("elsewhere") } == XFER_E_NOT_FOUND)
    #expect(status { _ = try file.bytes("kinds") } == XFER_E_INVALID_ARGUMENT)
    #expect(status { _ = try file.bytes("kinds/text") } == XFER_E_DTYPE)
    #expect(status { _ = try file.members("none") } == XFER_E_NOT_FOUND)
    #expect(status { _ = try file.strings("/", "no_names") } == XFER_E_NOT_FOUND)
    #expect(status { _ = try file.strings("/", "number") } == XFER_E_DTYPE)
    var small = [Float](repeating: 0, count: 3)
    #expect(status { try check(file.codec.dataset_read(file.file, "z_first/z_first/kernel:0", &small, 12)) } == XFER_E_INVALID_ARGUMENT)
    #expect(status { try file.write("new", XFER_F32, [1], [Float(1)]) } == XFER_E_STATE)
  }

  /// A visitor may use the file it visits.
  @Test func callingBack() throws {
    let file = try H5(Fixture.path("modern.h5"))
    var open = (file, 0)
    try withUnsafeMutablePointer(to: &open) {
      try check(
        file.codec.visit(
          file.file, "kinds",
          { user, name, _ in
            guard let open = user?.assumingMemoryBound(to: (H5, Int).self), let name else { return 1 }
            if let shape = try? open.pointee.0.describe("kinds/\(String(cString: name))").shape { open.pointee.1 += shape.count }
            return 0
          }, $0))
    }
    #expect(open.1 == 5 + 0 + 2)
  }

  @Test func manyThreads() throws {
    let results = UnsafeMutableBufferPointer<Bool>.allocate(capacity: 8)
    defer { results.deallocate() }
    nonisolated(unsafe) let places = results
    DispatchQueue.concurrentPerform(iterations: 8) { i in
      let file = try? H5(Fixture.path(i % 2 == 0 ? "legacy.h5" : "modern.h5"))
      places[i] = (0..<20).allSatisfy { _ in
        (try? file?.values("z_first/z_first/kernel:0", as: Float.self)) == Self.kernel && (try? file?.strings("/", "none")) == []
      }
    }
    #expect(results.allSatisfy { $0 })
  }

  /// Reads all there is to read; what fails has to fail with a status of its own.
  private static func readAll(_ file: H5, _ group: String = "", depth: Int = 0) -> [xfer_status] {
    var found: [xfer_status] = []
    for name in ["layer_names", "texts", "backend", "weight_names"] { found.append(status { _ = try file.strings(group, name) }) }
    var members: [String] = []
    found.append(status { members = try file.members(group) })
    for member in members.prefix(100) where depth < 4 {
      if member.hasSuffix("/") {
        found += readAll(file, "\(group)/\(member.dropLast())", depth: depth + 1)
      } else {
        found.append(status { _ = try file.bytes("\(group)/\(member)") })
      }
    }
    return found
  }

  /// Without checksums, what leads back to itself is to be found before the library follows it for ever.
  @Test(.timeLimit(.minutes(1))) func endlessListsAndTrees() throws {
    func position(of mark: String, in bytes: [UInt8], last: Bool) -> Int? {
      let places = bytes.indices.filter { bytes[$0...].starts(with: Array(mark.utf8)) }
      return last ? places.last : places.first
    }
    func number(_ bytes: [UInt8], _ place: Int) -> Int { (0..<8).reduce(0) { $0 | Int(bytes[place + $1]) << (8 * $1) } }
    func put(_ value: Int, _ bytes: inout [UInt8], _ place: Int) { for i in 0..<8 { bytes[place + i] = UInt8(value >> (8 * i) & 255) } }
    for last in [false, true] {
      var heap = try Array(Fixture.bytes("legacy.h5"))
      let place = try #require(position(of: "HEAP", in: heap, last: last))
      // The first free block, in the heap's data, is its own successor.
      put(number(heap, place + 16), &heap, number(heap, place + 24) + number(heap, place + 16))
      var tree = try Array(Fixture.bytes("legacy.h5"))
      let root = try #require(position(of: "TREE", in: tree, last: last))
      // A node above others whose child is the node itself.
      tree[root + 5] = 1
      put(root, &tree, root + 24 + 8)
      for bytes in [heap, tree] {
        var found: [xfer_status] = []
        bytes.withUnsafeBytes { bytes in
          let opened = status { found = Self.readAll(try H5(memory: bytes)) }
          found.append(opened)
        }
        #expect(found.contains(XFER_E_FORMAT) || found.contains(XFER_E_NOT_FOUND), "\(last) \(found)")
        #expect(!found.contains { $0 < 0 })
      }
    }
  }

  @Test(arguments: ["legacy.h5", "modern.h5"]) func damaged(_ name: String) throws {
    var unclear = 0
    var refused = 0
    damage(try Fixture.bytes(name), cuts: 60, flips: 20) { bytes in
      bytes.withUnsafeBytes { bytes in
        let opened = status {
          let file = try H5(memory: bytes)
          unclear += Self.readAll(file).filter { $0 < 0 }.count
        }
        if opened != XFER_OK { refused += 1 }
        if opened < 0 { unclear += 1 }
      }
    }
    #expect(unclear == 0)
    #expect(refused >= 60, "every cut file is refused")
  }
}
