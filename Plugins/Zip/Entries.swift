import CXfer
import CZip

/// Deflate cannot shrink anything to less than this part of its size.
private let deflateLimit: UInt64 = 1032

func visitArchive(_ file: OpaquePointer?, _ fn: xfer_zip_visit_fn?, _ user: UnsafeMutableRawPointer?) -> xfer_status {
  guard let archive = archive(file)?.pointee, let fn else {
    return fail(XFER_E_INVALID_ARGUMENT, "zip visit: an open archive and a function are wanted")
  }
  let count = zip_get_num_entries(archive.handle, 0)
  for index in 0..<max(0, count) {
    var entry = zip_stat_t()
    guard zip_stat_index(archive.handle, zip_uint64_t(index), 0, &entry) == 0 else {
      return libraryFailure(archive, "cannot be listed: ")
    }
    guard let name = entry.name else {
      return fail(XFER_E_FORMAT, "zip archive ", .text(archive.path), " has an entry without a name")
    }
    if !archive.writes {
      let result = checkSize(archive, entry)
      if result != XFER_OK { return result }
    }
    if fn(user, name, entry.size) != 0 { break }
  }
  return XFER_OK
}

/// Refuses an entry that claims more bytes than its archive can hold: the host allocates what is claimed.
private func checkSize(_ archive: Archive, _ entry: zip_stat_t) -> xfer_status {
  let known = UInt64(ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD)
  guard entry.valid & known == known else {
    return fail(XFER_E_FORMAT, "entry '", .text(entry.name), "' of zip archive ", .text(archive.path), " states no size")
  }
  let stored = Int32(entry.comp_method) == ZIP_CM_STORE
  let limit = entry.comp_size.multipliedReportingOverflow(by: stored ? 1 : deflateLimit)
  guard entry.comp_size <= archive.bytes, limit.overflow || entry.size <= limit.partialValue else {
    return fail(
      XFER_E_FORMAT, "entry '", .text(entry.name), "' of zip archive ", .text(archive.path), " claims ",
      .number(Int(clamping: entry.size)), " bytes, ", .number(Int(clamping: entry.comp_size)), " compressed, in a file of ",
      .number(Int(clamping: archive.bytes)), " bytes")
  }
  return XFER_OK
}

func readEntry(
  _ file: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ data: UnsafeMutableRawPointer?, _ bytes: Int
) -> xfer_status {
  guard let archive = archive(file)?.pointee, let name, data != nil || bytes == 0 else {
    return fail(XFER_E_INVALID_ARGUMENT, "zip read: an open archive, a name and a buffer are wanted")
  }
  guard !archive.writes else {
    return fail(XFER_E_STATE, "zip archive ", .text(archive.path), " is being written: entry '", .text(name), "' cannot be read")
  }
  var entry = zip_stat_t()
  guard zip_stat(archive.handle, name, 0, &entry) == 0 else { return libraryFailure(archive, "cannot be found: ", entry: name) }
  let sized = checkSize(archive, entry)
  if sized != XFER_OK { return sized }
  guard entry.size == UInt64(bytes) else {
    return fail(
      XFER_E_INVALID_ARGUMENT, "entry '", .text(name), "' of zip archive ", .text(archive.path), " has ",
      .number(Int(clamping: entry.size)), " bytes, a buffer of ", .number(bytes), " was given")
  }
  let method = Int32(entry.comp_method)
  guard method == ZIP_CM_STORE || method == ZIP_CM_DEFLATE else {
    return fail(
      XFER_E_UNSUPPORTED, "entry '", .text(name), "' of zip archive ", .text(archive.path), " has compression method ",
      .number(Int(method)), ", 0 (stored) and 8 (deflate) can be read")
  }
  guard let source = zip_fopen_index(archive.handle, entry.index, 0) else {
    return libraryFailure(archive, "cannot be opened: ", entry: name)
  }
  let result = read(source, data, bytes, archive, name)
  zip_fclose(source)
  return result
}

private func read(
  _ source: OpaquePointer, _ data: UnsafeMutableRawPointer?, _ bytes: Int, _ archive: Archive, _ name: UnsafePointer<CChar>
) -> xfer_status {
  var done = 0
  while done < bytes, let data {
    let count = zip_fread(source, data + done, zip_uint64_t(bytes - done))
    if count < 0 { return sourceFailure(source, archive, name) }
    if count == 0 {
      return fail(
        XFER_E_FORMAT, "entry '", .text(name), "' of zip archive ", .text(archive.path), " ends after ", .number(done), " of ",
        .number(bytes), " bytes")
    }
    done += Int(count)
  }
  // One byte more: libzip compares the checksum when it meets the end.
  var beyond: UInt8 = 0
  let rest = zip_fread(source, &beyond, 1)
  if rest < 0 { return sourceFailure(source, archive, name) }
  if rest > 0 {
    return fail(
      XFER_E_FORMAT, "entry '", .text(name), "' of zip archive ", .text(archive.path), " is longer than the ", .number(bytes),
      " bytes it claims")
  }
  return XFER_OK
}

private func sourceFailure(_ source: OpaquePointer, _ archive: Archive, _ name: UnsafePointer<CChar>) -> xfer_status {
  let error = zip_file_get_error(source)
  return fail(
    status(zip_error_code_zip(error)), "entry '", .text(name), "' of zip archive ", .text(archive.path), " cannot be read: ",
    .text(zip_error_strerror(error)))
}

func writeEntry(
  _ file: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ data: UnsafeRawPointer?, _ bytes: Int
) -> xfer_status {
  guard let place = archive(file), let name, name[0] != 0, data != nil || bytes == 0 else {
    return fail(XFER_E_INVALID_ARGUMENT, "zip write: an open archive, a name and the bytes are wanted")
  }
  let archive = place.pointee
  guard archive.writes else {
    return fail(XFER_E_STATE, "zip archive ", .text(archive.path), " was opened for reading: entry '", .text(name), "' cannot be written")
  }
  guard let copy = allocate(UInt8.self, bytes), let entry = allocate(Entry.self, 1) else {
    return fail(XFER_E_OUT_OF_MEMORY, "no memory for the ", .number(bytes), " bytes of zip entry '", .text(name), "'")
  }
  if let data { UnsafeMutableRawPointer(copy).copyMemory(from: data, byteCount: bytes) }
  entry.initialize(to: Entry(next: archive.entries, data: copy))
  place.pointee.entries = entry
  guard let source = zip_source_buffer(archive.handle, copy, zip_uint64_t(bytes), 0) else {
    return libraryFailure(archive, "cannot be written: ", entry: name)
  }
  let index = zip_file_add(archive.handle, name, source, zip_flags_t(ZIP_FL_OVERWRITE | ZIP_FL_ENC_UTF_8))
  guard index >= 0 else {
    zip_source_free(source)
    return libraryFailure(archive, "cannot be written: ", entry: name)
  }
  // Stored, as Python's zipfile does by default, and dated at the start of DOS time: equal contents give equal files.
  guard zip_set_file_compression(archive.handle, zip_uint64_t(index), ZIP_CM_STORE, 0) == 0,
    zip_file_set_dostime(archive.handle, zip_uint64_t(index), 0, 0x21, 0) == 0
  else { return libraryFailure(archive, "cannot be written: ", entry: name) }
  return XFER_OK
}
