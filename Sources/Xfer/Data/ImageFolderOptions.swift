public import XferCore

/// How a folder of images is read. Names and defaults are those of Keras' `image_dataset_from_directory`.
public struct ImageFolderOptions: Sendable {
  public enum Subset: String, Sendable, CaseIterable { case training, validation }

  /// Height and width images are resized to.
  public var imageSize = (height: 256, width: 256)
  public var batchSize = 32
  /// Whether each epoch has an order of its own, and a split takes images from everywhere in the folder.
  public var shuffle = true
  /// 0 to 2³² − 1. Nil draws one from the process' seed; a shuffled split wants one.
  public var seed: UInt64?
  /// The part of the images that is for validation, above 0 and below 1; goes together with ``subset``.
  public var validationSplit: Double?
  public var subset: Subset?
  /// The class folders in the order of their labels; nil sorts them by name.
  public var classNames: [String]?

  public init() {}

  /// Options from JSON: {"image_size":[224,224],"batch_size":32,"shuffle":true,"seed":0,"validation_split":0.2,
  /// "subset":"training","class_names":[…]}; what is absent or null has its default.
  public init(json: JSONValue) throws {
    guard let members = json.objectValue else {
      throw XferError.invalid("an image folder's config is a JSON object, \(json.text()) was given")
    }
    for (key, value) in members where !value.isNull { try set(key, value) }
  }

  private static let keys = ["image_size", "batch_size", "shuffle", "seed", "validation_split", "subset", "class_names"]

  private mutating func set(_ key: String, _ value: JSONValue) throws {
    func wanted(_ what: String) -> XferError { .invalid("\(key) of an image folder is \(what), \(value.text()) was given") }
    switch key {
    case "image_size": imageSize = try Self.size(value)
    case "batch_size":
      guard let size = value.intValue else { throw wanted("a whole number") }
      batchSize = size
    case "shuffle":
      guard let flag = value.boolValue else { throw wanted("true or false") }
      shuffle = flag
    case "seed":
      guard let number = value.intValue.flatMap(UInt64.init(exactly:)) else { throw wanted("a whole number from 0 on") }
      seed = number
    case "validation_split":
      guard let part = value.doubleValue else { throw wanted("a number") }
      validationSplit = part
    case "subset":
      guard let name = value.stringValue, let known = Subset(rawValue: name) else { throw wanted("\"training\" or \"validation\"") }
      subset = known
    case "class_names":
      guard let names = value.arrayValue?.map(\.stringValue), !names.contains(nil) else { throw wanted("a list of names") }
      classNames = names.compactMap { $0 }
    default: throw XferError.invalid("an image folder has no option '\(key)'\(hint(key, among: Self.keys))")
    }
  }

  /// [height, width] as JSON.
  static func size(_ value: JSONValue) throws -> (height: Int, width: Int) {
    guard let list = value.arrayValue, list.count == 2, let height = list[0].intValue, let width = list[1].intValue,
      (1...65_536).contains(height), (1...65_536).contains(width)
    else { throw XferError.invalid("image_size is [height, width] from 1 to 65536, \(value.text()) was given") }
    return (height, width)
  }

  func check() throws {
    guard batchSize > 0 else { throw XferError.invalid("batch_size is to be above 0, \(batchSize) was given") }
    guard (1...65_536).contains(imageSize.height), (1...65_536).contains(imageSize.width) else {
      throw XferError.invalid("image_size is from 1 to 65536, \(imageSize.height) x \(imageSize.width) was given")
    }
    guard (validationSplit == nil) == (subset == nil) else {
      throw XferError.invalid("validation_split and subset go together, one of them was given")
    }
    if let validationSplit {
      guard validationSplit > 0, validationSplit < 1 else {
        throw XferError.invalid("validation_split is above 0 and below 1, \(validationSplit) was given")
      }
      guard !shuffle || seed != nil else {
        throw XferError.invalid("a shuffled split wants a seed, so that training and validation do not overlap")
      }
    }
    guard seed ?? 0 <= UInt64(UInt32.max) else { throw XferError.invalid("seed is from 0 to \(UInt32.max), \(seed ?? 0) was given") }
  }
}
