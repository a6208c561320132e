import CHDF5
import CXfer

/// The entry of the HDF5 plugin: `.h5` containers by libhdf5.
@c @implementation public func xfer_plugin_entry(_ host: UnsafePointer<xfer_host>?) -> UnsafePointer<xfer_plugin>? {
  guard
    let plugin = describe(
      host, kind: Int(XFER_PLUGIN_HDF5), name: "hdf5", version: "1.0 libhdf5",
      table: xfer_h5_codec(
        struct_size: MemoryLayout<xfer_h5_codec>.size,
        open: openFile, open_memory: openMemory, close: closeFile, exists: exists, visit: visit,
        dataset_info: datasetInfo, dataset_read: datasetRead, dataset_write: datasetWrite, group_create: groupCreate,
        attribute_strings: attributeStrings, attribute_write: attributeWrite)),
    prepareLibrary()
  else { return nil }
  return plugin
}
