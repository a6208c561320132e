import ArgumentParser
import Xfer

/// The images to learn from, and how they are read.
struct SourceOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Images to train on, one subfolder for each class.", valueName: "dir"))
  var data: String

  @Option(help: ArgumentHelp("Images to validate on, in the same classes.", valueName: "dir"))
  var val: String?

  @Option(help: ArgumentHelp("The part of --data set aside for validation where there is no --val. (default: 0.2)", valueName: "part"))
  var validationSplit: Double?

  @Option(help: ArgumentHelp("Height and width the images are resized to. (default: what the base was made for)", valueName: "HxW"))
  var imageSize: ImageSize?

  @Option(help: ArgumentHelp("\(Augment.help)", valueName: "changes"))
  var augment: Augment?

  @Option(help: ArgumentHelp("Images in a batch.", valueName: "n"))
  var batchSize = 32

  @Option(help: ArgumentHelp("Seed of the head's first weights, the split and the order of the images.", valueName: "n"))
  var seed: UInt32 = 0

  func validate() throws {
    guard val == nil || validationSplit == nil else { throw ValidationError("--val and --validation-split exclude each other.") }
    if let validationSplit, !(validationSplit > 0 && validationSplit < 1) {
      throw ValidationError("--validation-split is to be between 0 and 1, \(validationSplit) was given.")
    }
    guard batchSize > 0 else { throw ValidationError("--batch-size is to be above 0, \(batchSize) was given.") }
  }

  /// Training and validation images.
  func open(_ size: ImageSize, classNames: [String]? = nil) throws -> (ImageFolderDataset, ImageFolderDataset) {
    var common = ImageFolderOptions()
    common.imageSize = (size.height, size.width)
    common.batchSize = batchSize
    common.seed = UInt64(seed)
    common.classNames = classNames
    var (training, validating) = (common, common)
    guard let val else {
      (training.validationSplit, training.subset) = (validationSplit ?? 0.2, .training)
      (validating.validationSplit, validating.subset) = (validationSplit ?? 0.2, .validation)
      return (try ImageFolderDataset(data, training), try ImageFolderDataset(data, validating))
    }
    let train = try ImageFolderDataset(data, training)
    validating.shuffle = false
    validating.classNames = train.classNames
    return (train, try ImageFolderDataset(val, validating))
  }
}
