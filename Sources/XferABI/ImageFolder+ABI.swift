public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_image_folder_open(
  _ directory: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ dataset: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(dataset, .dataset) {
      try ImageFolderDataset(string(directory, "directory"), ImageFolderOptions(json: XferABI.config(config)))
    }
  }
}

@c @implementation public func xfer_dataset_info(
  _ dataset: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      // Of a callback's data nothing is known beforehand.
      let folder = try object(dataset, .dataset, "dataset") as? ImageFolderDataset
      return (folder?.info ?? ["count": nil, "class_names": [], "skipped": []]).text()
    }
  }
}

@c @implementation public func xfer_image_load(
  _ path: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ image: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(image, .tensor) {
      var configuration = try Configuration(XferABI.config(config), for: "image")
      let given = try configuration.value("image_size").map { _ in try configuration.pair("image_size", (0, 0)) }
      try configuration.finish()
      if let given, !(1...65_536 ~= given.0 && 1...65_536 ~= given.1) {
        throw invalid("image_size is to be from 1 to 65536, \(given.0) x \(given.1) was given")
      }
      return try ImageCodec.load(string(path, "path"), height: given?.0, width: given?.1)
    }
  }
}
