import CHDF5
import CXfer

func openFile(
  _ path: UnsafePointer<CChar>?, _ mode: Int32, _ handle: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  guard let path, let handle else { return fail(XFER_E_INVALID_ARGUMENT, "HDF5 open: a path and a place for the handle are wanted") }
  guard mode == Int32(XFER_H5_READ) || mode == Int32(XFER_H5_CREATE) else {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 open: mode ", .number(Int(mode)), " was given, 0 (read) or 1 (create) is wanted")
  }
  guard let name = copyString(path) else { return fail(XFER_E_OUT_OF_MEMORY, "HDF5: no memory to open ", .text(path)) }
  let io = xfer_h5_io(path: UnsafePointer(name), memory: nil, bytes: 0, file: -1, failure: 0)
  return open(name, io, writes: mode == Int32(XFER_H5_CREATE), handle)
}

func openMemory(
  _ data: UnsafeRawPointer?, _ bytes: Int, _ handle: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  guard let data, bytes >= 0, let handle else {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 open: the bytes and a place for the handle are wanted")
  }
  guard let name = copyString(cString("(in memory)")) else { return fail(XFER_E_OUT_OF_MEMORY, "HDF5: no memory to open a file") }
  let memory = data.assumingMemoryBound(to: UInt8.self)
  return open(name, xfer_h5_io(path: nil, memory: memory, bytes: UInt64(bytes), file: -1, failure: 0), writes: false, handle)
}

/// Takes over `name`.
private func open(
  _ name: UnsafeMutablePointer<CChar>, _ io: xfer_h5_io, writes: Bool, _ handle: UnsafeMutablePointer<OpaquePointer?>
) -> xfer_status {
  guard let place = allocate(File.self, 1), let state = allocate(xfer_h5_io.self, 1) else {
    release(name)
    return fail(XFER_E_OUT_OF_MEMORY, "HDF5: no memory to open a file")
  }
  state.initialize(to: io)
  let result = withLibrary {
    let access = H5Pcreate(xfer_h5_link_access())
    let id = openLibraryFile(name, state, writes: writes)
    // A file could otherwise name any other file of the system as a part of itself.
    H5Pset_elink_cb(access, { _, _, _, _, _, _, _ in -1 }, nil)
    place.initialize(to: File(id: id, io: state, name: name, writes: writes, access: access))
    guard id < 0 else { return XFER_OK }
    let result = openFailure(place.pointee)
    H5Pclose(access)
    return result
  }
  if result == XFER_OK {
    handle.pointee = OpaquePointer(place)
  } else {
    forget(place)
  }
  return result
}

private func openLibraryFile(_ name: UnsafePointer<CChar>, _ io: UnsafeMutablePointer<xfer_h5_io>, writes: Bool) -> hid_t {
  let access = H5Pcreate(xfer_h5_file_access())
  defer { H5Pclose(access) }
  var info = xfer_h5_driver_info(io: io)
  guard H5Pset_driver(access, driverID(), &info) >= 0, H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0 else { return -1 }
  guard writes else { return H5Fopen(name, xfer_h5_read_only(), access) }
  // The format of HDF5 1.8 keeps attributes above 64 KB and the order of creation; every reader in use knows it.
  guard H5Pset_libver_bounds(access, H5F_LIBVER_V18, xfer_h5_newest()) >= 0 else { return -1 }
  let creation = H5Pcreate(xfer_h5_file_create())
  defer { H5Pclose(creation) }
  guard H5Pset_link_creation_order(creation, UInt32(H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED)) >= 0 else { return -1 }
  return H5Fcreate(name, xfer_h5_truncate(), creation, access)
}

private func openFailure(_ file: File) -> xfer_status {
  let code = file.io.pointee.failure
  if code == ENOENT || code == ENOTDIR {
    return fail(
      XFER_E_NOT_FOUND, "HDF5 file ", .text(file.name), file.writes ? " cannot be made: " : " cannot be opened: ",
      .text(xfer_error_text(code)))
  }
  if code != 0 {
    return fail(
      XFER_E_IO, "HDF5 file ", .text(file.name), file.writes ? " cannot be made: " : " cannot be opened: ",
      .text(xfer_error_text(code)))
  }
  return withLibraryReason { reason in
    fail(
      XFER_E_FORMAT, "HDF5 file ", .text(file.name), " of ", .number(Int(clamping: file.io.pointee.bytes)),
      " bytes is damaged or is none: ", .text(reason))
  }
}

func closeFile(_ handle: OpaquePointer?) -> xfer_status {
  guard let place = file(handle) else { return XFER_OK }
  let result = withLibrary {
    let file = place.pointee
    var result = XFER_OK
    if file.writes, H5Fflush(file.id, H5F_SCOPE_LOCAL) < 0 { result = libraryFailure(file, XFER_E_IO, "cannot be written") }
    if H5Fclose(file.id) < 0, result == XFER_OK { result = libraryFailure(file, XFER_E_IO, "cannot be closed") }
    if file.writes, file.io.pointee.failure != 0 { result = systemFailure(file) }
    H5Pclose(file.access)
    return result
  }
  forget(place)
  return result
}

private func forget(_ place: UnsafeMutablePointer<File>) {
  release(place.pointee.name)
  release(place.pointee.io)
  release(place)
}
