import CHDF5
import CXfer

/// The file driver every file is opened with, in place of the library's own.
///
/// Two things are different. A write that fails is kept in mind and reported by the plugin, and the library is told
/// that all went well: when one of its own drivers meets a full disk, the file cannot be closed any more and the process
/// may crash at exit. And memory is read in place, without a copy.
private typealias Driver = UnsafeMutablePointer<xfer_h5_driver>

nonisolated(unsafe) private var registered: hid_t = -1

/// The driver's identifier, negative when the library refuses it.
func driverID() -> hid_t {
  if registered >= 0, H5Iis_valid(registered) > 0 { return registered }
  var driver = H5FD_class_t()
  xfer_h5_class_version(&driver)
  driver.name = cString("xfer")
  driver.maxaddr = haddr_t(Int64.max)
  driver.fc_degree = H5F_CLOSE_STRONG
  driver.fapl_size = MemoryLayout<xfer_h5_driver_info>.size
  driver.open = open
  driver.close = close
  driver.cmp = compare
  driver.query = query
  driver.get_eoa = { file, _ in driverState(file)?.pointee.end_of_addresses ?? xfer_h5_undefined() }
  driver.set_eoa = { file, _, address in
    driverState(file)?.pointee.end_of_addresses = address
    return 0
  }
  driver.get_eof = { file, _ in (driverState(file)?.pointee.io.pointee.bytes).map { haddr_t($0) } ?? xfer_h5_undefined() }
  driver.read = read
  driver.write = write
  driver.truncate = truncate
  driver.fl_map = (
    H5FD_MEM_SUPER, H5FD_MEM_SUPER, H5FD_MEM_SUPER, H5FD_MEM_DRAW, H5FD_MEM_DRAW, H5FD_MEM_SUPER, H5FD_MEM_SUPER
  )
  registered = H5FDregister(&driver)
  return registered
}

private func driverState(_ file: UnsafePointer<H5FD_t>?) -> Driver? {
  file.map { UnsafeMutableRawPointer(mutating: $0).assumingMemoryBound(to: xfer_h5_driver.self) }
}

private func driverState(_ file: UnsafeMutablePointer<H5FD_t>?) -> Driver? {
  file.map { UnsafeMutableRawPointer($0).assumingMemoryBound(to: xfer_h5_driver.self) }
}

private func open(_ name: UnsafePointer<CChar>?, _ flags: UInt32, _ access: hid_t, _ limit: haddr_t) -> UnsafeMutablePointer<H5FD_t>? {
  guard let info = H5Pget_driver_info(access), let place = allocate(xfer_h5_driver.self, 1),
    let io = info.assumingMemoryBound(to: xfer_h5_driver_info.self).pointee.io
  else { return nil }
  io.pointee.failure = 0
  if let path = io.pointee.path {
    let creates: Int32 = flags & xfer_h5_truncate() != 0 ? 1 : 0
    let descriptor = xfer_open(path, creates)
    let size = descriptor < 0 ? -1 : xfer_size(descriptor, creates)
    guard size >= 0 else {
      io.pointee.failure = xfer_errno()
      if descriptor >= 0 { _ = CHDF5.close(descriptor) }
      release(place)
      return nil
    }
    io.pointee.file = descriptor
    io.pointee.bytes = UInt64(size)
  }
  var driver = xfer_h5_driver()
  driver.io = io
  place.initialize(to: driver)
  return UnsafeMutableRawPointer(place).assumingMemoryBound(to: H5FD_t.self)
}

private func close(_ file: UnsafeMutablePointer<H5FD_t>?) -> herr_t {
  guard let driver = driverState(file), let io = driver.pointee.io else { return -1 }
  if io.pointee.file >= 0, CHDF5.close(io.pointee.file) != 0 { note(io) }
  io.pointee.file = -1
  release(driver)
  return 0
}

private func note(_ io: UnsafeMutablePointer<xfer_h5_io>) {
  if io.pointee.failure == 0 { io.pointee.failure = max(xfer_errno(), 1) }
}

/// Two opened files are never one to the library, so it shares nothing between them.
private func compare(_ a: UnsafePointer<H5FD_t>?, _ b: UnsafePointer<H5FD_t>?) -> Int32 {
  guard let a, let b, a != b else { return 0 }
  return a < b ? -1 : 1
}

private func query(_ file: UnsafePointer<H5FD_t>?, _ flags: UnsafeMutablePointer<UInt>?) -> herr_t {
  // No data sieve: whole datasets are read and written, straight from and to the caller's memory.
  flags?.pointee = UInt(H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA)
  return 0
}

private func read(
  _ file: UnsafeMutablePointer<H5FD_t>?, _ type: H5FD_mem_t, _ transfer: hid_t, _ address: haddr_t, _ size: Int,
  _ buffer: UnsafeMutableRawPointer?
) -> herr_t {
  guard let driver = driverState(file), let io = driver.pointee.io, let buffer, size >= 0,
    address <= haddr_t(Int64.max) - haddr_t(size), address + haddr_t(size) <= driver.pointee.end_of_addresses
  else { return -1 }
  // Addresses are given out before they are written: beyond the end of the file there are zeros.
  let there = Int(min(UInt64(size), io.pointee.bytes > UInt64(address) ? io.pointee.bytes - UInt64(address) : 0))
  guard readBytes(io, UInt64(address), buffer, there) else { return -1 }
  memset(buffer + there, 0, size - there)
  return 0
}

/// Reads bytes that the file has; false, with the failure noted, when the system refuses.
func readBytes(_ io: UnsafeMutablePointer<xfer_h5_io>, _ address: UInt64, _ buffer: UnsafeMutableRawPointer, _ count: Int) -> Bool {
  if let memory = io.pointee.memory {
    if count > 0 { buffer.copyMemory(from: memory + Int(address), byteCount: count) }
    return true
  }
  var done = 0
  while done < count {
    let part = pread(io.pointee.file, buffer + done, count - done, off_t(address) + off_t(done))
    if part < 0, xfer_errno() == EINTR { continue }
    if part <= 0 {
      // Nothing left: somebody cut the file while it was open.
      if part == 0 { io.pointee.failure = EIO } else { note(io) }
      return false
    }
    done += part
  }
  return true
}

private func write(
  _ file: UnsafeMutablePointer<H5FD_t>?, _ type: H5FD_mem_t, _ transfer: hid_t, _ address: haddr_t, _ size: Int,
  _ buffer: UnsafeRawPointer?
) -> herr_t {
  guard let io = driverState(file)?.pointee.io, let buffer, io.pointee.file >= 0, size >= 0,
    address <= haddr_t(Int64.max) - haddr_t(size)
  else { return -1 }
  var done = 0
  while done < size, io.pointee.failure == 0 {
    let count = pwrite(io.pointee.file, buffer + done, size - done, off_t(address) + off_t(done))
    if count < 0, xfer_errno() == EINTR { continue }
    if count < 0 {
      note(io)
      break
    }
    done += count
  }
  io.pointee.bytes = max(io.pointee.bytes, UInt64(address) + UInt64(size))
  return 0
}

private func truncate(_ file: UnsafeMutablePointer<H5FD_t>?, _ transfer: hid_t, _ closing: hbool_t) -> herr_t {
  guard let driver = driverState(file), let io = driver.pointee.io else { return -1 }
  let end = UInt64(driver.pointee.end_of_addresses)
  guard io.pointee.file >= 0, end != io.pointee.bytes else { return 0 }
  if io.pointee.failure == 0, ftruncate(io.pointee.file, off_t(end)) != 0 { note(io) }
  io.pointee.bytes = end
  return 0
}
