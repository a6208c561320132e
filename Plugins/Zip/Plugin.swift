import CXfer

/// The entry of the zip plugin: archives such as `.keras`, by libzip.
@c @implementation public func xfer_plugin_entry(_ host: UnsafePointer<xfer_host>?) -> UnsafePointer<xfer_plugin>? {
  describe(
    host, kind: Int(XFER_PLUGIN_ZIP), name: "zip", version: "1.0 libzip",
    table: xfer_zip_codec(
      struct_size: MemoryLayout<xfer_zip_codec>.size,
      open: openArchive, close: closeArchive, discard: discardArchive, visit: visitArchive,
      entry_read: readEntry, entry_write: writeEntry))
}
