public import CXfer
import Xfer
import XferCore
import XferGraph

@c @implementation public func xfer_model_create(
  _ inputs: UnsafePointer<OpaquePointer?>?, _ inputCount: Int, _ outputs: UnsafePointer<OpaquePointer?>?, _ outputCount: Int,
  _ name: UnsafePointer<CChar>?, _ model: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(model, .model) {
      try Model(
        inputs: objects(inputs, inputCount, .symbol, "inputs"), outputs: objects(outputs, outputCount, .symbol, "outputs"),
        name: optional(name, "name"))
    }
  }
}

@c @implementation public func xfer_sequential_create(
  _ layers: UnsafePointer<OpaquePointer?>?, _ count: Int, _ name: UnsafePointer<CChar>?, _ model: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(model, .model) { try Sequential(objects(layers, count, .layer, "layers"), name: optional(name, "name")) }
  }
}

@c @implementation public func xfer_model_to_json(
  _ model: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try object(model, .model, "model").toJSON() } }
}

@c @implementation public func xfer_model_from_json(
  _ json: UnsafePointer<CChar>?, _ model: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call { try give(model, .model) { try Model.fromJSON(string(json, "json")) } }
}

@c @implementation public func xfer_model_as_layer(_ model: OpaquePointer?, _ layer: UnsafeMutablePointer<OpaquePointer?>?) -> xfer_status {
  call { try give(layer, .layer) { try object(model, .model, "model") } }
}

@c @implementation public func xfer_model_get_layer(
  _ model: OpaquePointer?, _ name: UnsafePointer<CChar>?, _ layer: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call { try give(layer, .layer) { try object(model, .model, "model").getLayer(string(name, "name")) } }
}

@c @implementation public func xfer_model_set_metadata(_ model: OpaquePointer?, _ json: UnsafePointer<CChar>?) -> xfer_status {
  call {
    let model = try object(model, .model, "model")
    guard let facts = try JSONValue(parsing: string(json, "json"), what: "json").objectValue else {
      throw invalid("json is to be a JSON object, another value was given")
    }
    model.metadata = facts
  }
}

@c @implementation public func xfer_model_metadata(
  _ model: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try JSONValue.object(object(model, .model, "model").metadata).text() } }
}

@c @implementation public func xfer_model_summary(
  _ model: OpaquePointer?, _ width: Int32, _ showTrainable: Int32, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      guard width >= 0 else { throw invalid("width is to be 0 (for 80 columns) or above, \(width) was given") }
      return try object(model, .model, "model").summary(
        width: width == 0 ? nil : Int(width), showTrainable: truth(showTrainable, "show_trainable"))
    }
  }
}

@c @implementation public func xfer_model_predict(
  _ model: OpaquePointer?, _ x: OpaquePointer?, _ batchSize: Int32, _ output: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(output, .tensor) {
      try object(model, .model, "model").predict(object(x, .tensor, "x"), batchSize: XferABI.batchSize(batchSize))
    }
  }
}

@c @implementation public func xfer_plan_report(
  _ model: OpaquePointer?, _ batchSize: Int32, _ training: Int32, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      try object(model, .model, "model").planReport(
        batchSize: XferABI.batchSize(batchSize), training: truth(training, "training")
      ).json.text()
    }
  }
}

@c @implementation public func xfer_model_forecast(
  _ model: OpaquePointer?, _ images: Int64, _ batchSize: Int32, _ depths: UnsafePointer<CChar>?, _ buffer: UnsafeMutablePointer<CChar>?,
  _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      let depths = try optional(depths, "depths")?.split(separator: ",").map { try UnfreezeDepth(String($0)) }
      let costs = try object(model, .model, "model").forecast(images: Int(images), batchSize: XferABI.batchSize(batchSize), depths: depths)
      return JSONValue.array(costs.map(\.json)).text()
    }
  }
}

@c @implementation public func xfer_plan_svg(
  _ model: OpaquePointer?, _ options: UnsafePointer<CChar>?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      let model = try object(model, .model, "model")
      var options = try Configuration(XferABI.config(options, "options"), for: "xfer_plan_svg")
      let (batch, training) = (try options.int("batch_size", 1), try options.bool("training", false))
      let showShapes = try options.bool("show_shapes", false)
      try options.finish()
      return try model.planFigure(batchSize: batch, training: training, showShapes: showShapes)
    }
  }
}

@c @implementation public func xfer_model_release(_ model: OpaquePointer?) { HandleTable.release(model, .model) }

@c @implementation public func xfer_model_audit(
  _ model: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try object(model, .model, "model").audit().json.text() } }
}
