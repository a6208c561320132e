import CXfer
import Xfer
import XferCore

/// The data an `xfer_fit_options` names, as data sets.
struct FitData {
  let options: xfer_fit_options
  private let batchSize: Int

  /// Copies the caller's struct, which may be newer and longer than ours.
  init(_ pointer: UnsafePointer<xfer_fit_options>?) throws {
    guard let pointer else { throw invalid("options is NULL, a struct xfer_fit_options is wanted") }
    let size = UnsafeRawPointer(pointer).load(as: Int.self)
    guard size < 0 || size >= MemoryLayout<xfer_fit_options>.size else {
      throw invalid("options.struct_size is \(size), sizeof(xfer_fit_options) is \(MemoryLayout<xfer_fit_options>.size)")
    }
    options = pointer.pointee
    batchSize = try XferABI.batchSize(options.batch_size)
  }

  /// What to train on, and what `validation_split` leaves of it for validation.
  func training() throws -> (data: any Dataset, validation: (any Dataset)?) {
    let split = options.validation_split
    guard split >= 0, split < 1 else { throw invalid("options.validation_split is to be from 0 to below 1, \(split) was given") }
    let seed = try truth(options.no_shuffle, "options.no_shuffle") ? nil : RandomSeed.next()
    guard let arrays = try arrays() else {
      guard split == 0 else { throw invalid("options.validation_split wants arrays, a data set was given") }
      return (try object(options.dataset, .dataset, "options.dataset"), try validation())
    }
    if let given = try validation() { return (try arrays.dataset(batchSize, seed), given) }
    guard split > 0 else { return (try arrays.dataset(batchSize, seed), nil) }
    let count = arrays.x.shape.first ?? 0
    let border = Int(Double(count) * (1 - split))
    guard border > 0, border < count else {
      throw XferError.data("validation_split \(split) of \(count) samples leaves one part empty")
    }
    try arrays.check()
    return (try arrays.rows(0..<border).dataset(batchSize, seed), try arrays.rows(border..<count).dataset(batchSize, nil))
  }

  /// What to evaluate, in order.
  func evaluation() throws -> any Dataset {
    try arrays()?.dataset(batchSize, nil) ?? object(options.dataset, .dataset, "options.dataset")
  }

  private func arrays() throws -> Arrays? {
    guard options.x != nil || options.y != nil || options.sample_weight != nil else { return nil }
    guard options.dataset == nil else { throw invalid("options has both arrays and a data set, one of them is wanted") }
    return Arrays(
      x: try object(options.x, .tensor, "options.x"), y: try object(options.y, .tensor, "options.y"),
      weight: try optional(options.sample_weight, .tensor, "options.sample_weight"))
  }

  private func validation() throws -> (any Dataset)? {
    if options.validation_x != nil || options.validation_y != nil {
      guard options.validation_dataset == nil else { throw invalid("options has both validation arrays and a validation data set") }
      let x = try object(options.validation_x, .tensor, "options.validation_x")
      return try ArrayDataset(x: x, y: object(options.validation_y, .tensor, "options.validation_y"), batchSize: batchSize)
    }
    return try optional(options.validation_dataset, .dataset, "options.validation_dataset")
  }

  private struct Arrays {
    let x: Tensor
    let y: Tensor
    let weight: Tensor?

    func dataset(_ batchSize: Int, _ seed: UInt64?) throws -> any Dataset {
      try ArrayDataset(x: x, y: y, sampleWeight: weight, batchSize: batchSize, seed: seed)
    }

    /// Throws when the arrays differ in length, which rows must not be cut from.
    func check() throws { _ = try dataset(1, nil) }

    func rows(_ range: Range<Int>) -> Arrays { Arrays(x: x.rows(range), y: y.rows(range), weight: weight?.rows(range)) }
  }
}
