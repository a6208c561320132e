import ArgumentParser
import CXfer
import FoundationEssentials
import Xfer

struct Predict: ParsableCommand, ReportsJSON {
  static let configuration = CommandConfiguration(
    abstract: "Name the class of images.",
    discussion: """
      Prints a line for each image: the most probable class, its probability, the file.

        xfer predict model.keras photo.jpg more-photos/
      """)

  @Argument(help: ArgumentHelp(ModelArgument.help, valueName: "model"))
  var model: ModelArgument

  @Argument(help: ArgumentHelp("Image files, or folders that are searched for them.", valueName: "files"))
  var files: [String]

  @Option(help: ArgumentHelp("Classes to print for each image, the most probable first.", valueName: "n"))
  var top = 1

  @Option(help: ArgumentHelp("Images in a batch.", valueName: "n"))
  var batchSize = 32

  @OptionGroup var runtime: RuntimeOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try model.check("MODEL")
    guard !files.isEmpty else { throw ValidationError("Images are wanted: name files or folders.") }
    guard batchSize > 0, top > 0 else { throw ValidationError("--batch-size and --top are to be above 0.") }
  }

  private struct Prediction {
    let path: String
    let probabilities: [Double]
    /// Class indices, the most probable first.
    var ranking: [Int] { probabilities.indices.sorted { (probabilities[$1], $0) < (probabilities[$0], $1) } }
  }

  func run() throws {
    Interrupt.install()
    try runtime.apply()
    let loaded = try model.load(size: nil, features: false, unnamed: "imagenet")
    let classifier = try Classifier(loaded, model.title)
    let size = try inputSize(of: loaded, model.title)
    let paths = try files.flatMap(Self.images)
    var skipped: [(path: String, reason: String)] = []
    var predictions: [Prediction] = []
    for start in stride(from: 0, to: paths.count, by: batchSize) {
      try Interrupt.check()
      let batch = paths[start..<min(start + batchSize, paths.count)]
      predictions += try predict(batch, loaded, classifier, size, &skipped)
    }
    for image in skipped { note("xfer: skipped \(image.reason)") }
    guard !predictions.isEmpty else { throw XferError.data("none of the \(paths.count) images can be read") }
    report(predictions, skipped, classifier)
  }

  private func predict(
    _ paths: ArraySlice<String>, _ model: Model, _ classifier: Classifier, _ size: ImageSize,
    _ skipped: inout [(path: String, reason: String)]
  ) throws -> [Prediction] {
    let x = try Tensor(zeros: [paths.count, size.height, size.width, 3])
    let bytes = size.height * size.width * 3 * DType.float32.size
    var good: [String] = []
    for path in paths {
      do {
        let image = try ImageCodec.load(path, height: size.height, width: size.width)
        (x.data + good.count * bytes).copyMemory(from: image.data, byteCount: bytes)
        good.append(path)
      } catch let error as XferError where error.status != XFER_E_PLUGIN && error.status != XFER_E_OUT_OF_MEMORY {
        skipped.append((path, error.message))
      }
    }
    if good.isEmpty { return [] }
    let outputs = try model.predict(x.rows(0..<good.count), batchSize: batchSize).floats
    return good.enumerated().map { row, path in
      let range = row * classifier.columns..<(row + 1) * classifier.columns
      return Prediction(path: path, probabilities: classifier.probabilities(outputs[range]))
    }
  }

  private func report(_ predictions: [Prediction], _ skipped: [(path: String, reason: String)], _ classifier: Classifier) {
    if output.json {
      printJSON([
        "predictions": .array(
          predictions.map { prediction in
            let best = prediction.ranking.prefix(top).map { index -> JSONValue in
              ["class": .string(classifier.name(index)), "index": .int(index), "probability": .double(prediction.probabilities[index])]
            }
            return ["path": .string(prediction.path), "classes": .array(best)]
          }),
        "skipped": .array(skipped.map { ["path": .string($0.path), "reason": .string($0.reason)] }),
      ])
    } else {
      print(
        aligned(
          predictions.map { prediction in
            prediction.ranking.prefix(top).flatMap { [classifier.name($0), percent(prediction.probabilities[$0])] } + [prediction.path]
          }))
    }
  }

  /// A file as it is; of a folder all images in it, sorted.
  private static func images(_ path: String) throws -> [String] {
    var isFolder = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { throw XferError.notFound("\(path) does not exist") }
    guard isFolder else { return [path] }
    let endings = [".jpg", ".jpeg", ".png"]
    let found = try FileManager.default.subpathsOfDirectory(atPath: path).filter { name in
      endings.contains { name.lowercased().hasSuffix($0) }
    }
    guard !found.isEmpty else { throw XferError.data("\(path) has no images (\(endings.joined(separator: ", ")))") }
    return found.sorted().map { path.hasSuffix("/") ? path + $0 : "\(path)/\($0)" }
  }
}
