import Glibc
import XferCore

/// A file of TensorBoard events: records of a length, its checksum, a protocol buffer `Event` and its checksum (TensorFlow's TFRecord).
final class EventFile {
  let path: String
  private let file: Int32

  /// Makes a file with a name of its own in the folder, which is made if need be.
  init(folder: String, number: Int) throws {
    try makeFolder(folder)
    var name = [CChar](repeating: 0, count: 256)
    gethostname(&name, 255)
    let host = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    path = "\(folder)/events.out.tfevents.\(Int(wallSeconds())).\(host).\(getpid()).\(number).v2"
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard file >= 0 else { throw systemError(path, "cannot be written") }
    var event = Message()
    event.double(1, wallSeconds())
    event.bytes(3, Array("brain.Event:2".utf8))
    try write(event.data)
  }

  deinit { close(file) }

  /// Writes one event with one value of a summary.
  func write(_ value: SummaryValue, step: Int) throws {
    var summary = Message()
    summary.bytes(1, value.message.data)
    var event = Message()
    event.double(1, wallSeconds())
    event.varint(2, UInt64(bitPattern: Int64(step)))
    event.bytes(5, summary.data)
    try write(event.data)
  }

  private func write(_ data: [UInt8]) throws {
    let length = Message.little(UInt64(data.count))
    let record = length + Message.little(maskedCRC32C(length)) + data + Message.little(maskedCRC32C(data))
    try record.withUnsafeBytes { try writeAll(file, $0, path: path) }
  }
}

/// A named value as TensorBoard's plugins read it: a tensor with the plugin's name beside it.
struct SummaryValue {
  fileprivate let message: Message

  private init(_ tag: String, plugin: String, content: [UInt8] = [], tensor: Message) {
    var data = Message()
    data.bytes(1, Array(plugin.utf8))
    if !content.isEmpty { data.bytes(2, content) }
    var metadata = Message()
    metadata.bytes(1, data.data)
    var value = Message()
    value.bytes(1, Array(tag.utf8))
    value.bytes(8, tensor.data)
    value.bytes(9, metadata.data)
    message = value
  }

  static func scalar(_ tag: String, _ number: Double) -> SummaryValue {
    SummaryValue(tag, plugin: "scalars", tensor: tensor(1, [], content: Message.little(Float(number).bitPattern)))
  }

  /// Rows of left edge, right edge and count.
  static func histogram(_ tag: String, _ values: [Float], buckets count: Int = 30) -> SummaryValue {
    let finite = values.filter(\.isFinite).map { Double($0) }
    var rows: [Double] = []
    if let low = finite.min(), let high = finite.max() {
      if low == high {
        rows = [low - 0.5, high + 0.5, Double(finite.count)]
      } else {
        let width = (high - low) / Double(count)
        var counts = [Double](repeating: 0, count: count)
        for value in finite { counts[min(count - 1, Int((value - low) / width))] += 1 }
        for (index, amount) in counts.enumerated() {
          rows += [low + Double(index) * width, index == count - 1 ? high : low + Double(index + 1) * width, amount]
        }
      }
    }
    let content = rows.flatMap { Message.little($0.bitPattern) }
    return SummaryValue(tag, plugin: "histograms", tensor: tensor(2, [rows.count / 3, 3], content: content))
  }

  /// A model's architecture, for the graph tab.
  static func kerasModel(_ json: String) -> SummaryValue {
    var tensor = Message()
    tensor.varint(1, 7)
    tensor.bytes(2, [])
    tensor.bytes(8, Array(json.utf8))
    return SummaryValue("keras", plugin: "graph_keras_model", content: Array("1".utf8), tensor: tensor)
  }

  /// A TensorProto: 1 float, 2 double.
  private static func tensor(_ type: UInt64, _ shape: [Int], content: [UInt8]) -> Message {
    var dimensions = Message()
    for size in shape {
      var dimension = Message()
      dimension.varint(1, UInt64(size))
      dimensions.bytes(2, dimension.data)
    }
    var tensor = Message()
    tensor.varint(1, type)
    tensor.bytes(2, dimensions.data)
    tensor.bytes(4, content)
    return tensor
  }
}

/// A protocol buffer message being written.
struct Message {
  private(set) var data: [UInt8] = []

  mutating func varint(_ field: Int, _ value: UInt64) {
    raw(UInt64(field << 3))
    raw(value)
  }

  mutating func double(_ field: Int, _ value: Double) {
    raw(UInt64(field << 3 | 1))
    data += Self.little(value.bitPattern)
  }

  mutating func bytes(_ field: Int, _ bytes: [UInt8]) {
    raw(UInt64(field << 3 | 2))
    raw(UInt64(bytes.count))
    data += bytes
  }

  private mutating func raw(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      data.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    data.append(UInt8(rest))
  }

  static func little<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
}

/// CRC-32C (Castagnoli), rotated and shifted as TFRecord wants it: checksums of data with checksums in it stay good ones.
func maskedCRC32C(_ bytes: [UInt8]) -> UInt32 {
  let checksum = crc32c(bytes)
  return (checksum >> 15 | checksum << 17) &+ 0xA282_EAD8
}

func crc32c(_ bytes: [UInt8]) -> UInt32 {
  var checksum: UInt32 = ~0
  for byte in bytes {
    checksum ^= UInt32(byte)
    for _ in 0..<8 { checksum = checksum & 1 == 1 ? checksum >> 1 ^ 0x82F6_3B78 : checksum >> 1 }
  }
  return ~checksum
}

private func wallSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
