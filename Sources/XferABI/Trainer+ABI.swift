public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_model_compile(
  _ model: OpaquePointer?, _ optimizer: OpaquePointer?, _ loss: OpaquePointer?, _ metrics: UnsafePointer<OpaquePointer?>?,
  _ metricCount: Int, _ trainer: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(trainer, .trainer) {
      try object(model, .model, "model").compile(
        optimizer: object(optimizer, .optimizer, "optimizer"), loss: object(loss, .loss, "loss"),
        metrics: metrics == nil && metricCount == 0 ? nil : objects(metrics, metricCount, .metric, "metrics"))
    }
  }
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
    trainer?.pointee = HandleTable.insert(found, .trainer)
    optimizer?.pointee = HandleTable.insert(found.optimizer, .optimizer)
    loss?.pointee = HandleTable.insert(found.loss, .loss)
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
      let trainer = try object(trainer, .trainer, "trainer")
      let given = try FitData(options)
      let (data, validation) = try given.training()
      return try trainer.fit(data, options: fitOptions(given.options, validation))
    }
  }
}

private func fitOptions(_ given: xfer_fit_options, _ validation: (any Dataset)?) throws -> FitOptions {
  guard given.epochs >= 0 else { throw invalid("options.epochs is to be 0 (for 1) or above, \(given.epochs) was given") }
  var options = FitOptions()
  options.epochs = given.epochs == 0 ? 1 : Int(given.epochs)
  options.initialEpoch = Int(given.initial_epoch)
  options.validation = validation
  options.verbose = try verbosity(given.verbose)
  options.recompileStale = try truth(given.recompile_stale, "options.recompile_stale")
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
      let trainer = try object(trainer, .trainer, "trainer")
      let given = try FitData(options)
      return try trainer.evaluate(given.evaluation(), verbose: verbosity(given.options.verbose)).json.text()
    }
  }
}

private func batch(_ x: OpaquePointer?, _ y: OpaquePointer?, _ sampleWeight: OpaquePointer?) throws -> Batch {
  try Batch(x: object(x, .tensor, "x"), y: object(y, .tensor, "y"), sampleWeight: optional(sampleWeight, .tensor, "sample_weight"))
}

@c @implementation public func xfer_trainer_train_on_batch(
  _ trainer: OpaquePointer?, _ x: OpaquePointer?, _ y: OpaquePointer?, _ sampleWeight: OpaquePointer?,
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) { try object(trainer, .trainer, "trainer").trainOnBatch(batch(x, y, sampleWeight)).json.text() }
  }
}

@c @implementation public func xfer_trainer_test_on_batch(
  _ trainer: OpaquePointer?, _ x: OpaquePointer?, _ y: OpaquePointer?, _ sampleWeight: OpaquePointer?,
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) { try object(trainer, .trainer, "trainer").testOnBatch(batch(x, y, sampleWeight)).json.text() }
  }
}

@c @implementation public func xfer_trainer_cancel(_ trainer: OpaquePointer?) -> xfer_status {
  call { try object(trainer, .trainer, "trainer").cancel() }
}

@c @implementation public func xfer_trainer_release(_ trainer: OpaquePointer?) { HandleTable.release(trainer, .trainer) }
