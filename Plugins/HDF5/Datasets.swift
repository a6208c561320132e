import CHDF5
import CXfer

/// Above this many elements no weight is real: 2^40.
private let elementLimit: hsize_t = 1 << 40
/// No filter of the library shrinks data to less than this part of its size (deflate's limit is 1032).
private let filterLimit: UInt64 = 1100

func datasetInfo(
  _ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ desc: UnsafeMutablePointer<xfer_tensor_desc>?
) -> xfer_status {
  guard let file = file(handle)?.pointee, let path, let desc else {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 dataset: an open file, a path and a place for the description are wanted")
  }
  return withLibrary {
    withDataset(file, path) { _, found, _ in
      desc.pointee = found
      return XFER_OK
    }
  }
}

func datasetRead(
  _ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ data: UnsafeMutableRawPointer?, _ bytes: Int
) -> xfer_status {
  guard let file = file(handle)?.pointee, let path, data != nil || bytes == 0 else {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 dataset: an open file, a path and a buffer are wanted")
  }
  return withLibrary {
    withDataset(file, path) { dataset, found, count in
      let size = count * elementSize(found.dtype)
      guard bytes == size else {
        return fail(
          XFER_E_INVALID_ARGUMENT, "HDF5 file ", .text(file.name), ": dataset '", .text(path), "' has ", .number(size),
          " bytes, a buffer of ", .number(bytes), " was given")
      }
      guard count > 0, let data else { return XFER_OK }
      let type = memoryType(found.dtype)
      defer { H5Tclose(type) }
      guard H5Dread(dataset, type, hid_t(H5S_ALL), hid_t(H5S_ALL), xfer_h5_default(), data) >= 0 else {
        return libraryFailure(file, XFER_E_FORMAT, "cannot read dataset", path)
      }
      if found.dtype == XFER_BOOL {
        let values = data.assumingMemoryBound(to: UInt8.self)
        for i in 0..<count { values[i] = values[i] == 0 ? 0 : 1 }
      }
      return XFER_OK
    }
  }
}

/// Opens a dataset, describes and checks it, and hands it on with its number of elements.
private func withDataset(
  _ file: File, _ path: UnsafePointer<CChar>, _ body: (hid_t, xfer_tensor_desc, Int) -> xfer_status
) -> xfer_status {
  guard isThere(file, path) else { return notThere(file, path) }
  guard let kind = objectType(file, file.id, path) else { return damagedObject(file, path) }
  guard kind == Int32(H5O_TYPE_DATASET.rawValue) else {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 file ", .text(file.name), ": '", .text(path), "' is no dataset")
  }
  let dataset = H5Dopen2(file.id, path, xfer_h5_default())
  guard dataset >= 0 else { return libraryFailure(file, XFER_E_FORMAT, "cannot open dataset", path) }
  defer { H5Dclose(dataset) }
  let type = H5Dget_type(dataset)
  defer { H5Tclose(type) }
  guard let dtype = dtype(of: type) else {
    return fail(XFER_E_DTYPE, "HDF5 file ", .text(file.name), ": the elements of dataset '", .text(path), "' are no numbers")
  }
  var found = xfer_tensor_desc()
  found.dtype = dtype
  var count: hsize_t = 1
  let shaped = readShape(file, path, dataset, &found, &count)
  guard shaped == XFER_OK else { return shaped }
  let checked = checkStorage(file, path, dataset, bytes: count * hsize_t(H5Tget_size(type)))
  guard checked == XFER_OK else { return checked }
  return body(dataset, found, Int(count))
}

private func readShape(
  _ file: File, _ path: UnsafePointer<CChar>, _ dataset: hid_t, _ desc: inout xfer_tensor_desc, _ count: inout hsize_t
) -> xfer_status {
  let space = H5Dget_space(dataset)
  defer { H5Sclose(space) }
  let rank = H5Sget_simple_extent_ndims(space)
  guard rank >= 0, rank <= Int32(XFER_MAX_RANK), H5Sget_simple_extent_type(space) != H5S_NULL else {
    return fail(
      XFER_E_UNSUPPORTED, "HDF5 file ", .text(file.name), ": dataset '", .text(path), "' has rank ", .number(Int(rank)),
      " or no shape, rank 0 to 8 can be read")
  }
  desc.rank = rank
  var product: hsize_t = 1
  let fits = withUnsafeTemporaryAllocation(of: hsize_t.self, capacity: Int(XFER_MAX_RANK)) { dims in
    dims.initialize(repeating: 1)
    guard H5Sget_simple_extent_dims(space, dims.baseAddress, nil) == rank else { return false }
    return withUnsafeMutablePointer(to: &desc.dims) {
      $0.withMemoryRebound(to: Int64.self, capacity: Int(XFER_MAX_RANK)) { out in
        for i in 0..<Int(XFER_MAX_RANK) {
          let (next, overflow) = product.multipliedReportingOverflow(by: dims[i])
          guard dims[i] <= elementLimit, !overflow, next <= elementLimit else { return false }
          product = next
          out[i] = Int64(dims[i])
        }
        return true
      }
    }
  }
  count = product
  return fits
    ? XFER_OK
    : fail(XFER_E_FORMAT, "HDF5 file ", .text(file.name), ": dataset '", .text(path), "' claims more than 2^40 elements")
}

/// Refuses what the file cannot hold, and what lies outside of it: the caller allocates what is claimed.
private func checkStorage(_ file: File, _ path: UnsafePointer<CChar>, _ dataset: hid_t, bytes: hsize_t) -> xfer_status {
  let creation = H5Dget_create_plist(dataset)
  guard creation >= 0 else { return libraryFailure(file, XFER_E_FORMAT, "cannot open dataset", path) }
  defer { H5Pclose(creation) }
  let layout = H5Pget_layout(creation)
  guard H5Pget_external_count(creation) == 0, layout == H5D_CONTIGUOUS || layout == H5D_COMPACT || layout == H5D_CHUNKED else {
    return fail(XFER_E_UNSUPPORTED, "HDF5 file ", .text(file.name), ": dataset '", .text(path), "' lies in other files; one file is read")
  }
  let held = file.io.pointee.bytes
  let fits: Bool
  if layout == H5D_CHUNKED {
    let limit = held.multipliedReportingOverflow(by: filterLimit).partialValue
    fits = max(UInt64(bytes), chunkElements(creation)) <= limit
  } else {
    // What was never written has no place in the file, and reads as the fill value.
    let address = layout == H5D_CONTIGUOUS ? H5Dget_offset(dataset) : 0
    let isWritten = address != xfer_h5_undefined()
    fits = UInt64(bytes) <= held && (!isWritten || (H5Dget_storage_size(dataset) == bytes && UInt64(address) <= held - UInt64(bytes)))
  }
  guard fits || file.writes else {
    return fail(
      XFER_E_FORMAT, "HDF5 file ", .text(file.name), ": dataset '", .text(path), "' claims ", .number(Int(clamping: bytes)),
      " bytes that a file of ", .number(Int(clamping: held)), " cannot hold")
  }
  return XFER_OK
}

/// The elements of a chunk: the library makes room for one, whatever the size of the dataset.
private func chunkElements(_ creation: hid_t) -> UInt64 {
  withUnsafeTemporaryAllocation(of: hsize_t.self, capacity: Int(XFER_MAX_RANK)) { dims in
    dims.initialize(repeating: 1)
    guard H5Pget_chunk(creation, Int32(XFER_MAX_RANK), dims.baseAddress) >= 0 else { return .max }
    var product: UInt64 = 1
    for size in dims {
      let (next, overflow) = product.multipliedReportingOverflow(by: UInt64(size))
      product = overflow ? .max : next
    }
    return product
  }
}

func datasetWrite(
  _ handle: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ desc: UnsafePointer<xfer_tensor_desc>?, _ data: UnsafeRawPointer?
) -> xfer_status {
  guard let file = file(handle)?.pointee, let path, let desc else {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 dataset: an open file, a path and a description are wanted")
  }
  return withLibrary {
    let writable = checkWritable(file, path)
    guard writable == XFER_OK else { return writable }
    let result = write(file, path, desc.pointee, data)
    return result == XFER_OK && file.io.pointee.failure != 0 ? systemFailure(file) : result
  }
}

private func write(_ file: File, _ path: UnsafePointer<CChar>, _ desc: xfer_tensor_desc, _ data: UnsafeRawPointer?) -> xfer_status {
  let type = memoryType(desc.dtype)
  guard type >= 0 else {
    return fail(XFER_E_DTYPE, "HDF5 dataset '", .text(path), "': dtype ", .number(Int(desc.dtype)), " was given, 1 to 8 are known")
  }
  defer { H5Tclose(type) }
  let made = makeParents(file, path)
  guard made == XFER_OK else { return made }
  if H5Lexists(file.id, path, file.access) > 0 {
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 file ", .text(file.name), " has '", .text(path), "' already")
  }
  var count = 0
  let space = makeSpace(desc, &count)
  guard space >= 0, count == 0 || data != nil else {
    if space >= 0 { H5Sclose(space) }
    return fail(XFER_E_INVALID_ARGUMENT, "HDF5 dataset '", .text(path), "': rank 0 to 8, at most 2^40 elements and their values are wanted")
  }
  defer { H5Sclose(space) }
  let creation = H5Pcreate(xfer_h5_dataset_create())
  defer { H5Pclose(creation) }
  // Everything is written at once below; equal contents give equal files without the time.
  H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER)
  H5Pset_obj_track_times(creation, false)
  let dataset = H5Dcreate2(file.id, path, type, space, xfer_h5_default(), creation, xfer_h5_default())
  guard dataset >= 0 else { return libraryFailure(file, XFER_E_IO, "cannot make dataset", path) }
  defer { H5Dclose(dataset) }
  guard count == 0 || H5Dwrite(dataset, type, hid_t(H5S_ALL), hid_t(H5S_ALL), xfer_h5_default(), data) >= 0 else {
    return libraryFailure(file, XFER_E_IO, "cannot write dataset", path)
  }
  return XFER_OK
}

private func makeParents(_ file: File, _ path: UnsafePointer<CChar>) -> xfer_status {
  var end = 0
  var last = 0
  while path[end] != 0 {
    if path[end] == 47 { last = end }
    end += 1
  }
  guard end > 0, path[end - 1] != 47 else { return fail(XFER_E_INVALID_ARGUMENT, "HDF5 dataset: '", .text(path), "' is no name") }
  guard last > 0 else { return XFER_OK }
  guard let parent = copyString(path) else { return fail(XFER_E_OUT_OF_MEMORY, "HDF5: no memory for a path") }
  defer { release(parent) }
  parent[last] = 0
  return makeGroups(file, parent)
}

/// The dataspace of a description, negative when it is impossible.
private func makeSpace(_ desc: xfer_tensor_desc, _ count: inout Int) -> hid_t {
  guard desc.rank >= 0, desc.rank <= Int32(XFER_MAX_RANK) else { return -1 }
  var desc = desc
  return withUnsafeMutablePointer(to: &desc.dims) {
    $0.withMemoryRebound(to: Int64.self, capacity: Int(XFER_MAX_RANK)) { dims in
      var product: Int64 = 1
      for i in 0..<Int(desc.rank) {
        let (next, overflow) = product.multipliedReportingOverflow(by: dims[i])
        guard dims[i] >= 0, dims[i] <= Int64(elementLimit), !overflow, next <= Int64(elementLimit) else { return -1 }
        product = next
      }
      count = Int(product)
      if desc.rank == 0 { return H5Screate(H5S_SCALAR) }
      return UnsafeMutableRawPointer(dims).withMemoryRebound(to: hsize_t.self, capacity: Int(XFER_MAX_RANK)) {
        H5Screate_simple(desc.rank, $0, nil)
      }
    }
  }
}
