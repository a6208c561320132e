public import CXfer
import Xfer
import XferCore
import XferGraph

@c @implementation public func xfer_layer_create(
  _ className: UnsafePointer<CChar>?, _ config: UnsafePointer<CChar>?, _ layer: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(layer, .layer) { try LayerRegistry.make(string(className, "class_name"), config: XferABI.config(config)) }
  }
}

@c @implementation public func xfer_layer_apply(
  _ layer: OpaquePointer?, _ inputs: UnsafePointer<OpaquePointer?>?, _ count: Int, _ training: Int32,
  _ output: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(output, .symbol) {
      try object(layer, .layer, "layer")(objects(inputs, count, .symbol, "inputs"), training: XferABI.training(training))
    }
  }
}

@c @implementation public func xfer_layer_call(
  _ layer: OpaquePointer?, _ inputs: UnsafePointer<OpaquePointer?>?, _ count: Int, _ training: Int32, _ tape: OpaquePointer?,
  _ output: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(output, .tensor) {
      try object(layer, .layer, "layer")(
        objects(inputs, count, .tensor, "inputs"), training: XferABI.training(training) ?? false, tape: optional(tape, .tape, "tape"))
    }
  }
}

@c @implementation public func xfer_layer_losses(
  _ layer: OpaquePointer?, _ tape: OpaquePointer?, _ values: UnsafeMutablePointer<OpaquePointer?>?, _ capacity: Int,
  _ count: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    let layer = try object(layer, .layer, "layer")
    guard values != nil || capacity == 0 else { throw invalid("values is NULL, but capacity is \(UInt(bitPattern: capacity))") }
    let expected = layer.lossCount
    guard values != nil else {
      try out(count, "count").pointee = expected
      return
    }
    try give(values, capacity, count, .tensor, expected: expected) { try layer.losses(tape: optional(tape, .tape, "tape")) }
  }
}

@c @implementation public func xfer_layer_apply_all(
  _ layer: OpaquePointer?, _ inputs: UnsafePointer<OpaquePointer?>?, _ count: Int, _ training: Int32,
  _ outputs: UnsafeMutablePointer<OpaquePointer?>?, _ capacity: Int, _ outputCount: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    let layer = try object(layer, .layer, "layer")
    try give(outputs, capacity, outputCount, .symbol, expected: layer.outputCount) {
      try layer.all(objects(inputs, count, .symbol, "inputs"), training: XferABI.training(training))
    }
  }
}

@c @implementation public func xfer_layer_call_all(
  _ layer: OpaquePointer?, _ inputs: UnsafePointer<OpaquePointer?>?, _ count: Int, _ training: Int32, _ tape: OpaquePointer?,
  _ outputs: UnsafeMutablePointer<OpaquePointer?>?, _ capacity: Int, _ outputCount: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call {
    let layer = try object(layer, .layer, "layer")
    try give(outputs, capacity, outputCount, .tensor, expected: layer.outputCount) {
      try layer.all(
        objects(inputs, count, .tensor, "inputs"), training: XferABI.training(training) ?? false, tape: optional(tape, .tape, "tape"))
    }
  }
}

@c @implementation public func xfer_layer_output_count(_ layer: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?) -> xfer_status {
  call { try out(count, "count").pointee = object(layer, .layer, "layer").outputCount }
}

@c @implementation public func xfer_layer_build(_ layer: OpaquePointer?, _ rank: Int32, _ dims: UnsafePointer<Int64>?) -> xfer_status {
  call {
    let layer = try object(layer, .layer, "layer")
    let shape = try shape(rank, dims).map { dimension -> Int? in
      guard dimension >= -1 else {
        throw XferError.shape("dims: \(dimension) was given; 0 and above, or -1 for an open dimension, is wanted")
      }
      return dimension == -1 ? nil : dimension
    }
    try layer.buildIfNeeded([shape])
  }
}

@c @implementation public func xfer_layer_config(
  _ layer: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try object(layer, .layer, "layer").serialized.text() } }
}

@c @implementation public func xfer_layer_name(
  _ layer: OpaquePointer?, _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try give(buffer, capacity, length) { try object(layer, .layer, "layer").name } }
}

@c @implementation public func xfer_layer_set_trainable(_ layer: OpaquePointer?, _ trainable: Int32) -> xfer_status {
  call { try object(layer, .layer, "layer").trainable = truth(trainable, "trainable") }
}

@c @implementation public func xfer_layer_get_trainable(_ layer: OpaquePointer?, _ trainable: UnsafeMutablePointer<Int32>?) -> xfer_status {
  call { try out(trainable, "trainable").pointee = object(layer, .layer, "layer").trainable ? 1 : 0 }
}

private func weights(_ layer: OpaquePointer?, _ which: Int32) throws -> [Variable] {
  let layer = try object(layer, .layer, "layer")
  switch Int(which) {
  case Int(XFER_WEIGHTS_ALL): return layer.weights
  case Int(XFER_WEIGHTS_TRAINABLE): return layer.trainableWeights
  case Int(XFER_WEIGHTS_NON_TRAINABLE): return layer.nonTrainableWeights
  default: throw invalid("which is to be one of XFER_WEIGHTS_* (0 to 2), \(which) was given")
  }
}

/// The sublayers a caller sees: those of models.
private func sublayers(_ layer: OpaquePointer?) throws -> [Layer] {
  guard let model = try object(layer, .layer, "layer") as? Model else { return [] }
  // A Sequential that has not seen an input's shape has no network yet.
  return model.layers.isEmpty ? model.sublayers : model.layers
}

private func element<Element>(_ list: [Element], _ index: Int, _ what: String) throws -> Element {
  guard list.indices.contains(index) else { throw invalid("index \(UInt(bitPattern: index)) was given, there are \(list.count) \(what)") }
  return list[index]
}

@c @implementation public func xfer_layer_weight_count(
  _ layer: OpaquePointer?, _ which: Int32, _ count: UnsafeMutablePointer<Int>?
) -> xfer_status {
  call { try out(count, "count").pointee = weights(layer, which).count }
}

@c @implementation public func xfer_layer_weight(
  _ layer: OpaquePointer?, _ which: Int32, _ index: Int, _ weight: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call { try give(weight, .weight) { try element(weights(layer, which), index, "weights") } }
}

@c @implementation public func xfer_layer_sublayer_count(_ layer: OpaquePointer?, _ count: UnsafeMutablePointer<Int>?) -> xfer_status {
  call { try out(count, "count").pointee = sublayers(layer).count }
}

@c @implementation public func xfer_layer_sublayer(
  _ layer: OpaquePointer?, _ index: Int, _ sublayer: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call { try give(sublayer, .layer) { try element(sublayers(layer), index, "layers within") } }
}

@c @implementation public func xfer_layer_release(_ layer: OpaquePointer?) { HandleTable.release(layer, .layer) }
