import CXfer
import CZip

/// What an `xfer_zip_file` points to.
struct Archive {
  let handle: OpaquePointer
  let path: UnsafeMutablePointer<CChar>
  let writes: Bool
  /// Bytes of the archive file; the measure of what its entries can hold.
  let bytes: UInt64
  /// The last written entry's copy, the head of a list: libzip reads them when the archive is closed.
  var entries: UnsafeMutablePointer<Entry>?
}

/// A copy of an entry's bytes.
struct Entry {
  let next: UnsafeMutablePointer<Entry>?
  let data: UnsafeMutablePointer<UInt8>
}

func archive(_ file: OpaquePointer?) -> UnsafeMutablePointer<Archive>? {
  file.map { UnsafeMutableRawPointer($0).assumingMemoryBound(to: Archive.self) }
}

func openArchive(
  _ path: UnsafePointer<CChar>?, _ mode: Int32, _ file: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  guard let path, let file else { return fail(XFER_E_INVALID_ARGUMENT, "zip open: a path and a place for the handle are wanted") }
  guard mode == Int32(XFER_H5_READ) || mode == Int32(XFER_H5_CREATE) else {
    return fail(XFER_E_INVALID_ARGUMENT, "zip open: mode ", .number(Int(mode)), " was given, 0 (read) or 1 (create) is wanted")
  }
  let writes = mode == Int32(XFER_H5_CREATE)
  var code: Int32 = 0
  guard let handle = zip_open(path, writes ? ZIP_CREATE | ZIP_TRUNCATE : ZIP_RDONLY, &code) else {
    var error = zip_error_t()
    zip_error_init_with_code(&error, code)
    defer { zip_error_fini(&error) }
    return fail(
      status(code), "zip archive ", .text(path), writes ? " cannot be made: " : " cannot be opened: ",
      .text(zip_error_strerror(&error)))
  }
  guard let name = copyString(path), let place = allocate(Archive.self, 1) else {
    zip_discard(handle)
    return fail(XFER_E_OUT_OF_MEMORY, "no memory to open zip archive ", .text(path))
  }
  place.initialize(to: Archive(handle: handle, path: name, writes: writes, bytes: xfer_file_bytes(path), entries: nil))
  file.pointee = OpaquePointer(place)
  return XFER_OK
}

func closeArchive(_ file: OpaquePointer?) -> xfer_status {
  guard let place = archive(file) else { return XFER_OK }
  let archive = place.pointee
  if archive.writes, archive.entries == nil {
    // libzip makes no file for an archive without entries.
    let result = fail(XFER_E_STATE, "zip archive ", .text(archive.path), " has no entries: nothing was written")
    discardArchive(file)
    return result
  }
  guard archive.writes else {
    discardArchive(file)
    return XFER_OK
  }
  if zip_close(archive.handle) != 0 {
    let result = libraryFailure(archive, "cannot be written: ")
    discardArchive(file)
    return result
  }
  forget(place)
  return XFER_OK
}

func discardArchive(_ file: OpaquePointer?) {
  guard let place = archive(file) else { return }
  zip_discard(place.pointee.handle)
  forget(place)
}

private func forget(_ place: UnsafeMutablePointer<Archive>) {
  var entry = place.pointee.entries
  while let current = entry {
    entry = current.pointee.next
    release(current.pointee.data)
    release(current)
  }
  release(place.pointee.path)
  release(place)
}

/// The library's last error on this archive, as a status and a sentence.
func libraryFailure(_ archive: Archive, _ what: StaticString, entry: UnsafePointer<CChar>? = nil) -> xfer_status {
  let error = zip_get_error(archive.handle)
  let result = status(zip_error_code_zip(error))
  guard let entry else {
    return fail(result, "zip archive ", .text(archive.path), " ", .literal(what), .text(zip_error_strerror(error)))
  }
  return fail(
    result, "entry '", .text(entry), "' of zip archive ", .text(archive.path), " ", .literal(what), .text(zip_error_strerror(error)))
}

/// The status for an error code of libzip.
func status(_ code: Int32) -> xfer_status {
  switch code {
  case ZIP_ER_NOENT: XFER_E_NOT_FOUND
  case ZIP_ER_MEMORY: XFER_E_OUT_OF_MEMORY
  case ZIP_ER_OPEN, ZIP_ER_READ, ZIP_ER_WRITE, ZIP_ER_SEEK, ZIP_ER_CLOSE, ZIP_ER_RENAME, ZIP_ER_TMPOPEN, ZIP_ER_REMOVE: XFER_E_IO
  case ZIP_ER_COMPNOTSUPP, ZIP_ER_ENCRNOTSUPP, ZIP_ER_NOPASSWD, ZIP_ER_MULTIDISK, ZIP_ER_OPNOTSUPP: XFER_E_UNSUPPORTED
  case ZIP_ER_INVAL: XFER_E_INVALID_ARGUMENT
  default: XFER_E_FORMAT
  }
}
