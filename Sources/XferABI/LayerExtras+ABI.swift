public import CXfer
import Xfer
import XferCore

@c @implementation public func xfer_layer_set_call_arguments(_ layer: OpaquePointer?, _ arguments: UnsafePointer<CChar>?) -> xfer_status {
  call {
    let layer = try object(layer, .layer, "layer")
    let json = try XferABI.config(arguments)
    guard let given = json.objectValue else { throw invalid("arguments is to be a JSON object, \(json.text()) was given") }
    try layer.setCallArguments(given)
  }
}

@c @implementation public func xfer_layer_adapt(_ layer: OpaquePointer?, _ data: OpaquePointer?, _ more: Int32) -> xfer_status {
  call {
    let layer = try object(layer, .layer, "layer")
    guard let normalization = layer as? Normalization else {
      throw XferError.unsupported("'\(layer.name)' has nothing to adapt: a Normalization is wanted, \(type(of: layer).className) was given")
    }
    try normalization.adapt(object(data, .tensor, "data"), more: truth(more, "more"))
  }
}

@c @implementation public func xfer_layer_set(_ layer: OpaquePointer?, _ settings: UnsafePointer<CChar>?) -> xfer_status {
  call {
    let layer = try object(layer, .layer, "layer")
    let json = try XferABI.config(settings, "settings")
    guard let given = json.objectValue else { throw invalid("settings is to be a JSON object, \(json.text()) was given") }
    for (key, value) in given.sorted(by: { $0.key < $1.key }) { try layer.set(key, to: value) }
  }
}

@c @implementation public func xfer_layer_enable_lora(_ layer: OpaquePointer?, _ config: UnsafePointer<CChar>?) -> xfer_status {
  call {
    let layer = try object(layer, .layer, "layer")
    var given = try Configuration(XferABI.config(config), for: "xfer_layer_enable_lora")
    let lora = try LoRA(arguments: &given)
    let names = given.value("layers")
    try given.finish()
    guard let model = layer as? Model else {
      guard names == nil else { throw invalid("'layers' is for models, '\(layer.name)' is a \(type(of: layer).className)") }
      return try layer.enable(lora)
    }
    let list = try names.map { names in
      let list = names.arrayValue?.compactMap(\.stringValue) ?? []
      guard list.count == names.arrayValue?.count else { throw given.wrong("layers", "a list of names", names) }
      return list
    }
    try model.enableLoRA(lora, layers: list)
  }
}

@c @implementation public func xfer_layer_id(_ layer: OpaquePointer?, _ id: UnsafeMutablePointer<UInt64>?) -> xfer_status {
  call { try out(id, "id").pointee = object(layer, .layer, "layer").identity }
}

@c @implementation public func xfer_layer_as_model(_ layer: OpaquePointer?, _ model: UnsafeMutablePointer<OpaquePointer?>?) -> xfer_status {
  call {
    try give(model, .model) {
      let layer = try object(layer, .layer, "layer")
      guard let model = layer as? Model else {
        throw XferError.unsupported("'\(layer.name)' is no model: it is a \(type(of: layer).className)")
      }
      return model
    }
  }
}

@c @implementation public func xfer_model_symbols(
  _ model: OpaquePointer?, _ layer: OpaquePointer?, _ outputs: Int32, _ symbols: UnsafeMutablePointer<OpaquePointer?>?, _ capacity: Int,
  _ count: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    let (model, outputs) = (try object(model, .model, "model"), try truth(outputs, "outputs"))
    let found =
      try optional(layer, .layer, "layer").map { try model.symbols(of: $0, outputs: outputs) } ?? (outputs ? model.outputs : model.inputs)
    guard !found.isEmpty else { throw XferError.state("model '\(model.name)' has no input shape yet, and so no symbols") }
    guard symbols != nil else {
      try out(count, "count").pointee = found.count
      return
    }
    try give(symbols, capacity, count, .symbol, expected: found.count) { found }
  }
}

@c @implementation public func xfer_model_summary_with(
  _ model: OpaquePointer?, _ options: UnsafePointer<CChar>?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int,
  _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    try give(buffer, capacity, length) {
      let model = try object(model, .model, "model")
      var options = try Configuration(XferABI.config(options, "options"), for: "xfer_model_summary_with")
      let (width, showTrainable) = (try options.int("width", 0), try options.bool("show_trainable", false))
      let expandNested = try options.bool("expand_nested", false)
      let range = try options.integers("layers") ?? [0, .max]
      try options.finish()
      guard (0...65_536).contains(width) else { throw invalid("width is to be from 0 (for 80 columns) to 65536, \(width) was given") }
      guard range.count == 2, range[0] >= 0, range[0] <= range[1] else {
        throw invalid("layers is to be [first, end] with 0 ≤ first ≤ end, \(range) was given")
      }
      return model.summary(
        width: width == 0 ? nil : width, showTrainable: showTrainable, expandNested: expandNested, range: range[0]..<range[1])
    }
  }
}
