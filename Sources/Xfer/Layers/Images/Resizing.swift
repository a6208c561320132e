public import XferCore
public import XferGraph

/// Images at another size, with half-pixel centres as in TensorFlow. The result is float32, also for uint8 images, and not rounded.
public final class Resizing: Layer {
  public override class var className: String { "Resizing" }
  let height: Int
  let width: Int
  let method: ResizeMethod
  let cropToAspectRatio: Bool
  let padToAspectRatio: Bool
  let fillValue: Double
  let antialias: Bool

  init(config: inout Configuration) throws {
    height = try config.required("height")
    width = try config.required("width")
    let name = try config.string("interpolation", "bilinear")
    guard let method = ResizeMethod(rawValue: name) else {
      throw XferError.invalid("Resizing: unknown interpolation '\(name)'\(hint(name, among: ResizeMethod.allCases.map(\.rawValue)))")
    }
    self.method = method
    cropToAspectRatio = try config.bool("crop_to_aspect_ratio", false)
    padToAspectRatio = try config.bool("pad_to_aspect_ratio", false)
    let fill = try config.string("fill_mode", "constant")
    fillValue = try config.double("fill_value", 0)
    antialias = try config.bool("antialias", false)
    try config.channelsLast()
    guard fill == "constant" else { throw XferError.invalid("Resizing: 'fill_mode' is to be \"constant\", \"\(fill)\" was given") }
    guard !(cropToAspectRatio && padToAspectRatio) else {
      throw XferError.invalid("Resizing: only one of 'crop_to_aspect_ratio' and 'pad_to_aspect_ratio' can be true")
    }
    guard max(height, width) <= Configuration.sane.upperBound else {
      throw XferError.invalid(
        "Resizing: 'height' and 'width' are to be up to \(Configuration.sane.upperBound), \(height) and \(width) were given")
    }
    try config.refuse("bounding_box_format")
    try super.init(reading: &config)
  }

  public init(
    height: Int, width: Int, interpolation: String = "bilinear", cropToAspectRatio: Bool = false, padToAspectRatio: Bool = false,
    fillValue: Double = 0, antialias: Bool = false, name: String? = nil
  ) throws {
    guard height > 0, width > 0 else {
      throw XferError.invalid("Resizing: height and width are to be above 0, \(height) and \(width) were given")
    }
    guard let method = ResizeMethod(rawValue: interpolation) else {
      throw XferError.invalid(
        "Resizing: unknown interpolation '\(interpolation)'\(hint(interpolation, among: ResizeMethod.allCases.map(\.rawValue)))")
    }
    guard !(cropToAspectRatio && padToAspectRatio) else {
      throw XferError.invalid("Resizing: only one of 'crop_to_aspect_ratio' and 'pad_to_aspect_ratio' can be true")
    }
    (self.height, self.width, self.method, self.antialias) = (height, width, method, antialias)
    (self.cropToAspectRatio, self.padToAspectRatio, self.fillValue) = (cropToAspectRatio, padToAspectRatio, fillValue)
    super.init(name: name)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let graph = context.graph
    let shape = try imageShape(inputs[0], graph)
    if cropToAspectRatio { return try graph.smartResized(inputs[0], height: height, width: width, method: method, antialias: antialias) }
    var x = inputs[0]
    if padToAspectRatio {
      // As in Keras, both sides get the same: an odd row or column is not made up for.
      let rows = (max(shape[1], Int(Float(shape[2] * height) / Float(width))) - shape[1]) / 2
      let columns = (max(shape[2], Int(Float(shape[1] * width) / Float(height))) - shape[2]) / 2
      x = graph.pad(x, before: [0, rows, columns, 0], after: [0, rows, columns, 0], value: Float(fillValue))
    }
    return try graph.resized(x, height: height, width: width, method: method, antialias: antialias)
  }

  public override var ownConfig: [String: JSONValue] {
    [
      "height": .int(height), "width": .int(width), "interpolation": .string(method.rawValue),
      "crop_to_aspect_ratio": .bool(cropToAspectRatio), "pad_to_aspect_ratio": .bool(padToAspectRatio), "fill_mode": "constant",
      "fill_value": .double(fillValue), "antialias": .bool(antialias), "data_format": "channels_last",
    ]
  }
}

/// The middle of each image; an image too small in one direction is cropped to the target's proportions and resized.
public final class CenterCrop: Layer {
  public override class var className: String { "CenterCrop" }
  let height: Int
  let width: Int

  public init(height: Int, width: Int, name: String? = nil) throws {
    guard height > 0, width > 0 else {
      throw XferError.invalid("CenterCrop: height and width are to be above 0, \(height) and \(width) were given")
    }
    (self.height, self.width) = (height, width)
    super.init(name: name)
  }

  init(config: inout Configuration) throws {
    height = try config.required("height")
    width = try config.required("width")
    try config.channelsLast()
    try config.refuse("bounding_box_format")
    guard max(height, width) <= Configuration.sane.upperBound else {
      throw XferError.invalid(
        "CenterCrop: 'height' and 'width' are to be up to \(Configuration.sane.upperBound), \(height) and \(width) were given")
    }
    try super.init(reading: &config)
  }

  public override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    let shape = try imageShape(inputs[0], context.graph)
    guard shape[1] >= height, shape[2] >= width else { return try context.graph.smartResized(inputs[0], height: height, width: width) }
    return context.graph.cropped(inputs[0], top: (shape[1] - height) / 2, left: (shape[2] - width) / 2, height: height, width: width)
  }

  public override var ownConfig: [String: JSONValue] { ["height": .int(height), "width": .int(width), "data_format": "channels_last"] }
}
