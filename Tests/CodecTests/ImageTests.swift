import CXfer
import Foundation
import Testing

@Suite("Images", .enabled(if: Codecs.images != nil, "libxfer-images.so is not beside the tests"))
struct ImageTests {
  let codec: xfer_image_codec

  init() throws { codec = try #require(Codecs.images).table }

  private func decode(_ data: [UInt8], channels: Int = 3, least: (Int, Int) = (0, 0)) throws -> (height: Int, width: Int, pixels: [UInt8]) {
    var request = xfer_image_request(
      struct_size: MemoryLayout<xfer_image_request>.size, channels: Int32(channels), min_height: Int32(least.0), min_width: Int32(least.1))
    var info = xfer_image_info(struct_size: MemoryLayout<xfer_image_info>.size, height: 0, width: 0)
    try check(codec.info(data, data.count, &request, &info))
    let size = Int(info.height) * Int(info.width) * channels
    if size > 1 << 26 { throw Failure(status: XFER_E_FORMAT, message: "too large for a test") }
    var pixels = [UInt8](repeating: 0, count: size)
    try check(codec.decode(data, data.count, &request, &pixels, pixels.count))
    return (Int(info.height), Int(info.width), pixels)
  }

  private func difference(_ a: [UInt8], _ b: [UInt8]) -> (largest: Int, mean: Double) {
    guard a.count == b.count else { return (255, 255) }
    let all = zip(a, b).map { abs(Int($0) - Int($1)) }
    return (all.max() ?? 0, Double(all.reduce(0, +)) / Double(max(all.count, 1)))
  }

  @Test(arguments: ["photo", "progressive", "grey", "cmyk"]) func jpeg(_ name: String) throws {
    let data = try Fixture.bytes("\(name).jpg")
    #expect(codec.recognizes(data, data.count) == 1)
    let image = try decode(data)
    #expect(image.height == 37 && image.width == 50)
    let (largest, mean) = difference(image.pixels, try Fixture.bytes("\(name).rgb"))
    #expect(largest <= 2 && mean < 0.5, "largest \(largest), mean \(mean)")
    let rgba = try decode(data, channels: 4).pixels
    #expect(stride(from: 3, to: rgba.count, by: 4).allSatisfy { rgba[$0] == 255 })
    #expect(rgba.indices.filter { $0 % 4 != 3 }.map { rgba[$0] } == image.pixels)
    let grey = try decode(data, channels: 1).pixels
    let luma = stride(from: 0, to: image.pixels.count, by: 3).map { i in
      let (r, g, b) = (Double(image.pixels[i]), Double(image.pixels[i + 1]), Double(image.pixels[i + 2]))
      return UInt8((0.299 * r + 0.587 * g + 0.114 * b).rounded())
    }
    // The luma plane itself, where the colours made from it were cut to 0...255.
    #expect(difference(grey, luma).mean < 2)
  }

  @Test(arguments: ["colour", "alpha", "palette", "levels", "bits", "deep"]) func png(_ name: String) throws {
    let data = try Fixture.bytes("\(name).png")
    #expect(codec.recognizes(data, data.count) == 1)
    let image = try decode(data)
    #expect(image.height == 11 && image.width == 13)
    #expect(image.pixels == (try Fixture.bytes("\(name).rgb")), "the stored colours, whatever alpha and gamma say")
    let rgba = try decode(data, channels: 4).pixels
    #expect(rgba.indices.filter { $0 % 4 != 3 }.map { rgba[$0] } == image.pixels)
    #expect(stride(from: 3, to: rgba.count, by: 4).map { rgba[$0] } == (0..<143).map { name == "alpha" ? UInt8($0) : 255 })
    let grey = try decode(data, channels: 1).pixels
    let luma = stride(from: 0, to: image.pixels.count, by: 3).map { i in
      let (r, g, b) = (Double(image.pixels[i]), Double(image.pixels[i + 1]), Double(image.pixels[i + 2]))
      return UInt8((0.299 * r + 0.587 * g + 0.114 * b).rounded())
    }
    #expect(difference(grey, luma).largest <= 1)
  }

  @Test func shrinking() throws {
    let data = try Fixture.bytes("photo.jpg")
    let half = try decode(data, least: (18, 25))
    #expect(half.height == 19 && half.width == 25)
    let none = try decode(data, least: (37, 50))
    #expect(none.height == 37 && none.width == 50)
    let larger = try decode(data, least: (100, 10))
    #expect(larger.height == 37 && larger.width == 50, "never smaller than asked for, never enlarged")
    // The half is the mean of four pixels, about.
    let full = try decode(data).pixels
    var sum = 0
    for y in 0..<18 {
      for x in 0..<25 {
        let four = [(0, 0), (0, 1), (1, 0), (1, 1)].map { Int(full[((2 * y + $0.0) * 50 + 2 * x + $0.1) * 3]) }
        sum += abs(four.reduce(0, +) / 4 - Int(half.pixels[(y * 25 + x) * 3]))
      }
    }
    #expect(Double(sum) / (18 * 25) < 4)
  }

  @Test func errors() throws {
    let data = try Fixture.bytes("photo.jpg")
    #expect(codec.recognizes(Array("GIF89a".utf8), 6) == 0)
    #expect(codec.recognizes(nil, 0) == 0)
    #expect(status { _ = try decode(Array("GIF89a, no".utf8)) } == XFER_E_FORMAT)
    #expect(status { _ = try decode(data, channels: 2) } == XFER_E_INVALID_ARGUMENT)
    var request = xfer_image_request(struct_size: MemoryLayout<xfer_image_request>.size, channels: 3, min_height: 0, min_width: 0)
    var small = [UInt8](repeating: 0, count: 100)
    #expect(status { try check(codec.decode(data, data.count, &request, &small, small.count)) } == XFER_E_INVALID_ARGUMENT)
  }

  /// Sizes that no file of a few bytes can have are refused before anybody makes room for them.
  @Test func impossibleSizes() throws {
    var jpeg = try Fixture.bytes("photo.jpg")
    let frame = try #require(jpeg.indices.first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
    jpeg.replaceSubrange(frame + 5..<frame + 9, with: [0xFF, 0xFF, 0xFF, 0xFF])
    #expect(status { _ = try decode(jpeg) } == XFER_E_FORMAT)
    var png = try Fixture.bytes("colour.png")
    png.replaceSubrange(16..<24, with: [0, 0, 0x80, 0, 0, 0, 0x20, 0])
    #expect(status { _ = try decode(png) } == XFER_E_FORMAT)
  }

  @Test(arguments: ["photo.jpg", "progressive.jpg", "cmyk.jpg", "colour.png", "palette.png", "deep.png"]) func damaged(_ name: String)
    throws
  {
    let good = try Fixture.bytes(name)
    var unclear = 0
    var cutAccepted = 0
    damage(good, cuts: 80, flips: 300) { bytes in
      for channels in [1, 3] {
        let result = status { _ = try decode(bytes, channels: channels) }
        if result < 0 { unclear += 1 }
        if result == XFER_OK, bytes.count < good.count { cutAccepted += 1 }
      }
    }
    #expect(unclear == 0)
    #expect(cutAccepted == 0, "a cut image is refused")
  }

  @Test func manyThreads() throws {
    let codec = codec
    let files = try ["photo.jpg", "cmyk.jpg", "deep.png"].map { try Fixture.bytes($0) }
    let alone = try files.map { try decode($0).pixels }
    let results = UnsafeMutableBufferPointer<Bool>.allocate(capacity: 12)
    defer { results.deallocate() }
    nonisolated(unsafe) let places = results
    DispatchQueue.concurrentPerform(iterations: 12) { i in
      var request = xfer_image_request(struct_size: MemoryLayout<xfer_image_request>.size, channels: 3, min_height: 0, min_width: 0)
      let (data, wanted) = (files[i % 3], alone[i % 3])
      places[i] = (0..<20).allSatisfy { _ in
        var pixels = [UInt8](repeating: 0, count: wanted.count)
        return codec.decode(data, data.count, &request, &pixels, pixels.count) == XFER_OK && pixels == wanted
      }
    }
    #expect(results.allSatisfy { $0 })
  }

  /// Photographs, against what Pillow 13 decodes: every 36864th byte and the means of the channels.
  @Test(
    .enabled(if: Shared.folder != nil, "no reference data (set XFER_SHARED to its folder)"),
    arguments: [
      (
        "glass/glass139.jpg", [215, 216, 216, 217, 214, 217, 219, 219, 218, 218, 215, 214, 210, 199, 190, 145],
        [167.31058247884116, 170.4937489827474, 180.50748189290366]
      ),
      (
        "trash/trash94.jpg", [86, 77, 76, 78, 79, 77, 80, 95, 122, 145, 169, 190, 202, 213, 216, 218],
        [182.9667765299479, 172.2673543294271, 156.63260396321616]
      ),
    ] as [(String, [UInt8], [Double])])
  func photographs(_ name: String, _ samples: [UInt8], _ means: [Double]) throws {
    let image = try decode([UInt8](Data(contentsOf: URL(filePath: Shared.path("data/trashnet/val/\(name)")))))
    #expect(image.height == 512 && image.width == 384)
    let ours = stride(from: 0, to: image.pixels.count, by: 36864).map { image.pixels[$0] }
    #expect(difference(ours, samples).largest <= 2)
    for channel in 0..<3 {
      let sum = stride(from: channel, to: image.pixels.count, by: 3).reduce(0) { $0 + Int(image.pixels[$1]) }
      #expect(abs(Double(sum) / Double(512 * 384) - means[channel]) < 0.05)
    }
  }
}
