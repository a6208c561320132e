import CHDF5
import CXfer

/// Strings of variable length, read from the file's global heap by this plugin.
///
/// The library copies such a string by the length the heap states into a buffer of the length the attribute states, so a
/// damaged file makes it write beyond its memory. Here the attribute's references are taken raw, by way of a conversion
/// to opaque bytes, and followed with every bound checked.
struct HeapStrings {
  let file: File
  private let sizes: FileSizes

  init?(_ file: File) {
    guard let sizes = FileSizes(file) else { return nil }
    (self.file, self.sizes) = (file, sizes)
  }

  /// Bytes of a reference: a length of four bytes, an address, an index of four bytes.
  private var referenceSize: Int { 8 + sizes.address }

  /// Calls `fn` with each of the attribute's `count` strings.
  func read(
    _ attribute: hid_t, _ name: UnsafePointer<CChar>, _ count: Int, _ fn: xfer_h5_string_fn, _ user: UnsafeMutableRawPointer?
  ) -> xfer_status {
    guard count <= Int(clamping: file.io.pointee.bytes) / referenceSize, let references = allocate(UInt8.self, count * referenceSize) else {
      return fail(XFER_E_FORMAT, "HDF5 file ", .text(file.name), ": attribute '", .text(name), "' claims ", .number(count), " strings")
    }
    defer { release(references) }
    guard readReferences(attribute, references) else { return libraryFailure(file, XFER_E_FORMAT, "cannot read attribute", name) }
    for i in 0..<count {
      let reference = references + i * referenceSize
      let length = littleEndian(reference, 4)
      let address = littleEndian(reference + 4, sizes.address)
      let index = littleEndian(reference + 4 + sizes.address, 4)
      if length == 0 || index == 0 {
        fn(user, cString(""), 0)
        continue
      }
      let result = readString(name, address, index, length, fn, user)
      if result != XFER_OK { return result }
    }
    return XFER_OK
  }

  private func readReferences(_ attribute: hid_t, _ references: UnsafeMutablePointer<UInt8>) -> Bool {
    let raw = H5Tcreate(H5T_OPAQUE, referenceSize)
    let text = H5Tcopy(xfer_h5_c_string())
    H5Tset_size(text, xfer_h5_variable())
    defer {
      H5Tclose(raw)
      H5Tclose(text)
    }
    let keepBytes: H5T_conv_t = { source, target, data, _, _, _, _, _, _ in
      guard let data else { return -1 }
      data.pointee.need_bkg = H5T_BKG_NO
      // Like to like: the bytes stay where they are.
      return data.pointee.command == H5T_CONV_FREE || H5Tget_size(source) == H5Tget_size(target) ? 0 : -1
    }
    guard H5Tregister(H5T_PERS_SOFT, cString("xfer raw"), text, raw, keepBytes) >= 0 else { return false }
    let read = H5Aread(attribute, raw, references)
    H5Tunregister(H5T_PERS_SOFT, cString("xfer raw"), text, raw, keepBytes)
    return read >= 0
  }

  private func readString(
    _ name: UnsafePointer<CChar>, _ address: UInt64, _ index: UInt64, _ length: UInt64, _ fn: xfer_h5_string_fn,
    _ user: UnsafeMutableRawPointer?
  ) -> xfer_status {
    func damaged() -> xfer_status {
      if file.io.pointee.failure != 0 { return systemFailure(file) }
      return fail(XFER_E_FORMAT, "HDF5 file ", .text(file.name), ": a string of attribute '", .text(name), "' lies outside its heap")
    }
    guard let object = find(address, index), length <= object.size, let text = allocate(CChar.self, Int(length) + 1) else {
      return damaged()
    }
    defer { release(text) }
    guard readBytes(file.io, object.address, text, Int(length)) else { return damaged() }
    text[Int(length)] = 0
    fn(user, text, strlen(text))
    return XFER_OK
  }

  /// Where in the file an object of a heap collection lies: a header ("GCOL", a version, the collection's size), then
  /// objects of an index, a reference count, a size and the data, each filled up to eight bytes.
  private func find(_ heap: UInt64, _ index: UInt64) -> (address: UInt64, size: UInt64)? {
    let end = file.io.pointee.bytes
    let header = aligned(UInt64(8 + sizes.length))
    guard let start = sum(sizes.base, heap), let first = sum(start, header), first <= end else { return nil }
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { buffer in
      guard let bytes = buffer.baseAddress, readBytes(file.io, start, bytes, Int(header)), littleEndian(bytes, 5) == 0x01_4C_4F_43_47,
        let limit = sum(start, littleEndian(bytes + 8, sizes.length)), limit <= end
      else { return nil }
      var object = first
      while let data = sum(object, header), data <= limit, readBytes(file.io, object, bytes, Int(header)) {
        let found = littleEndian(bytes, 2)
        let size = littleEndian(bytes + 8, sizes.length)
        // The free space comes last.
        guard found != 0, let tail = sum(data, size), tail <= limit else { return nil }
        if found == index { return (data, size) }
        object = data + aligned(size)
      }
      return nil
    }
  }
}

private func aligned(_ size: UInt64) -> UInt64 { (size + 7) & ~7 }
