import CXfer
import Xfer
import XferCore

/// The data an `xfer_fit_options` names, as data sets.
struct FitData {
  let options: xfer_fit_options
  private let batchSize: Int

  /// Copies the caller's struct, which may be newer and longer than ours, or older and shorter: what it lacks is 0.
  init(_ pointer: UnsafePointer<xfer_fit_options>?) throws {
    options = try structure(pointer, "xfer_fit_options", least: MemoryLayout<xfer_fit_options>.offset(of: \.inputs))
    batchSize = try XferABI.batchSize(options.batch_size)
  }

  /// What to train on, and what `validation_split` leaves of it for validation.
  ///
  /// - Parameter draw: gives the seed of the samples' order.
  func training(draw: () -> UInt64 = RandomSeed.next) throws -> (data: any Dataset, validation: (any Dataset)?) {
    let split = options.validation_split
    guard split >= 0, split < 1 else { throw invalid("options.validation_split is to be from 0 to below 1, \(split) was given") }
    let seed = try truth(options.no_shuffle, "options.no_shuffle") ? nil : draw()
    guard let arrays = try arrays(targets: true) else {
      guard split == 0 else { throw invalid("options.validation_split wants arrays, a data set was given") }
      return (try object(options.dataset, .dataset, "options.dataset"), try validation())
    }
    if let given = try validation() { return (try arrays.dataset(batchSize, seed), given) }
    guard split > 0 else { return (try arrays.dataset(batchSize, seed), nil) }
    let count = arrays.inputs[0].shape.first ?? 0
    let border = Int(Double(count) * (1 - split))
    guard border > 0, border < count else {
      throw XferError.data("validation_split \(split) of \(count) samples leaves one part empty")
    }
    try arrays.check()
    return (
      try arrays.rows(0..<border).dataset(batchSize, seed), try arrays.rows(border..<count).dataset(validationBatchSize(), nil)
    )
  }

  /// What to evaluate or, without targets, to predict, in order.
  func evaluation(targets: Bool = true) throws -> any Dataset {
    try arrays(targets: targets)?.dataset(batchSize, nil) ?? object(options.dataset, .dataset, "options.dataset")
  }

  /// The arrays as one batch.
  func batch() throws -> Batch {
    guard let arrays = try arrays(targets: true) else { throw invalid("options.inputs is NULL, arrays are wanted") }
    let batch = Batch(inputs: arrays.inputs, targets: arrays.targets, sampleWeights: arrays.weights)
    guard let weights = try classWeights() else { return batch }
    return try batch.classWeighted(weights)
  }

  func steps(_ value: Int64, _ name: String) throws -> Int? {
    guard value >= 0 else { throw invalid("options.\(name) is to be 0 (for all) or above, \(value) was given") }
    return value == 0 ? nil : Int(value)
  }

  func classWeights() throws -> [Int: Double]? {
    guard options.class_weight_count != 0 else { return nil }
    let classes = try elements(options.classes, options.class_weight_count, "options.classes")
    let weights = try elements(options.class_weights, options.class_weight_count, "options.class_weights")
    for weight in weights where !weight.isFinite { throw invalid("options.class_weights are to be finite numbers, \(weight) was given") }
    return Dictionary(zip(classes.map { Int($0) }, weights)) { $1 }
  }

  func callbacks() throws -> [Callback] { try objects(options.callbacks, options.callback_count, .callback, "options.callbacks") }

  private func validationBatchSize() throws -> Int {
    options.validation_batch_size == 0 ? batchSize : try XferABI.batchSize(options.validation_batch_size)
  }

  private func arrays(targets: Bool) throws -> Arrays? {
    let single = options.x != nil || options.y != nil || options.sample_weight != nil
    let several = options.inputs != nil || options.targets != nil || options.input_count != 0
    guard single || several else { return nil }
    guard options.dataset == nil else { throw invalid("options has both arrays and a data set, one of them is wanted") }
    guard !(single && several) else { throw invalid("options has both x and inputs, one of them is wanted") }
    if several {
      return try Arrays(
        (options.inputs, options.input_count), (options.targets, options.target_count),
        (options.sample_weights, options.sample_weight_count), "options.")
    }
    let y = targets ? try object(options.y, .tensor, "options.y") : nil
    return Arrays(
      inputs: [try object(options.x, .tensor, "options.x")], targets: y.map { [$0] } ?? [],
      weights: [try optional(options.sample_weight, .tensor, "options.sample_weight")])
  }

  private func validation() throws -> (any Dataset)? {
    let single = options.validation_x != nil || options.validation_y != nil
    guard single || options.validation_inputs != nil || options.validation_input_count != 0 else {
      return try optional(options.validation_dataset, .dataset, "options.validation_dataset")
    }
    guard options.validation_dataset == nil else { throw invalid("options has both validation arrays and a validation data set") }
    if single {
      let x = try object(options.validation_x, .tensor, "options.validation_x")
      return try ArrayDataset(x: x, y: object(options.validation_y, .tensor, "options.validation_y"), batchSize: validationBatchSize())
    }
    return try Arrays(
      (options.validation_inputs, options.validation_input_count), (options.validation_targets, options.validation_target_count),
      (options.validation_sample_weights, options.validation_sample_weight_count), "options.validation_"
    ).dataset(validationBatchSize(), nil)
  }

  private struct Arrays {
    typealias Handles = (pointer: UnsafePointer<OpaquePointer?>?, count: Int)
    let inputs: [Tensor]
    let targets: [Tensor?]
    let weights: [Tensor?]

    init(inputs: [Tensor], targets: [Tensor?], weights: [Tensor?]) {
      (self.inputs, self.targets, self.weights) = (inputs, targets, weights)
    }

    init(_ inputs: Handles, _ targets: Handles, _ weights: Handles, _ prefix: String) throws {
      self.inputs = try objects(inputs.pointer, inputs.count, .tensor, prefix + "inputs")
      guard !self.inputs.isEmpty else { throw invalid("\(prefix)inputs is empty") }
      self.targets = try elements(targets.pointer, targets.count, prefix + "targets").enumerated().map {
        try optional($1, .tensor, "\(prefix)targets[\($0)]")
      }
      self.weights = try elements(weights.pointer, weights.count, prefix + "sample_weights").enumerated().map {
        try optional($1, .tensor, "\(prefix)sample_weights[\($0)]")
      }
    }

    func dataset(_ batchSize: Int, _ seed: UInt64?) throws -> any Dataset {
      try ArrayDataset(inputs: inputs, targets: targets, sampleWeights: weights, batchSize: batchSize, seed: seed)
    }

    /// Throws when the arrays differ in length, which rows must not be cut from.
    func check() throws { _ = try dataset(1, nil) }

    func rows(_ range: Range<Int>) -> Arrays {
      Arrays(inputs: inputs.map { $0.rows(range) }, targets: targets.map { $0?.rows(range) }, weights: weights.map { $0?.rows(range) })
    }
  }
}

/// A caller's struct of any version: `least` bytes have to be there, what lies behind the caller's size is 0.
func structure<Value>(_ pointer: UnsafePointer<Value>?, _ type: String, least: Int?) throws -> Value {
  guard let pointer else { throw invalid("options is NULL, a struct \(type) is wanted") }
  let (size, whole) = (UnsafeRawPointer(pointer).load(as: Int.self), MemoryLayout<Value>.size)
  guard size < 0 || size >= least ?? whole else {
    throw invalid("options.struct_size is \(size), sizeof(\(type)) is \(whole)")
  }
  return withUnsafeTemporaryAllocation(byteCount: whole, alignment: MemoryLayout<Value>.alignment) { buffer in
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    buffer.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: size < 0 ? whole : min(size, whole)))
    return buffer.load(as: Value.self)
  }
}
