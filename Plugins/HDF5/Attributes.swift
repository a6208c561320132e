import CHDF5
import CXfer

func attributeStrings(
  _ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?, _ fn: xfer_h5_string_fn?,
  _ user: UnsafeMutableRawPointer?
) -> xfer_status {
  guard let file = file(handle)?.pointee, let path, let name, let fn else {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 attribute: an open file, a path, a name and a function are wanted")
  }
  return withLibrary {
    let object = objectPath(path)
    guard isThere(file, object) else { return notThere(file, object) }
    guard objectType(file, file.id, object) != nil else { return damagedObject(file, object) }
    let there = H5Aexists_by_name(file.id, object, name, file.access)
    guard there >= 0 else { return libraryFailure(file, XFER_E_FORMAT, "cannot read the attributes of", object) }
    guard there > 0 else {
      return fail(XFER_E_NOT_FOUND, "HDF5 file ", .text(file.name), ": '", .text(object), "' has no attribute '", .text(name), "'")
    }
    let attribute = H5Aopen_by_name(file.id, object, name, xfer_h5_default(), file.access)
    guard attribute >= 0 else { return libraryFailure(file, XFER_E_FORMAT, "cannot open attribute", name) }
    defer { H5Aclose(attribute) }
    return readStrings(file, attribute, name, fn, user)
  }
}

private func readStrings(
  _ file: File, _ attribute: hid_t, _ name: UnsafePointer<CChar>, _ fn: xfer_h5_string_fn, _ user: UnsafeMutableRawPointer?
) -> xfer_status {
  let space = H5Aget_space(attribute)
  defer { H5Sclose(space) }
  let count = H5Sget_simple_extent_npoints(space)
  guard count >= 0 else { return libraryFailure(file, XFER_E_FORMAT, "cannot read attribute", name) }
  // Keras writes an empty list of names as an array of no numbers.
  if count == 0 { return XFER_OK }
  let type = H5Aget_type(attribute)
  defer { H5Tclose(type) }
  guard H5Tget_class(type) == H5T_STRING else {
    return fail(XFER_E_DTYPE, "HDF5 file ", .text(file.name), ": attribute '", .text(name), "' holds no strings")
  }
  if H5Tis_variable_str(type) > 0 {
    // What was written may still be with the library.
    if file.writes { H5Fflush(file.id, H5F_SCOPE_LOCAL) }
    guard let heap = HeapStrings(file) else { return libraryFailure(file, XFER_E_FORMAT, "cannot read attribute", name) }
    return heap.read(attribute, name, Int(clamping: count), fn, user)
  }
  let size = H5Tget_size(type)
  let (bytes, overflow) = Int(clamping: count).multipliedReportingOverflow(by: size)
  guard !overflow, size > 0, UInt64(bytes) <= file.io.pointee.bytes else {
    return fail(
      XFER_E_FORMAT, "HDF5 file ", .text(file.name), ": attribute '", .text(name), "' claims ", .number(Int(clamping: count)),
      " strings of ", .number(size), " bytes in a file of ", .number(Int(clamping: file.io.pointee.bytes)))
  }
  guard let buffer = allocate(CChar.self, bytes) else {
    return fail(XFER_E_OUT_OF_MEMORY, "HDF5: no memory for attribute '", .text(name), "'")
  }
  defer { release(buffer) }
  guard H5Aread(attribute, type, buffer) >= 0 else { return libraryFailure(file, XFER_E_FORMAT, "cannot read attribute", name) }
  let padding = H5Tget_strpad(type)
  for i in 0..<Int(count) { fn(user, buffer + i * size, length(buffer + i * size, size, padding)) }
  return XFER_OK
}

/// Bytes of a fixed-length string without its padding.
private func length(_ text: UnsafePointer<CChar>, _ size: Int, _ padding: H5T_str_t) -> Int {
  if padding == H5T_STR_NULLTERM { return strnlen(text, size) }
  let filler: CChar = padding == H5T_STR_SPACEPAD ? 32 : 0
  var length = size
  while length > 0, text[length - 1] == filler { length -= 1 }
  return length
}

func attributeWrite(
  _ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ name: UnsafePointer<CChar>?,
  _ values: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int, _ scalar: Int32
) -> xfer_status {
  guard let file = file(handle)?.pointee, let path, let name, name[0] != 0, count >= 0, values != nil || count == 0 else {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 attribute: an open file, a path, a name and the strings are wanted")
  }
  guard scalar == 0 || count == 1 else {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 attribute '", .text(name), "': ", .number(count), " strings were given, a scalar is one")
  }
  return withLibrary {
    let object = objectPath(path)
    let writable = checkWritable(file, object)
    guard writable == XFER_OK else { return writable }
    guard isThere(file, object) else { return notThere(file, object) }
    if H5Aexists_by_name(file.id, object, name, file.access) > 0, H5Adelete_by_name(file.id, object, name, file.access) < 0 {
      return libraryFailure(file, XFER_E_IO, "cannot replace attribute", name)
    }
    let result = scalar != 0 ? writeScalar(file, object, name, values) : writeArray(file, object, name, values, count)
    return result == XFER_OK && file.io.pointee.failure != 0 ? systemFailure(file) : result
  }
}

private func stringType(size: Int, isASCII: Bool) -> hid_t {
  let type = H5Tcopy(xfer_h5_c_string())
  H5Tset_size(type, size)
  if !isASCII { H5Tset_cset(type, H5T_CSET_UTF8) }
  return type
}

private func isASCII(_ text: UnsafePointer<CChar>) -> Bool {
  var i = 0
  while text[i] > 0 { i += 1 }
  return text[i] == 0
}

/// One string of variable length, as h5py writes a Python string: of any size, outside the object's header.
private func writeScalar(
  _ file: File, _ object: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>, _ values: UnsafePointer<UnsafePointer<CChar>?>?
) -> xfer_status {
  guard var text = values?[0] else { return fail(XFER_E_INVALID_ARGUMENT, "HDF5 attribute '", .text(name), "': a string is wanted") }
  let type = stringType(size: xfer_h5_variable(), isASCII: isASCII(text))
  defer { H5Tclose(type) }
  let space = H5Screate(H5S_SCALAR)
  defer { H5Sclose(space) }
  return write(file, object, name, type, space, &text)
}

/// Strings of one length, padded with zeros: numpy's `S` arrays, which Keras' files have.
private func writeArray(
  _ file: File, _ object: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>, _ values: UnsafePointer<UnsafePointer<CChar>?>?, _ count: Int
) -> xfer_status {
  var longest = 1
  var ascii = true
  for i in 0..<count {
    guard let text = values?[i] else {
      return fail(XFER_E_INVALID_ARGUMENT, "HDF5 attribute '", .text(name), "': string ", .number(i), " is missing")
    }
    longest = max(longest, strlen(text))
    ascii = ascii && isASCII(text)
  }
  let (bytes, overflow) = longest.multipliedReportingOverflow(by: count)
  guard !overflow, let buffer = allocate(CChar.self, bytes) else {
    return fail(XFER_E_OUT_OF_MEMORY, "HDF5: no memory for attribute '", .text(name), "'")
  }
  defer { release(buffer) }
  memset(buffer, 0, bytes)
  for i in 0..<count {
    if let text = values?[i] { (buffer + i * longest).update(from: text, count: strlen(text)) }
  }
  let type = stringType(size: longest, isASCII: ascii)
  defer { H5Tclose(type) }
  H5Tset_strpad(type, H5T_STR_NULLPAD)
  var dims = hsize_t(count)
  let space = H5Screate_simple(1, &dims, nil)
  defer { H5Sclose(space) }
  return write(file, object, name, type, space, buffer)
}

private func write(
  _ file: File, _ object: UnsafePointer<CChar>, _ name: UnsafePointer<CChar>, _ type: hid_t, _ space: hid_t, _ data: UnsafeRawPointer
) -> xfer_status {
  let attribute = H5Acreate_by_name(file.id, object, name, type, space, xfer_h5_default(), xfer_h5_default(), file.access)
  guard attribute >= 0 else { return libraryFailure(file, XFER_E_IO, "cannot make attribute", name) }
  defer { H5Aclose(attribute) }
  return H5Awrite(attribute, type, data) >= 0 ? XFER_OK : libraryFailure(file, XFER_E_IO, "cannot write attribute", name)
}
