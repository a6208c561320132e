public import CXfer
import Xfer
import XferCore

/// What C holds as a trainer: the model stays with it.
struct HeldTrainer {
  let trainer: Trainer
  let model: Model

  init(_ trainer: Trainer, _ model: Model) { (self.trainer, self.model) = (trainer, model) }
}

func held(_ handle: OpaquePointer?) throws -> Trainer { try object(handle, .trainer, "trainer").trainer }

@c @implementation public func xfer_model_compile(
  _ model: OpaquePointer?, _ optimizer: OpaquePointer?, _ loss: OpaquePointer?, _ metrics: UnsafePointer<OpaquePointer?>?,
  _ metricCount: Int, _ trainer: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(trainer, .trainer) {
      let model = try object(model, .model, "model")
      return HeldTrainer(
        try model.compile(
          optimizer: object(optimizer, .optimizer, "optimizer"), loss: object(loss, .loss, "loss"),
          metrics: metrics == nil && metricCount == 0 ? nil : objects(metrics, metricCount, .metric, "metrics")), model)
    }
  }
}

@c @implementation public func xfer_model_compile_all(
  _ model: OpaquePointer?, _ options: UnsafePointer<xfer_compile_options>?, _ trainer: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(trainer, .trainer) {
      let model = try object(model, .model, "model")
      let given = try structure(options, "xfer_compile_options", least: nil)
      return HeldTrainer(
        try model.compile(
          optimizer: object(given.optimizer, .optimizer, "options.optimizer"), outputs: compiledOutputs(given, model),
          keepMetrics: truth(given.keep_metrics, "options.keep_metrics")), model)
    }
  }
}

private func compiledOutputs(_ given: xfer_compile_options, _ model: Model) throws -> [CompiledOutput] {
  let count = model.outputs.count
  func fits(_ length: Int, _ name: String) throws {
    guard length == 0 || length == count else { throw invalid("options.\(name) has \(length) elements, the model has \(count) outputs") }
  }
  var losses = try elements(given.losses, given.loss_count, "options.losses").enumerated().map {
    try optional($1, .loss, "options.losses[\($0)]")
  }
  if losses.count == 1 { losses = Array(repeating: losses[0], count: count) }
  guard losses.count == count else { throw invalid("options.losses has \(losses.count) elements, the model has \(count) outputs") }
  let weights = try elements(given.loss_weights, given.loss_weight_count, "options.loss_weights")
  try fits(weights.count, "loss_weights")
  let names = try elements(given.output_names, given.output_name_count, "options.output_names").map {
    try string($0, "options.output_names")
  }
  try fits(names.count, "output_names")
  var outputs = (names.isEmpty ? model.outputNames : names).enumerated().map { index, name in
    CompiledOutput(name, loss: losses[index], lossWeight: weights.isEmpty ? nil : weights[index])
  }
  func bind(
    _ handles: UnsafePointer<OpaquePointer?>?, _ places: UnsafePointer<Int32>?, _ count: Int, _ name: String, _ put: (Metric, Int) -> Void
  ) throws {
    for (index, metric) in try objects(handles, count, .metric, "options.\(name)s").enumerated() {
      let place = Int(places?[index] ?? 0)
      guard outputs.indices.contains(place) else {
        throw invalid("options.\(name)_outputs[\(index)] is \(place), the model has \(outputs.count) outputs")
      }
      put(metric, place)
    }
  }
  try bind(given.metrics, given.metric_outputs, given.metric_count, "metric") { outputs[$1].metrics.append($0) }
  try bind(given.weighted_metrics, given.weighted_metric_outputs, given.weighted_metric_count, "weighted_metric") {
    outputs[$1].weightedMetrics.append($0)
  }
  return outputs
}

@c @implementation public func xfer_trainer_log_names(
  _ trainer: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try JSONValue.array(held(trainer).logNames.map { .string($0) }).text() } }
}

@c @implementation public func xfer_model_compiled(
  _ model: OpaquePointer?, _ trainer: UnsafeMutablePointer<OpaquePointer?>?, _ optimizer: UnsafeMutablePointer<OpaquePointer?>?,
  _ loss: UnsafeMutablePointer<OpaquePointer?>?, _ metrics: UnsafeMutablePointer<OpaquePointer?>?, _ capacity: Int,
  _ metricCount: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    let found = try compiled(object(model, .model, "model"))
    let room = try elements(metrics.map { UnsafePointer($0) }, capacity, "metrics").count
    guard metrics == nil || found.metrics.count <= room else {
      throw invalid("there are \(found.metrics.count) metrics, metrics has room for \(room)")
    }
    let model = try object(model, .model, "model")
    trainer?.pointee = HandleTable.insert(HeldTrainer(found, model), .trainer)
    optimizer?.pointee = HandleTable.insert(found.optimizer, .optimizer)
    loss?.pointee = found.outputs.first { $0.loss != nil }?.loss.flatMap { HandleTable.insert($0, .loss) }
    metricCount?.pointee = found.metrics.count
    for (index, metric) in found.metrics.enumerated() { metrics?[index] = HandleTable.insert(metric, .metric) }
  }
}

@c @implementation public func xfer_model_compile_config(
  _ model: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try compiled(object(model, .model, "model")).compileConfig.text() } }
}

private func compiled(_ model: Model) throws -> Trainer {
  guard let trainer = model.trainer else {
    throw XferError(XFER_E_NOT_COMPILED, "model '\(model.name)' is not compiled: call xfer_model_compile first")
  }
  return trainer
}

@c @implementation public func xfer_trainer_fit(
  _ trainer: OpaquePointer?, _ options: UnsafePointer<xfer_fit_options>?, _ history: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(history, .history) {
      let trainer = try held(trainer)
      let given = try FitData(options)
      let (data, validation) = try given.training()
      return try trainer.fit(data, options: fitOptions(given, validation))
    }
  }
}

func fitOptions(_ data: FitData, _ validation: (any Dataset)?) throws -> FitOptions {
  let given = data.options
  guard given.epochs >= Int32(XFER_NO_EPOCHS) else {
    throw invalid("options.epochs is to be 0 (for 1), XFER_NO_EPOCHS or above, \(given.epochs) was given")
  }
  var options = FitOptions()
  options.epochs = given.epochs == 0 ? 1 : max(0, Int(given.epochs))
  options.initialEpoch = Int(given.initial_epoch)
  options.validation = validation
  options.verbose = try verbosity(given.verbose)
  options.recompileStale = try truth(given.recompile_stale, "options.recompile_stale")
  options.classWeight = try data.classWeights()
  options.stepsPerEpoch = try data.steps(given.steps_per_epoch, "steps_per_epoch")
  options.validationSteps = try data.steps(given.validation_steps, "validation_steps")
  if given.validation_epoch_count != 0 {
    let epochs = try elements(given.validation_epochs, given.validation_epoch_count, "options.validation_epochs")
    options.validationFrequency = .epochs(Set(epochs.map { Int($0) }))
  } else {
    options.validationFrequency = .every(given.validation_freq == 0 ? 1 : Int(given.validation_freq))
  }
  options.callbacks = try data.callbacks()
  options.cache = try caching(given)
  guard given.memory_budget >= 0 else { throw invalid("options.memory_budget is to be 0 or above, \(given.memory_budget) was given") }
  options.memoryBudget = given.memory_budget == 0 ? nil : Int(given.memory_budget)
  if let onEvent = given.on_event {
    options.onEvent = { event, epoch, batch, logs in
      onEvent(given.user, event.rawValue, Int64(epoch), Int64(batch), logs.json.text()) == 0
    }
  }
  return options
}

private func verbosity(_ value: Int32) throws -> Int {
  guard (0...2).contains(value) else { throw invalid("options.verbose is to be 0, 1 or 2, \(value) was given") }
  return Int(value)
}

/// What a run left behind: C reads its JSON.
protocol RecordedHistory {
  var json: JSONValue { get }
}
extension History: RecordedHistory {}
extension PhaseHistory: RecordedHistory {}
extension RangeTest: RecordedHistory {}

@c @implementation public func xfer_history_json(
  _ history: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try object(history, .history, "history").json.text() } }
}

@c @implementation public func xfer_history_release(_ history: OpaquePointer?) { HandleTable.release(history, .history) }

@c @implementation public func xfer_trainer_evaluate(
  _ trainer: OpaquePointer?, _ options: UnsafePointer<xfer_fit_options>?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      let trainer = try held(trainer)
      let given = try FitData(options)
      return try trainer.evaluate(
        given.evaluation(), steps: given.steps(given.options.steps_per_epoch, "steps_per_epoch"), verbose: verbosity(given.options.verbose),
        callbacks: given.callbacks()
      ).json.text()
    }
  }
}

@c @implementation public func xfer_model_predict_all(
  _ model: OpaquePointer?, _ options: UnsafePointer<xfer_fit_options>?, _ outputs: UnsafeMutablePointer<OpaquePointer?>?, _ capacity: Int,
  _ outputCount: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    let model = try object(model, .model, "model")
    try give(outputs, capacity, outputCount, .tensor, expected: model.outputs.count) {
      let given = try FitData(options)
      return try model.predictAll(
        given.evaluation(targets: false), steps: given.steps(given.options.steps_per_epoch, "steps_per_epoch"),
        verbose: verbosity(given.options.verbose), callbacks: given.callbacks())
    }
  }
}

@c @implementation public func xfer_trainer_run_batch(
  _ trainer: OpaquePointer?, _ options: UnsafePointer<xfer_fit_options>?, _ training: Int32, _ buffer: UnsafeMutablePointer<CChar>?,
  _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      let trainer = try held(trainer)
      let batch = try FitData(options).batch()
      return try (truth(training, "training") ? trainer.trainOnBatch(batch) : trainer.testOnBatch(batch)).json.text()
    }
  }
}

@c @implementation public func xfer_trainer_set_stop_training(_ trainer: OpaquePointer?, _ stop: Int32) -> xfer_status {
  call { try held(trainer).stopTraining = truth(stop, "stop") }
}

@c @implementation public func xfer_trainer_get_stop_training(_ trainer: OpaquePointer?, _ stop: UnsafeMutablePointer<Int32>?)
  -> xfer_status
{
  call { try out(stop, "stop").pointee = held(trainer).stopTraining ? 1 : 0 }
}

private func batch(_ x: OpaquePointer?, _ y: OpaquePointer?, _ sampleWeight: OpaquePointer?) throws -> Batch {
  try Batch(x: object(x, .tensor, "x"), y: object(y, .tensor, "y"), sampleWeight: optional(sampleWeight, .tensor, "sample_weight"))
}

@c @implementation public func xfer_trainer_train_on_batch(
  _ trainer: OpaquePointer?, _ x: OpaquePointer?, _ y: OpaquePointer?, _ sampleWeight: OpaquePointer?,
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) { try held(trainer).trainOnBatch(batch(x, y, sampleWeight)).json.text() }
  }
}

@c @implementation public func xfer_trainer_test_on_batch(
  _ trainer: OpaquePointer?, _ x: OpaquePointer?, _ y: OpaquePointer?, _ sampleWeight: OpaquePointer?,
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) { try held(trainer).testOnBatch(batch(x, y, sampleWeight)).json.text() }
  }
}

@c @implementation public func xfer_trainer_cancel(_ trainer: OpaquePointer?) -> xfer_status {
  call { try held(trainer).cancel() }
}

@c @implementation public func xfer_trainer_release(_ trainer: OpaquePointer?) { HandleTable.release(trainer, .trainer) }

func caching(_ given: xfer_fit_options) throws -> FeatureCaching {
  guard given.cache_bytes >= 0 else { throw invalid("options.cache_bytes is to be 0 or above, \(given.cache_bytes) was given") }
  var caching: FeatureCaching
  switch Int(given.cache) {
  case Int(XFER_CACHE_MEMORY): caching = .memory()
  case Int(XFER_CACHE_OFF): caching = .off
  case Int(XFER_CACHE_DISK): caching = .disk(folder: try optional(given.cache_folder, "options.cache_folder"))
  default: throw invalid("options.cache is to be one of XFER_CACHE_* (0 to 2), \(given.cache) was given")
  }
  caching.budget = given.cache_bytes == 0 ? nil : Int(given.cache_bytes)
  guard let dtype = given.cache_dtype == 0 ? .float32 : DType(rawValue: given.cache_dtype) else {
    throw invalid("options.cache_dtype is to be 0, XFER_F32 or XFER_BF16, \(given.cache_dtype) was given")
  }
  caching.dtype = dtype
  caching.variants = given.cache_variants == 0 ? nil : Int(given.cache_variants)
  return caching
}
