import CXfer

/// The entry of the image plugin: JPEG by TurboJPEG, PNG by libpng.
@c @implementation public func xfer_plugin_entry(_ host: UnsafePointer<xfer_host>?) -> UnsafePointer<xfer_plugin>? {
  describe(
    host, kind: Int(XFER_PLUGIN_IMAGE_CODEC), name: "images", version: "1.0 libjpeg-turbo libpng",
    table: xfer_image_codec(
      struct_size: MemoryLayout<xfer_image_codec>.size, recognizes: recognizes, info: imageInfo, decode: decodeImage))
}

private enum Kind { case jpeg, png }

private func kind(_ data: UnsafePointer<UInt8>?, _ bytes: Int) -> Kind? {
  guard let data else { return nil }
  if bytes >= 3, data[0] == 0xFF, data[1] == 0xD8, data[2] == 0xFF { return .jpeg }
  if isPNG(data, bytes) { return .png }
  return nil
}

private func recognizes(_ data: UnsafePointer<UInt8>?, _ bytes: Int) -> Int32 {
  kind(data, bytes) == nil ? 0 : 1
}

private func check(_ request: UnsafePointer<xfer_image_request>?) -> xfer_status {
  guard let request, request.pointee.struct_size >= MemoryLayout<xfer_image_request>.size else {
    return fail(XFER_E_INVALID_ARGUMENT, "image: a request with its struct_size is wanted")
  }
  let channels = request.pointee.channels
  guard channels == 1 || channels == 3 || channels == 4 else {
    return fail(XFER_E_INVALID_ARGUMENT, "image: ", .number(Int(channels)), " channels were asked for, 1, 3 or 4 are possible")
  }
  guard request.pointee.min_height >= 0, request.pointee.min_width >= 0 else {
    return fail(
      XFER_E_INVALID_ARGUMENT, "image: a least size of ", .number(Int(request.pointee.min_height)), " x ",
      .number(Int(request.pointee.min_width)), " was asked for")
  }
  return XFER_OK
}

private func imageInfo(
  _ data: UnsafePointer<UInt8>?, _ bytes: Int, _ request: UnsafePointer<xfer_image_request>?, _ info: UnsafeMutablePointer<xfer_image_info>?
) -> xfer_status {
  let checked = check(request)
  guard checked == XFER_OK, let data, let request else { return checked }
  guard let info, info.pointee.struct_size >= MemoryLayout<xfer_image_info>.size else {
    return fail(XFER_E_INVALID_ARGUMENT, "image: an info structure with its struct_size is wanted")
  }
  var size = ImageSize(height: 0, width: 0)
  let result =
    switch kind(data, bytes) {
    case .jpeg: jpegSize(data, bytes, request.pointee, &size)
    case .png: pngSize(data, bytes, &size)
    case nil: fail(XFER_E_FORMAT, "image: the first of ", .number(bytes), " bytes are neither a JPEG's nor a PNG's")
    }
  if result == XFER_OK {
    info.pointee.height = Int32(size.height)
    info.pointee.width = Int32(size.width)
  }
  return result
}

private func decodeImage(
  _ data: UnsafePointer<UInt8>?, _ bytes: Int, _ request: UnsafePointer<xfer_image_request>?, _ pixels: UnsafeMutablePointer<UInt8>?,
  _ capacity: Int
) -> xfer_status {
  let checked = check(request)
  guard checked == XFER_OK, let data, let request else { return checked }
  guard let pixels else { return fail(XFER_E_INVALID_ARGUMENT, "image: a buffer for the pixels is wanted") }
  let output = Output(pixels: pixels, capacity: capacity, channels: Int(request.pointee.channels))
  return switch kind(data, bytes) {
  case .jpeg: decodeJPEG(data, bytes, request.pointee, output)
  case .png: decodePNG(data, bytes, output)
  case nil: fail(XFER_E_FORMAT, "image: the first of ", .number(bytes), " bytes are neither a JPEG's nor a PNG's")
  }
}

struct ImageSize {
  var height: Int
  var width: Int
  var pixels: Int { height * width }

  /// Refuses what no photograph has: sizes from 2^28 pixels on come from damaged or hostile files.
  func check() -> xfer_status {
    guard height > 0, width > 0, height <= 1 << 28, width <= 1 << 28, pixels <= 1 << 28 else {
      return fail(XFER_E_FORMAT, "image: ", .number(height), " x ", .number(width), " pixels are claimed, 1 to 2^28 can be read")
    }
    return XFER_OK
  }
}

/// Where the pixels go.
struct Output {
  let pixels: UnsafeMutablePointer<UInt8>
  let capacity: Int
  let channels: Int

  func check(_ size: ImageSize) -> xfer_status {
    guard capacity >= size.pixels * channels else {
      return fail(
        XFER_E_INVALID_ARGUMENT, "image: ", .number(size.height), " x ", .number(size.width), " x ", .number(channels),
        " bytes are needed, a buffer of ", .number(capacity), " was given")
    }
    return XFER_OK
  }

  /// Writes pixel `index` as the channels asked for. Grey is ITU-R BT.601 luma, as TensorFlow's decoders make it.
  @inline(__always)
  func put(_ index: Int, red: UInt8, green: UInt8, blue: UInt8) {
    let place = pixels + index * channels
    if channels == 1 {
      place[0] = UInt8(truncatingIfNeeded: (19595 * UInt32(red) + 38470 * UInt32(green) + 7471 * UInt32(blue) + 32768) >> 16)
    } else {
      place[0] = red
      place[1] = green
      place[2] = blue
      if channels == 4 { place[3] = 255 }
    }
  }
}
