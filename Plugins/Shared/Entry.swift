import CXfer

/// What every codec plugin's entry does: keeps the host and hands out the plugin's description, which lives as long as the
/// process. Nil, with the reason told to the host, when the host is of another kind than this plugin was made for.
func describe<Table>(
  _ given: UnsafePointer<xfer_host>?, kind: Int, name: StaticString, version: StaticString, table: Table
) -> UnsafePointer<xfer_plugin>? {
  guard let given, given.pointee.struct_size >= MemoryLayout<xfer_host>.size else { return nil }
  host = given
  guard given.pointee.abi_major == UInt32(XFER_PLUGIN_ABI_MAJOR) else {
    _ = fail(
      XFER_E_PLUGIN, "the host has plugin ABI ", .number(Int(given.pointee.abi_major)), ", this plugin wants ",
      .number(Int(XFER_PLUGIN_ABI_MAJOR)))
    return nil
  }
  guard let codec = allocate(Table.self, 1), let plugin = allocate(xfer_plugin.self, 1) else { return nil }
  codec.initialize(to: table)
  plugin.initialize(
    to: xfer_plugin(
      struct_size: MemoryLayout<xfer_plugin>.size,
      abi_major: UInt32(XFER_PLUGIN_ABI_MAJOR), abi_minor: UInt32(XFER_PLUGIN_ABI_MINOR), kind: Int32(kind),
      name: cString(name), version: cString(version), score: { _ in 100 }, table: UnsafeRawPointer(codec), shutdown: nil))
  return UnsafePointer(plugin)
}
