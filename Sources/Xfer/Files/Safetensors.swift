import Glibc
import CXfer
public import XferCore

/// A `.safetensors` file: tensors by name, and a few words about them.
///
/// Eight bytes with the header's length, a JSON header, then the elements of all tensors without gaps
/// (https://github.com/huggingface/safetensors, "Format").
public final class SafetensorsFile {
  /// What the header says of one tensor.
  public struct Entry: Equatable, Sendable {
    /// The format's name of the element type: "F32", "BF16", …
    public var dtypeName: String
    public var shape: [Int]
    /// Bytes after the header.
    public var range: Range<Int>
  }

  public let path: String
  public let entries: [String: Entry]
  /// The free words of the header.
  public let metadata: [String: String]
  private let file: MappedFile
  private let start: Int

  /// Names in the order of the file.
  public var names: [String] {
    entries.sorted { ($0.value.range.lowerBound, $0.key) < ($1.value.range.lowerBound, $1.key) }.map(\.key)
  }

  /// Opens a file and checks all of its header.
  /// - Throws: `XFER_E_NOT_FOUND`, `XFER_E_IO`, and `XFER_E_FORMAT` for a file that is cut short, damaged or something else.
  public init(_ path: String) throws {
    self.path = path
    file = try MappedFile(path)
    let bytes = UnsafeRawBufferPointer(file.bytes)
    guard bytes.count >= 8 else { throw XferError.format("\(path) has \(bytes.count) bytes, a safetensors file has more than 8") }
    let length = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
    guard length <= UInt64(bytes.count - 8), length <= Self.headerLimit, length > 0, bytes[8] == UInt8(ascii: "{") else {
      throw XferError.format("\(path) is cut short or no safetensors file: a header of \(length) bytes in a file of \(bytes.count)")
    }
    start = 8 + Int(length)
    let header = try JSONValue(parsing: bytes[8..<start], what: "the header of \(path)")
    guard case .object(let members) = header else { throw XferError.format("the header of \(path) is no object") }
    var entries: [String: Entry] = [:]
    var metadata: [String: String] = [:]
    for (name, value) in members {
      if name == "__metadata__" {
        metadata = (value.objectValue ?? [:]).compactMapValues(\.stringValue)
      } else {
        entries[name] = try Self.entry(value, name, path, available: bytes.count - start)
      }
    }
    try Self.checkCover(entries, path, available: bytes.count - start)
    (self.entries, self.metadata) = (entries, metadata)
  }

  /// The format's own bound.
  private static let headerLimit: UInt64 = 100_000_000

  /// Bytes of an element, for every type of the format.
  private static let sizes = [
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1,
    "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
  ]
  static let dtypes: [String: DType] = [
    "F64": .float64, "F32": .float32, "F16": .float16, "BF16": .bfloat16, "I64": .int64, "I32": .int32, "U8": .uint8, "BOOL": .bool,
  ]

  private static func entry(_ value: JSONValue, _ name: String, _ path: String, available: Int) throws -> Entry {
    func damaged(_ what: String) -> XferError { .format("\(path), tensor '\(name)': \(what)") }
    guard let dtype = value["dtype"]?.stringValue, let dims = value["shape"]?.arrayValue, let offsets = value["data_offsets"]?.arrayValue
    else {
      throw damaged("dtype, shape and data_offsets are wanted, there is \(value.text())")
    }
    guard let size = sizes[dtype] else { throw damaged("the element type \(dtype) is unknown") }
    let shape = dims.compactMap(\.intValue)
    let ends = offsets.compactMap(\.intValue)
    guard shape.count == dims.count, shape.allSatisfy({ $0 >= 0 }), ends.count == 2, offsets.count == 2 else {
      throw damaged("shape \(value["shape"]?.text() ?? "") and data_offsets \(value["data_offsets"]?.text() ?? "") are no counts")
    }
    guard 0 <= ends[0], ends[0] <= ends[1], ends[1] <= available else {
      throw damaged("it lies at bytes \(ends[0]) to \(ends[1]) of \(available)")
    }
    var bytes = size
    for dimension in shape {
      let (product, overflow) = bytes.multipliedReportingOverflow(by: dimension)
      guard !overflow else { throw damaged("shape \(shape) is impossible") }
      bytes = product
    }
    guard bytes == ends[1] - ends[0] else { throw damaged("shape \(shape) of \(dtype) takes \(bytes) bytes, it has \(ends[1] - ends[0])") }
    return Entry(dtypeName: dtype, shape: shape, range: ends[0]..<ends[1])
  }

  /// Tensors follow each other without overlap and without hidden bytes between or behind them.
  private static func checkCover(_ entries: [String: Entry], _ path: String, available: Int) throws {
    var end = 0
    for (name, entry) in entries.sorted(by: {
      ($0.value.range.lowerBound, $0.value.range.upperBound) < ($1.value.range.lowerBound, $1.value.range.upperBound)
    }) {
      guard entry.range.lowerBound == end else {
        throw XferError.format("\(path), tensor '\(name)': it begins at byte \(entry.range.lowerBound), the one before ends at \(end)")
      }
      end = entry.range.upperBound
    }
    guard end == available else { throw XferError.format("\(path): the tensors take \(end) bytes, the file has \(available) for them") }
  }

  /// A tensor of the file: its own memory where the alignment allows, else a copy. It keeps the file open.
  ///
  /// The file must not be made shorter by anybody as long as the tensor is in use.
  /// - Throws: `XFER_E_NOT_FOUND` for another name, `XFER_E_UNSUPPORTED` for an element type or a rank tensors do not have.
  public func tensor(_ name: String) throws -> Tensor {
    guard let entry = entries[name] else { throw XferError.notFound("\(path) has no tensor '\(name)'\(hint(name, among: entries.keys))") }
    guard let dtype = Self.dtypes[entry.dtypeName], entry.shape.count <= Int(XFER_MAX_RANK) else {
      throw XferError.unsupported("\(path), tensor '\(name)': \(entry.dtypeName) of rank \(entry.shape.count) cannot be used")
    }
    guard let base = file.bytes.baseAddress else { return try Tensor(zeros: entry.shape, dtype: dtype) }
    let data = base + start + entry.range.lowerBound
    let view = Tensor(borrowing: data, shape: entry.shape, dtype: dtype, dispose: { [file] in _ = file })
    return UInt(bitPattern: data) % UInt(dtype.size) == 0 ? view : try view.copy()
  }
}
