import CXfer
public import XferCore

/// Decoded images, through the plugins that know their formats.
public enum ImageCodec {
  /// An image in memory as a uint8 tensor (height, width, 3) of RGB; grey images get three equal channels, transparency is dropped.
  /// - Parameter name: what errors call the image.
  public static func decode(_ bytes: UnsafeRawBufferPointer, name: String) throws -> Tensor {
    let data = bytes.bindMemory(to: UInt8.self).baseAddress
    let codecs = PluginHost.shared.plugins.filter { $0.kind == .imageCodec }.sorted { $0.score > $1.score }
      .compactMap { $0.pointer.pointee.table?.assumingMemoryBound(to: xfer_image_codec.self).pointee }
    guard !codecs.isEmpty else {
      let folders = PluginHost.searchPath.joined(separator: ":")
      throw XferError(XFER_E_PLUGIN, "\(name): images need the plugin libxfer-images.so, which was not found in \(folders)")
    }
    guard let codec = codecs.first(where: { $0.recognizes(data, bytes.count) != 0 }) else {
      throw XferError.format("\(name) is no image of a known format (JPEG and PNG are)")
    }
    var request = xfer_image_request()
    request.struct_size = MemoryLayout<xfer_image_request>.size
    request.channels = 3
    var info = xfer_image_info()
    info.struct_size = MemoryLayout<xfer_image_info>.size
    try check(codec.info(data, bytes.count, &request, &info), name)
    guard info.height > 0, info.width > 0 else { throw XferError.format("\(name) has no pixels") }
    let image = try Tensor(zeros: [Int(info.height), Int(info.width), 3], dtype: .uint8)
    try check(codec.decode(data, bytes.count, &request, image.data.assumingMemoryBound(to: UInt8.self), image.byteCount), name)
    return image
  }

  /// An image file as a float32 tensor (height, width, 3) of RGB in 0...255, bilinearly resized where a size is given.
  public static func load(_ path: String, height: Int? = nil, width: Int? = nil) throws -> Tensor {
    let image = try readFile(path).withUnsafeBytes { try decode($0, name: path) }
    let result = try Tensor(zeros: [height ?? image.shape[0], width ?? image.shape[1], 3])
    try BilinearResize.run(image, into: result.float32, height: result.shape[0], width: result.shape[1])
    return result
  }
}
