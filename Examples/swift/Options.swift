import Glibc
import Xfer

/// The command line: the flags of `Examples/python/transfer.py`.
struct Options {
  var data = ""
  var val: String?
  var base = ""
  var imageSize = (height: 224, width: 224)
  var epochs = 8
  var fineTuneEpochs = 2
  var learningRate = 1e-3
  var fineTuneRate = 1e-5
  var batchSize = 32
  var seed = 0
  var backend = "auto"
  var threads = 0
  var loop = "fit"
  var out: String?

  static let help = """
    Transfer learning from a folder of images: freeze a pretrained base, train a new head, unfreeze, fine-tune.

      --data DIR              training images, one folder a class
      --val DIR               validation images; without it a fifth of --data is set aside
      --base NAME:WEIGHTS     xception, efficientnet-lite0 or squeezenet, a colon and a weights file
      --image-size HxW        one number or two; 224
      --epochs N              of the head; 8
      --fine-tune-epochs N    of everything; 2
      --learning-rate RATE    1e-3
      --fine-tune-rate RATE   1e-5
      --batch-size N          32
      --seed N                0
      --backend NAME          auto, naive, simd, blas or a plugin's name
      --threads N             0: all cores
      --loop fit|custom       compile and fit, or a GradientTape
      --out FILE              where to save the model (.keras)
    """

  init(_ arguments: [String]) throws {
    var rest = arguments[...]
    func wrong(_ flag: String, _ value: String) -> XferError { .invalid("\(flag) \(value): see --help") }
    while let flag = rest.popFirst() {
      if flag == "--help" || flag == "-h" {
        print(Self.help)
        exit(0)
      }
      guard let value = rest.popFirst() else { throw XferError.invalid("\(flag): unknown or without a value: see --help") }
      func integer() throws -> Int { try Int(value) ?? { throw wrong(flag, value) }() }
      func number() throws -> Double { try Double(value) ?? { throw wrong(flag, value) }() }
      switch flag {
      case "--data": data = value
      case "--val": val = value
      case "--base": base = value
      case "--image-size":
        let parts = value.split(separator: "x").map { Int($0) }
        guard (1...2).contains(parts.count), let height = parts[0], let width = parts[parts.count - 1] else { throw wrong(flag, value) }
        imageSize = (height, width)
      case "--epochs": epochs = try integer()
      case "--fine-tune-epochs": fineTuneEpochs = try integer()
      case "--learning-rate": learningRate = try number()
      case "--fine-tune-rate": fineTuneRate = try number()
      case "--batch-size": batchSize = try integer()
      case "--seed": seed = try integer()
      case "--backend": backend = value
      case "--threads": threads = try integer()
      case "--loop":
        guard ["fit", "custom"].contains(value) else { throw wrong(flag, value) }
        loop = value
      case "--out": out = value
      default: throw XferError.invalid("\(flag): unknown: see --help")
      }
    }
    guard !data.isEmpty, !base.isEmpty, seed >= 0 else {
      throw XferError.invalid("--data and --base are wanted, --seed from 0 on: see --help")
    }
  }
}
