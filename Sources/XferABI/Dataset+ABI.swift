public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_dataset_create(
  _ next: xfer_next_batch_fn?, _ restart: xfer_restart_fn?, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?,
  _ dataset: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(dataset, .dataset) {
      guard let next else { throw invalid("next is NULL, a function is wanted") }
      return CallbackDataset(next: next, restart: restart, user: user, destroy: destroy)
    }
  }
}

@c @implementation public func xfer_dataset_create_all(
  _ next: xfer_next_all_fn?, _ restart: xfer_restart_fn?, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?,
  _ dataset: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(dataset, .dataset) {
      guard let next else { throw invalid("next is NULL, a function is wanted") }
      return CallbackBatches(next: next, restart: restart, user: user, destroy: destroy)
    }
  }
}

@c @implementation public func xfer_dataset_identify(_ dataset: OpaquePointer?, _ names: xfer_next_names_fn?) -> xfer_status {
  call {
    guard let source = try object(dataset, .dataset, "dataset") as? CallbackSource else {
      throw XferError.state("the data set is not one of a callback: it tells its samples apart by itself")
    }
    guard let names else { throw invalid("names is NULL, a function is wanted") }
    source.nextNames = names
  }
}

@c @implementation public func xfer_dataset_next(
  _ dataset: OpaquePointer?, _ x: UnsafeMutablePointer<OpaquePointer?>?, _ y: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    let (x, y) = (try out(x, "x"), try out(y, "y"))
    let batch = try object(dataset, .dataset, "dataset").next()
    x.pointee = batch.flatMap { HandleTable.insert($0.x, .tensor) }
    y.pointee = batch.flatMap { HandleTable.insert($0.y, .tensor) }
  }
}

@c @implementation public func xfer_dataset_restart(_ dataset: OpaquePointer?, _ epoch: Int64) -> xfer_status {
  call {
    let dataset = try object(dataset, .dataset, "dataset")
    guard epoch >= 0 else { throw invalid("epoch is to be 0 or above, \(epoch) was given") }
    try dataset.restart(epoch: Int(epoch))
  }
}

@c @implementation public func xfer_dataset_release(_ dataset: OpaquePointer?) { HandleTable.release(dataset, .dataset) }
