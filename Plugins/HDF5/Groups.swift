import CHDF5
import CXfer

func exists(_ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> Int32 {
  guard let file = file(handle)?.pointee, let path else { return 0 }
  var found: Int32 = 0
  _ = withLibrary {
    found = isThere(file, path) ? 1 : 0
    return XFER_OK
  }
  return found
}

/// Whether the path leads to an object of this file by way of sound groups.
func isThere(_ file: File, _ path: UnsafePointer<CChar>) -> Bool {
  var found = objectType(file, file.id, cString("/")) != nil
  let walked = forEachPrefix(path) { prefix in
    found =
      found && H5Lexists(file.id, prefix, file.access) > 0 && H5Oexists_by_name(file.id, prefix, file.access) > 0
      && objectType(file, file.id, prefix) != nil
    return found
  }
  return found && walked == XFER_OK
}

/// What a path leads to, once its header was found to be sound; nil for a damaged one.
func objectType(_ file: File, _ at: hid_t, _ name: UnsafePointer<CChar>) -> Int32? {
  var address: UInt64 = 0
  let type = xfer_h5_object(at, name, file.access, &address)
  // What this plugin has just written itself needs no check, and may not be in the file yet.
  guard type >= 0, file.writes || HeaderCheck(file)?.accepts(address) == true else { return nil }
  return type
}

/// The error for an object that ``objectType(_:_:_:)`` refuses.
func damagedObject(_ file: File, _ path: UnsafePointer<CChar>) -> xfer_status {
  if file.io.pointee.failure != 0 { return systemFailure(file) }
  return fail(XFER_E_FORMAT, "HDF5 file ", .text(file.name), ": the header of '", .text(path), "' is damaged")
}

func notThere(_ file: File, _ path: UnsafePointer<CChar>) -> xfer_status {
  fail(XFER_E_NOT_FOUND, "HDF5 file ", .text(file.name), " has no '", .text(path), "'")
}

func visit(
  _ handle: OpaquePointer?, _ group: UnsafePointer<CChar>?, _ fn: xfer_h5_visit_fn?, _ user: UnsafeMutableRawPointer?
) -> xfer_status {
  guard let file = file(handle)?.pointee, let group, let fn else {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 visit: an open file, a group and a function are wanted")
  }
  return withLibrary {
    let path = objectPath(group)
    guard isThere(file, path) else { return notThere(file, path) }
    guard let type = objectType(file, file.id, path) else { return damagedObject(file, path) }
    guard type == Int32(H5O_TYPE_GROUP.rawValue) else {
      return fail(XFER_E_INVALID_ARGUMENT, "HDF5 file ", .text(file.name), ": '", .text(path), "' is no group")
    }
    let id = H5Gopen2(file.id, path, file.access)
    guard id >= 0 else { return libraryFailure(file, XFER_E_FORMAT, "cannot open group", path) }
    defer { H5Gclose(id) }
    var members = Members()
    defer { members.free() }
    guard members.collect(id), members.sort(byOrder: isOrderTracked(id)) else {
      return libraryFailure(file, XFER_E_FORMAT, "cannot list group", path)
    }
    var member = members.first
    while let current = member {
      let name = UnsafePointer(current.pointee.name)
      // A soft link that leads nowhere is as good as absent.
      if H5Oexists_by_name(id, name, file.access) > 0 {
        guard let type = objectType(file, id, name) else { return damagedObject(file, name) }
        let isGroup = type == Int32(H5O_TYPE_GROUP.rawValue)
        if isGroup || type == Int32(H5O_TYPE_DATASET.rawValue),
          fn(user, name, Int32(isGroup ? XFER_H5_GROUP : XFER_H5_DATASET)) != 0
        {
          break
        }
      } else if !current.pointee.isSoft {
        return libraryFailure(file, XFER_E_FORMAT, "cannot read group member", name)
      }
      member = current.pointee.next
    }
    return XFER_OK
  }
}

private func isOrderTracked(_ group: hid_t) -> Bool {
  let creation = H5Gget_create_plist(group)
  guard creation >= 0 else { return false }
  defer { H5Pclose(creation) }
  var order: UInt32 = 0
  return H5Pget_link_creation_order(creation, &order) >= 0 && order & UInt32(H5P_CRT_ORDER_TRACKED) != 0
}

func groupCreate(_ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?) -> xfer_status {
  guard let file = file(handle)?.pointee, let path else {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 group: an open file and a path are wanted")
  }
  return withLibrary {
    let writable = checkWritable(file, path)
    return writable == XFER_OK ? makeGroups(file, path) : writable
  }
}

/// Makes the group and its parents, each keeping the order of creation.
func makeGroups(_ file: File, _ path: UnsafePointer<CChar>) -> xfer_status {
  let creation = H5Pcreate(xfer_h5_group_create())
  defer { H5Pclose(creation) }
  guard H5Pset_link_creation_order(creation, UInt32(H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED)) >= 0 else {
    return libraryFailure(file, XFER_E_IO, "cannot make group", path)
  }
  var result = XFER_OK
  let walked = forEachPrefix(path) { prefix in
    if H5Lexists(file.id, prefix, file.access) > 0 {
      if objectType(file, file.id, prefix) == Int32(H5O_TYPE_GROUP.rawValue) { return true }
      result = fail(XFER_E_INVALID_ARGUMENT, "HDF5 file ", .text(file.name), ": '", .text(prefix), "' is there and is no group")
      return false
    }
    let group = H5Gcreate2(file.id, prefix, xfer_h5_default(), creation, xfer_h5_default())
    guard group >= 0 else {
      result = libraryFailure(file, XFER_E_IO, "cannot make group", prefix)
      return false
    }
    H5Gclose(group)
    return true
  }
  return result == XFER_OK ? walked : result
}
