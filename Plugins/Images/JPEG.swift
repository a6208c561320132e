import CTurboJPEG
import CXfer

/// A JPEG's header, and the size it is decoded to.
private struct Header {
  var full = ImageSize(height: 0, width: 0)
  var scaled = ImageSize(height: 0, width: 0)
  var colorspace: Int32 = 0
  var isCMYK: Bool { colorspace == Int32(TJCS_CMYK.rawValue) || colorspace == Int32(TJCS_YCCK.rawValue) }
}

func jpegSize(
  _ data: UnsafePointer<UInt8>, _ bytes: Int, _ request: xfer_image_request, _ size: inout ImageSize
) -> xfer_status {
  guard let decoder = tjInitDecompress() else { return noDecoder() }
  defer { tjDestroy(decoder) }
  var header = Header()
  let result = readHeader(decoder, data, bytes, request, &header)
  size = header.scaled
  return result
}

private func noDecoder() -> xfer_status { fail(XFER_E_OUT_OF_MEMORY, "JPEG: no memory for a decoder") }

private func readHeader(
  _ decoder: tjhandle, _ data: UnsafePointer<UInt8>, _ bytes: Int, _ request: xfer_image_request, _ header: inout Header
) -> xfer_status {
  var width: Int32 = 0
  var height: Int32 = 0
  var subsampling: Int32 = 0
  guard tjDecompressHeader3(decoder, data, UInt(bytes), &width, &height, &subsampling, &header.colorspace) == 0 else {
    return fail(XFER_E_FORMAT, "JPEG of ", .number(bytes), " bytes: ", .text(tjGetErrorStr2(decoder)))
  }
  header.full = ImageSize(height: Int(height), width: Int(width))
  let checked = header.full.check()
  if checked != XFER_OK { return checked }
  header.scaled = scaled(header.full, request)
  return XFER_OK
}

/// The smallest size the DCT can be decoded to that has the least height and width asked for; the full size where nothing was asked.
private func scaled(_ full: ImageSize, _ request: xfer_image_request) -> ImageSize {
  var best = full
  guard request.min_height > 0 || request.min_width > 0 else { return best }
  var count: Int32 = 0
  guard let factors = tjGetScalingFactors(&count) else { return best }
  for i in 0..<Int(count) where factors[i].num > 0 && factors[i].num <= factors[i].denom {
    let numerator = Int(factors[i].num)
    let denominator = Int(factors[i].denom)
    let size = ImageSize(
      height: (full.height * numerator + denominator - 1) / denominator, width: (full.width * numerator + denominator - 1) / denominator)
    if size.height >= Int(request.min_height), size.width >= Int(request.min_width), size.pixels < best.pixels { best = size }
  }
  return best
}

func decodeJPEG(_ data: UnsafePointer<UInt8>, _ bytes: Int, _ request: xfer_image_request, _ output: Output) -> xfer_status {
  guard let decoder = tjInitDecompress() else { return noDecoder() }
  defer { tjDestroy(decoder) }
  var header = Header()
  var result = readHeader(decoder, data, bytes, request, &header)
  if result == XFER_OK { result = output.check(header.scaled) }
  guard result == XFER_OK else { return result }
  let size = header.scaled
  guard header.isCMYK else {
    let format =
      switch output.channels {
      case 1: TJPF_GRAY
      case 3: TJPF_RGB
      default: TJPF_RGBA
      }
    return decompress(decoder, data, bytes, output.pixels, size, format)
  }
  // TurboJPEG gives such an image as CMYK alone.
  guard let inks = allocate(UInt8.self, size.pixels * 4) else {
    return fail(XFER_E_OUT_OF_MEMORY, "JPEG: no memory for ", .number(size.pixels), " CMYK pixels")
  }
  defer { release(inks) }
  result = decompress(decoder, data, bytes, inks, size, TJPF_CMYK)
  guard result == XFER_OK else { return result }
  // Adobe's programs store the inks inverted.
  let flip: UInt8 = hasAdobeMarker(data, bytes) ? 0 : 255
  for i in 0..<size.pixels {
    let black = UInt32(inks[4 * i + 3] ^ flip)
    let mixed = { (ink: UInt8) in UInt8(truncatingIfNeeded: UInt32(ink ^ flip) * black / 255) }
    output.put(i, red: mixed(inks[4 * i]), green: mixed(inks[4 * i + 1]), blue: mixed(inks[4 * i + 2]))
  }
  return XFER_OK
}

private func decompress(
  _ decoder: tjhandle, _ data: UnsafePointer<UInt8>, _ bytes: Int, _ pixels: UnsafeMutablePointer<UInt8>, _ size: ImageSize, _ format: TJPF
) -> xfer_status {
  // A bounded number of scans: a progressive file of a few kilobytes could otherwise keep a core busy for minutes.
  let flags = TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS
  let failed = tjDecompress2(
    decoder, data, UInt(bytes), pixels, Int32(size.width), 0, Int32(size.height), Int32(format.rawValue), flags)
  if failed == 0 { return XFER_OK }
  let text = tjGetErrorStr2(decoder)
  let isWarning = tjGetErrorCode(decoder) == Int32(TJERR_WARNING.rawValue)
  if isWarning, isHarmless(text), hasEnd(data, bytes) { return XFER_OK }
  return fail(XFER_E_FORMAT, "JPEG of ", .number(bytes), " bytes: ", .text(text))
}

/// Whether a warning is about bytes that the image can do without. Cameras write such files, and every decoder reads them.
private func isHarmless(_ text: UnsafePointer<CChar>?) -> Bool {
  guard let text else { return false }
  return xfer_contains(text, "extraneous bytes before marker") != 0
}

/// Whether the end marker stands near the end of the file; TurboJPEG keeps only the first warning, which could hide a truncation.
private func hasEnd(_ data: UnsafePointer<UInt8>, _ bytes: Int) -> Bool {
  var i = bytes - 2
  while i >= max(0, bytes - 4096) {
    if data[i] == 0xFF, data[i + 1] == 0xD9 { return true }
    i -= 1
  }
  return false
}

/// Whether an APP14 segment of Adobe stands before the image data.
private func hasAdobeMarker(_ data: UnsafePointer<UInt8>, _ bytes: Int) -> Bool {
  var i = 2
  while i + 4 <= bytes, data[i] == 0xFF {
    let marker = data[i + 1]
    if marker == 0xFF {
      i += 1
      continue
    }
    if marker == 0xDA || marker == 0xD9 { return false }
    let length = Int(data[i + 2]) << 8 | Int(data[i + 3])
    if marker == 0xEE, length >= 14, i + 9 <= bytes,
      data[i + 4] == 65, data[i + 5] == 100, data[i + 6] == 111, data[i + 7] == 98, data[i + 8] == 101
    {
      return true
    }
    i += 2 + length
  }
  return false
}
