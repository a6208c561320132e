import CPNG
import CXfer

func isPNG(_ data: UnsafePointer<UInt8>, _ bytes: Int) -> Bool {
  bytes >= 8 && data[0] == 0x89 && data[1] == 0x50 && data[2] == 0x4E && data[3] == 0x47
    && data[4] == 0x0D && data[5] == 0x0A && data[6] == 0x1A && data[7] == 0x0A
}

private func bigEndian(_ data: UnsafePointer<UInt8>) -> Int {
  Int(data[0]) << 24 | Int(data[1]) << 16 | Int(data[2]) << 8 | Int(data[3])
}

/// A PNG reduced to the chunks that make its pixels: IHDR, PLTE, tRNS, IDAT, IEND.
///
/// The others are left out for two reasons. libpng's simplified reader applies gAMA, cHRM, sRGB and iCCP, where TensorFlow's and
/// Pillow's pixels are the stored ones; and compressed texts and profiles are the usual way to attack a decoder.
private struct PixelChunks {
  var data: UnsafePointer<UInt8>
  var bytes: Int
  /// Set when `data` is a copy.
  var copy: UnsafeMutablePointer<UInt8>?
}

private func isPixelChunk(_ type: Int) -> Bool {
  type == 0x4948_4452 || type == 0x504C_5445 || type == 0x7452_4E53 || type == 0x4944_4154 || type == 0x4945_4E44
}

private func pixelChunks(_ data: UnsafePointer<UInt8>, _ bytes: Int, _ chunks: inout PixelChunks) -> xfer_status {
  let end = 0x4945_4E44
  var kept = 8
  var i = 8
  var type = 0
  while type != end {
    guard i + 12 <= bytes, bigEndian(data + i) <= bytes - i - 12 else {
      return fail(XFER_E_FORMAT, "PNG is cut short: it ends after ", .number(bytes), " bytes within a chunk")
    }
    let length = bigEndian(data + i) + 12
    type = bigEndian(data + i + 4)
    if isPixelChunk(type) { kept += length }
    i += length
  }
  chunks = PixelChunks(data: data, bytes: i, copy: nil)
  if kept == i { return XFER_OK }
  guard let copy = allocate(UInt8.self, kept) else { return fail(XFER_E_OUT_OF_MEMORY, "PNG: no memory for ", .number(kept), " bytes") }
  copy.update(from: data, count: 8)
  var to = 8
  var from = 8
  while from < i {
    let length = bigEndian(data + from) + 12
    if isPixelChunk(bigEndian(data + from + 4)) {
      (copy + to).update(from: data + from, count: length)
      to += length
    }
    from += length
  }
  chunks = PixelChunks(data: UnsafePointer(copy), bytes: kept, copy: copy)
  return XFER_OK
}

private func pngFailure(_ image: inout png_image) -> xfer_status {
  withUnsafePointer(to: &image.message) {
    $0.withMemoryRebound(to: CChar.self, capacity: 64) { fail(XFER_E_FORMAT, "PNG: ", .text($0)) }
  }
}

/// Reads the header of the chunks and checks the size. On success the caller frees `image`.
private func begin(_ chunks: PixelChunks, _ image: inout png_image, _ size: inout ImageSize) -> xfer_status {
  image.version = png_uint_32(PNG_IMAGE_VERSION)
  guard png_image_begin_read_from_memory(&image, chunks.data, chunks.bytes) != 0 else { return pngFailure(&image) }
  // Without this flag libpng takes 16-bit samples for linear light and bends them.
  image.flags |= png_uint_32(PNG_IMAGE_FLAG_16BIT_sRGB)
  size = ImageSize(height: Int(image.height), width: Int(image.width))
  var result = size.check()
  // Deflate shrinks nothing to less than a 1032nd, and no pixel has less than a bit.
  if result == XFER_OK, size.pixels / 8 > chunks.bytes * 1032 {
    result = fail(
      XFER_E_FORMAT, "PNG: ", .number(size.height), " x ", .number(size.width), " pixels cannot come from ",
      .number(chunks.bytes), " bytes")
  }
  if result != XFER_OK { png_image_free(&image) }
  return result
}

func pngSize(_ data: UnsafePointer<UInt8>, _ bytes: Int, _ size: inout ImageSize) -> xfer_status {
  var chunks = PixelChunks(data: data, bytes: bytes, copy: nil)
  var result = pixelChunks(data, bytes, &chunks)
  guard result == XFER_OK else { return result }
  defer { release(chunks.copy) }
  var image = png_image()
  result = begin(chunks, &image, &size)
  if result == XFER_OK { png_image_free(&image) }
  return result
}

func decodePNG(_ data: UnsafePointer<UInt8>, _ bytes: Int, _ output: Output) -> xfer_status {
  var chunks = PixelChunks(data: data, bytes: bytes, copy: nil)
  var result = pixelChunks(data, bytes, &chunks)
  guard result == XFER_OK else { return result }
  defer { release(chunks.copy) }
  var image = png_image()
  var size = ImageSize(height: 0, width: 0)
  result = begin(chunks, &image, &size)
  guard result == XFER_OK else { return result }
  defer { png_image_free(&image) }
  result = output.check(size)
  guard result == XFER_OK else { return result }

  let color = png_uint_32(PNG_FORMAT_FLAG_COLOR)
  let alpha = png_uint_32(PNG_FORMAT_FLAG_ALPHA)
  let hasAlpha = image.format & alpha != 0
  let hasColor = image.format & color != 0
  let direct: png_uint_32? =
    switch output.channels {
    case 4: color | alpha
    case 3 where !hasAlpha: color
    case 1 where !hasAlpha && !hasColor: 0
    default: nil
    }
  if let direct {
    image.format = direct
    return png_image_finish_read(&image, nil, output.pixels, 0, nil) != 0 ? XFER_OK : pngFailure(&image)
  }
  // Colours are kept as they are stored under the alpha that is dropped: nothing is blended with a background.
  guard let rgba = allocate(UInt8.self, size.pixels * 4) else {
    return fail(XFER_E_OUT_OF_MEMORY, "PNG: no memory for ", .number(size.pixels), " pixels")
  }
  defer { release(rgba) }
  image.format = color | alpha
  guard png_image_finish_read(&image, nil, rgba, 0, nil) != 0 else { return pngFailure(&image) }
  for i in 0..<size.pixels { output.put(i, red: rgba[4 * i], green: rgba[4 * i + 1], blue: rgba[4 * i + 2]) }
  return XFER_OK
}
