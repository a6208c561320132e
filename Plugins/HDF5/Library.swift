import CHDF5
import CXfer

/// The lock over the library, which is not safe for threads. Recursive: a visitor may call back in.
nonisolated(unsafe) private var lock: UnsafeMutablePointer<pthread_mutex_t>?

/// Called by the entry, before anything else of the library.
func prepareLibrary() -> Bool {
  guard lock == nil else { return true }
  // Files are closed one by one. The library's own clean-up at exit complains on stderr when a damaged file has left something open.
  H5dont_atexit()
  lock = allocate(pthread_mutex_t.self, 1)
  if let lock { xfer_h5_make_lock(lock) }
  return lock != nil
}

/// Runs `body` with the library for itself, silent, and without its search for filter plugins in folders of the system.
///
/// What the program around us set for its own use of the library is put back afterwards.
func withLibrary(_ body: () -> xfer_status) -> xfer_status {
  guard let lock else { return XFER_E_INTERNAL }
  pthread_mutex_lock(lock)
  defer { pthread_mutex_unlock(lock) }
  var printer: H5E_auto2_t?
  var printerData: UnsafeMutableRawPointer?
  let hadPrinter = H5Eget_auto2(hid_t(H5E_DEFAULT), &printer, &printerData) >= 0
  H5Eset_auto2(hid_t(H5E_DEFAULT), nil, nil)
  var loading: UInt32 = 0
  let hadLoading = H5PLget_loading_state(&loading) >= 0
  H5PLset_loading_state(0)
  let result = body()
  H5Eclear2(hid_t(H5E_DEFAULT))
  if hadLoading { H5PLset_loading_state(loading) }
  if hadPrinter { H5Eset_auto2(hid_t(H5E_DEFAULT), printer, printerData) }
  return result
}

/// What an `xfer_h5_file` points to.
struct File {
  let id: hid_t
  let io: UnsafeMutablePointer<xfer_h5_io>
  /// For messages: the path, or what stands for it.
  let name: UnsafeMutablePointer<CChar>
  let writes: Bool
  /// Link access that refuses links into other files.
  let access: hid_t
}

func file(_ handle: OpaquePointer?) -> UnsafeMutablePointer<File>? {
  handle.map { UnsafeMutableRawPointer($0).assumingMemoryBound(to: File.self) }
}

/// The reason the library gives deepest in its stack of errors, which is the first thing that went wrong.
func withLibraryReason(_ body: (UnsafePointer<CChar>) -> xfer_status) -> xfer_status {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
    guard let text = buffer.baseAddress else { return XFER_E_INTERNAL }
    text[0] = 0
    _ = H5Ewalk2(
      hid_t(H5E_DEFAULT), H5E_WALK_UPWARD,
      { depth, error, user in
        guard depth == 0, let text = error?.pointee.desc, let user else { return 0 }
        let place = user.assumingMemoryBound(to: CChar.self)
        var i = 0
        while i < 255, text[i] != 0 {
          place[i] = text[i]
          i += 1
        }
        place[i] = 0
        return 0
      }, text)
    return body(UnsafePointer(text))
  }
}

/// The sentence for a call of the library that failed: the system's reason where there was one, else the library's.
func libraryFailure(
  _ file: File, _ status: xfer_status, _ what: StaticString, _ object: UnsafePointer<CChar>? = nil
) -> xfer_status {
  if file.io.pointee.failure != 0 { return systemFailure(file) }
  return withLibraryReason { reason in
    guard let object else { return fail(status, "HDF5 file ", .text(file.name), ": ", .literal(what), ": ", .text(reason)) }
    return fail(status, "HDF5 file ", .text(file.name), ": ", .literal(what), " '", .text(object), "': ", .text(reason))
  }
}

func systemFailure(_ file: File) -> xfer_status {
  fail(
    XFER_E_IO, "HDF5 file ", .text(file.name), file.writes ? " cannot be written: " : " cannot be read: ",
    .text(xfer_error_text(file.io.pointee.failure)))
}

/// Refuses a handle that is not there or was opened for the other purpose.
func checkWritable(_ file: File, _ object: UnsafePointer<CChar>) -> xfer_status {
  if file.io.pointee.failure != 0 { return systemFailure(file) }
  if file.writes { return XFER_OK }
  return fail(XFER_E_STATE, "HDF5 file ", .text(file.name), " was opened for reading: '", .text(object), "' cannot be written")
}

/// "/" for the root however it is spelt.
func objectPath(_ path: UnsafePointer<CChar>) -> UnsafePointer<CChar> {
  path[0] == 0 ? cString("/") : path
}

/// Calls `body` with every leading part of a path ("a", "a/b", "a/b/c") until it returns false.
func forEachPrefix(_ path: UnsafePointer<CChar>, _ body: (UnsafePointer<CChar>) -> Bool) -> xfer_status {
  guard let copy = copyString(path) else { return fail(XFER_E_OUT_OF_MEMORY, "HDF5: no memory for a path") }
  defer { release(copy) }
  var i = 0
  while copy[i] == 47 { i += 1 }
  while copy[i] != 0 {
    while copy[i] != 0, copy[i] != 47 { i += 1 }
    let end = copy[i]
    copy[i] = 0
    if !body(UnsafePointer(copy)) { return XFER_OK }
    copy[i] = end
    while copy[i] == 47 { i += 1 }
  }
  return XFER_OK
}
