import CXfer
import Foundation
import Testing
import XferCore
@testable import Xfer

private func status(_ body: () throws -> Void) -> xfer_status {
  do {
    try body()
    return XFER_OK
  } catch { return (error as? XferError)?.status ?? -1 }
}

private let hasImages = PluginHost.shared.best(.imageCodec) != nil

@Suite("Folders of images")
struct DataImageFolderTests {
  /// A PNG of one colour.
  private static func png(_ red: UInt8, _ green: UInt8 = 0, _ blue: UInt8 = 0, side: Int = 2) -> Data {
    func bigEndian(_ value: Int) -> [UInt8] { (0..<4).reversed().map { UInt8(value >> ($0 * 8) & 255) } }
    func checksum(_ bytes: [UInt8]) -> Int {
      var crc: UInt32 = .max
      for byte in bytes {
        crc ^= UInt32(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
      }
      return Int(~crc)
    }
    func chunk(_ kind: String, _ body: [UInt8]) -> [UInt8] {
      bigEndian(body.count) + Array(kind.utf8) + body + bigEndian(checksum(Array(kind.utf8) + body))
    }
    let rows = [UInt8]((0..<side).flatMap { _ in [0] + (0..<side).flatMap { _ in [red, green, blue] } })
    // Deflate without compression: one stored block.
    var (a, b) = (1, 0)
    for byte in rows {
      a = (a + Int(byte)) % 65521
      b = (b + a) % 65521
    }
    let length = rows.count
    let stored: [UInt8] = [0x78, 0x01, 1, UInt8(length & 255), UInt8(length >> 8), UInt8(~length & 255), UInt8(~length >> 8 & 255)]
    let body = stored + rows + bigEndian(b << 16 | a)
    return Data(
      [0x89] + Array("PNG\r\n\u{1a}\n".utf8) + chunk("IHDR", bigEndian(side) + bigEndian(side) + [8, 2, 0, 0, 0]) + chunk("IDAT", body)
        + chunk("IEND", []))
  }

  /// Class folders of images whose red is 10 times the class and whose green is the number in it.
  private func makeFolder(_ classes: [(name: String, count: Int)]) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for (label, (name, count)) in classes.enumerated() {
      try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: true)
      for i in 0..<count {
        try folder.write(Self.png(UInt8(label * 10), UInt8(i)), "\(name)/\(String(format: "%03d", i)).png")
      }
    }
    return folder
  }

  private func options(batch: Int, shuffle: Bool, seed: UInt64? = nil) -> ImageFolderOptions {
    var options = ImageFolderOptions()
    options.imageSize = (2, 2)
    (options.batchSize, options.shuffle, options.seed) = (batch, shuffle, seed)
    return options
  }

  /// Class and number of each image of an epoch, as pixels and labels say.
  private func epoch(_ data: ImageFolderDataset, _ epoch: Int) throws -> [[Int]] {
    try data.restart(epoch: epoch)
    var found: [[Int]] = []
    while let batch = try data.next() {
      let labels = batch.y.floats
      for i in 0..<batch.count {
        let pixels = batch.x.rows(i..<i + 1).floats
        #expect(pixels[0] == labels[i] * 10)
        found.append([Int(labels[i]), Int(pixels[1])])
      }
    }
    return found
  }

  // MARK: What is found

  @Test func inOrder() throws {
    let folder = try makeFolder([("b", 2), ("a", 3)])
    try FileManager.default.createDirectory(atPath: folder.file(".hidden"), withIntermediateDirectories: true)
    try FileManager.default.createDirectory(atPath: folder.file("a/more"), withIntermediateDirectories: true)
    try folder.write(Self.png(1), "a/more/x.PNG")
    try folder.write(Data("text".utf8), "a/notes.txt")
    try folder.write(Data("text".utf8), "readme.txt")
    let data = try ImageFolderDataset(folder.path, options(batch: 4, shuffle: false))
    #expect(data.classNames == ["a", "b"])
    #expect(data.count == 6 && data.batchCount == 2)
    #expect(
      data.files.map { URL(filePath: $0.path).lastPathComponent } == ["000.png", "001.png", "002.png", "x.PNG", "000.png", "001.png"])
    #expect(data.files.map(\.label) == [0, 0, 0, 0, 1, 1])
    var named = options(batch: 4, shuffle: false)
    named.classNames = ["b", "a"]
    #expect(try ImageFolderDataset(folder.path, named).files.map(\.label) == [0, 0, 1, 1, 1, 1])
  }

  @Test func numpyShuffle() {
    var first = NumPyShuffle(seed: 1337)
    #expect(first.order(10) == [6, 3, 0, 4, 5, 2, 1, 9, 8, 7])
    var second = NumPyShuffle(seed: 0)
    #expect(second.order(7) == [6, 2, 1, 3, 0, 5, 4])
    // More numbers than one round of the generator has.
    var third = NumPyShuffle(seed: 42)
    let order = third.order(1000)
    #expect(order.prefix(5) == [521, 737, 740, 660, 411] && order.suffix(3) == [860, 435, 102])
    var none = NumPyShuffle(seed: 1)
    #expect(none.order(0) == [] && none.order(1) == [0])
  }

  @Test func split() throws {
    let folder = try makeFolder([("a", 7), ("b", 6)])
    var training = options(batch: 4, shuffle: true, seed: 5)
    (training.validationSplit, training.subset) = (0.25, .training)
    var validation = training
    validation.subset = .validation
    let (first, second) = (try ImageFolderDataset(folder.path, training), try ImageFolderDataset(folder.path, validation))
    #expect(first.count == 10 && second.count == 3)
    #expect(Set(first.files.map(\.path)).isDisjoint(with: second.files.map(\.path)))
    #expect(Set((first.files + second.files).map(\.path)).count == 13)
    // Without shuffling the last ones are for validation.
    (training.shuffle, validation.shuffle) = (false, false)
    #expect(try ImageFolderDataset(folder.path, validation).files.map(\.label) == [1, 1, 1])
    #expect(try ImageFolderDataset(folder.path, training).files.map(\.label) == [0, 0, 0, 0, 0, 0, 0, 1, 1, 1])
  }

  @Test(.enabled(if: SharedData.isHere, "\(SharedData.skip)")) func splitAsKeras() throws {
    var options = ImageFolderOptions()
    (options.seed, options.validationSplit, options.subset) = (123, 0.2, .validation)
    let files = try ImageFolderDataset(SharedData.path("data/trashnet/train"), options).files
    #expect(files.count == 48)
    // What numpy's RandomState(123) makes of the sorted files, as Keras does it.
    #expect(
      files.prefix(3).map { $0.path.split(separator: "/").suffix(2).joined(separator: "/") }
        == ["metal/metal7.jpg", "metal/metal22.jpg", "metal/metal254.jpg"])
    #expect(files.prefix(3).map(\.label) == [2, 2, 2])
  }

  @Test func refusals() throws {
    let folder = try makeFolder([("a", 1), ("b", 1)])
    #expect(status { _ = try ImageFolderDataset(folder.file("none")) } == XFER_E_NOT_FOUND)
    #expect(status { _ = try ImageFolderDataset(folder.file("a")) } == XFER_E_DATA)
    try FileManager.default.createDirectory(atPath: folder.file("empty"), withIntermediateDirectories: true)
    let empty = #expect(throws: XferError.self) { try ImageFolderDataset(folder.path) }
    #expect(empty?.status == XFER_E_DATA && empty?.message.contains("\(folder.path)/empty") == true)
    try FileManager.default.removeItem(atPath: folder.file("empty"))
    func refused(_ change: (inout ImageFolderOptions) -> Void) -> xfer_status {
      var options = ImageFolderOptions()
      change(&options)
      return status { _ = try ImageFolderDataset(folder.path, options) }
    }
    #expect(refused { $0.classNames = ["a"] } == XFER_E_DATA)
    #expect(refused { $0.classNames = ["a", "b", "c"] } == XFER_E_DATA)
    #expect(refused { $0.classNames = ["a", "b", "b"] } == XFER_E_DATA)
    #expect(refused { $0.batchSize = 0 } == XFER_E_INVALID_ARGUMENT)
    #expect(refused { $0.imageSize = (0, 5) } == XFER_E_INVALID_ARGUMENT)
    #expect(refused { $0.subset = .training } == XFER_E_INVALID_ARGUMENT)
    #expect(refused { ($0.subset, $0.validationSplit) = (.training, 0.5) } == XFER_E_INVALID_ARGUMENT, "a shuffled split wants a seed")
    #expect(refused { ($0.subset, $0.validationSplit, $0.seed) = (.training, 1.5, 0) } == XFER_E_INVALID_ARGUMENT)
    #expect(refused { ($0.subset, $0.validationSplit, $0.seed) = (.validation, 0.1, 0) } == XFER_E_DATA, "none are left")
  }

  @Test func json() throws {
    let options = try ImageFolderOptions(
      json: JSONValue(
        parsing: #"""
          {"image_size":[224,192],"batch_size":8,"shuffle":false,"seed":3,"validation_split":0.5,"subset":"validation","class_names":["x"]}
          """#, what: "config"))
    #expect(options.imageSize == (224, 192) && options.batchSize == 8 && !options.shuffle && options.seed == 3)
    #expect(options.validationSplit == 0.5 && options.subset == .validation && options.classNames == ["x"])
    #expect(try ImageFolderOptions(json: ["seed": nil]).imageSize == (256, 256))
    let misspelt = #expect(throws: XferError.self) { try ImageFolderOptions(json: ["batchsize": 3]) }
    #expect(misspelt?.status == XFER_E_INVALID_ARGUMENT && misspelt?.message.contains("batch_size") == true)
    #expect(status { _ = try ImageFolderOptions(json: ["image_size": 3]) } == XFER_E_INVALID_ARGUMENT)
    #expect(status { _ = try ImageFolderOptions(json: ["seed": -1]) } == XFER_E_INVALID_ARGUMENT)
  }

  // MARK: What is read

  @Test func resize() throws {
    let image = try Tensor(zeros: [1, 4, 1], dtype: .uint8)
    for i in 0..<4 { image.data.assumingMemoryBound(to: UInt8.self)[i] = UInt8(i) }
    let two = try Tensor(zeros: [2])
    try BilinearResize.run(image, into: two.float32, height: 1, width: 2)
    #expect(two.floats == [0.5, 2.5])
    let eight = try Tensor(zeros: [16])
    try BilinearResize.run(image, into: eight.float32, height: 2, width: 8)
    #expect(eight.floats == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3, 0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3])
    let same = try Tensor(zeros: [4])
    try BilinearResize.run(image, into: same.float32, height: 1, width: 4)
    #expect(same.floats == [0, 1, 2, 3])
  }

  @Test(.enabled(if: hasImages, "libxfer-images.so is not beside the tests")) func epochs() throws {
    let folder = try makeFolder([("a", 7), ("b", 6)])
    let all = (0..<7).map { [0, $0] } + (0..<6).map { [1, $0] }
    let plain = try ImageFolderDataset(folder.path, options(batch: 5, shuffle: false))
    #expect(try epoch(plain, 0) == all)
    #expect(try epoch(plain, 1) == all)
    let shuffled = try ImageFolderDataset(folder.path, options(batch: 5, shuffle: true, seed: 9))
    let (first, second) = (try epoch(shuffled, 0), try epoch(shuffled, 1))
    #expect(first != second && first != all)
    #expect(first.sorted { $0.lexicographicallyPrecedes($1) } == all && second.sorted { $0.lexicographicallyPrecedes($1) } == all)
    #expect(
      try epoch(ImageFolderDataset(folder.path, options(batch: 3, shuffle: true, seed: 9)), 1) == second, "seed and epoch tell the order")
    // An epoch may be left in the middle, and another dataset gone with batches on their way.
    try shuffled.restart(epoch: 0)
    _ = try shuffled.next()
    #expect(try epoch(shuffled, 1) == second)
    #expect(try shuffled.next() == nil)
    #expect(try shuffled.next() == nil)
    for _ in 0..<20 {
      let brief = try ImageFolderDataset(folder.path, options(batch: 1, shuffle: true, seed: 1))
      _ = try brief.next()
    }
  }

  @Test(.enabled(if: hasImages, "libxfer-images.so is not beside the tests")) func brokenImages() throws {
    let folder = try makeFolder([("a", 4), ("b", 4)])
    try folder.write(Self.png(0).prefix(60), "a/001.png")
    try folder.write(Data("no image".utf8), "b/002.png")
    let data = try ImageFolderDataset(folder.path, options(batch: 3, shuffle: false))
    let good = [[0, 0], [0, 2], [0, 3], [1, 0], [1, 1], [1, 3]]
    for i in 0..<2 {
      #expect(try epoch(data, i) == good)
      #expect(data.skipped.map { URL(filePath: $0.path).pathComponents.suffix(2).joined(separator: "/") } == ["a/001.png", "b/002.png"])
    }
    #expect(data.skipped.allSatisfy { $0.reason.contains($0.path) })
    #expect(data.count == 8)
    #expect(data.info["skipped"]?.arrayValue?.count == 2 && data.info["count"] == 8)
    // A batch of broken images alone is no batch.
    let single = try ImageFolderDataset(folder.path, options(batch: 1, shuffle: false))
    #expect(try epoch(single, 0) == good)
    for i in 0..<4 {
      try folder.write(Data(), "a/00\(i).png")
      try folder.write(Data(), "b/00\(i).png")
    }
    let none = try ImageFolderDataset(folder.path, options(batch: 3, shuffle: false))
    #expect(status { _ = try none.next() } == XFER_E_DATA)
  }

  @Test(.enabled(if: hasImages, "libxfer-images.so is not beside the tests"), .enabled(if: SharedData.isHere, "\(SharedData.skip)"))
  func photograph() throws {
    let image = try ImageCodec.load(SharedData.path("data/trashnet/val/glass/glass139.jpg"), height: 150, width: 150)
    #expect(image.shape == [150, 150, 3])
    let values = image.floats
    // Pillow's pixels, resized by numpy with TensorFlow's formula. Decoders may differ by a level.
    let samples: [Float] = [217.60547, 214.73494, 215.1628, 219.2096, 218.78679, 213.76001, 201.86507, 144.3344]
    #expect(zip(stride(from: 0, to: values.count, by: 9000), samples).allSatisfy { abs(values[$0] - $1) < 1.5 })
    for (channel, mean) in [167.32802, 170.51547, 180.52779].enumerated() {
      let sum = stride(from: channel, to: values.count, by: 3).reduce(0.0) { $0 + Double(values[$1]) }
      #expect(abs(sum / 22500 - mean) < 0.1)
    }
    let whole = try ImageCodec.load(SharedData.path("data/trashnet/val/glass/glass139.jpg"))
    #expect(whole.shape == [512, 384, 3])
    #expect(status { _ = try ImageCodec.load("/no/such.jpg") } == XFER_E_NOT_FOUND)
  }
}
