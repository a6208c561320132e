import CXfer
import Glibc
import Synchronization
public import XferCore

/// Batches of the images in class folders: x float32 (n, height, width, 3) of RGB in 0...255, y int32 (n).
///
/// Images are found, split and resized as Keras' `image_dataset_from_directory` does, and decoded ahead on another thread. An image
/// that cannot be read is named once, left out of its batch and listed in ``skipped``.
///
///     var options = ImageFolderOptions()
///     options.imageSize = (150, 150)
///     let train = try ImageFolderDataset("photos/train", options)
///     try model.fit(train)
public final class ImageFolderDataset: ShuffledDataset, IdentifiedDataset {
  /// An image that could not be read.
  public struct Skipped: Equatable, Sendable {
    public let path: String
    public let reason: String
  }

  /// The class folders in the order of their labels.
  public let classNames: [String]
  private let source: Source
  private let options: ImageFolderOptions
  private var seed: UInt64
  public var shuffleSeed: UInt64? {
    get { options.shuffle ? seed : nil }
    set { if let newValue { seed = newValue } }
  }
  private var loader: BatchLoader?
  private var gaveBatch = false
  /// Images are told apart by path, size, time of change and the size they are resized to; known ones are not decoded.
  public var isKnown: (@Sendable (Digest) -> Bool)?

  /// - Parameter directory: has one folder for each class. Images may lie in folders within.
  /// - Throws: `XFER_E_NOT_FOUND` without the directory; `XFER_E_DATA` for one without class folders, for a class without images and for
  ///   `classNames` that are not those of the folders; `XFER_E_INVALID_ARGUMENT` for options out of their range.
  public init(_ directory: String, _ options: ImageFolderOptions = ImageFolderOptions()) throws {
    try options.check()
    var index = try ImageFolderIndex(directory, classNames: options.classNames)
    if let split = options.validationSplit, let subset = options.subset {
      try index.keep(subset, split: split, seed: options.shuffle ? options.seed.map { UInt32(truncatingIfNeeded: $0) } : nil)
      index.lint(directory, subset)
    }
    classNames = index.classNames
    source = Source(paths: index.paths, labels: index.labels, height: options.imageSize.height, width: options.imageSize.width)
    self.options = options
    seed = options.seed ?? (options.shuffle ? RandomSeed.next() : 0)
  }

  deinit { loader?.cancel() }

  /// Images, the broken ones among them.
  public var count: Int { source.paths.count }
  public var batchCount: Int? { (count + options.batchSize - 1) / options.batchSize }
  /// The images that could not be read so far, in the order in which they were met.
  public var skipped: [Skipped] { source.skipped.withLock { $0.list } }
  /// The images and their labels, in the order of the folder or of the shuffled split.
  public var files: [(path: String, label: Int)] { zip(source.paths, source.labels).map { ($0, Int($1)) } }

  /// {"count", "class_names", "skipped": [{"path", "reason"}]}.
  public var info: JSONValue {
    [
      "count": .int(count), "class_names": .array(classNames.map { .string($0) }),
      "skipped": .array(skipped.map { ["path": .string($0.path), "reason": .string($0.reason)] }),
    ]
  }

  public func restart(epoch: Int) throws {
    loader?.cancel()
    var order = Array(0..<count)
    if options.shuffle {
      var generator = SplitMix64(seed: seed &+ UInt64(truncatingIfNeeded: epoch) &* 0x9E37_79B9_7F4A_7C15)
      order.shuffle(using: &generator)
    }
    let (size, source, isKnown) = (options.batchSize, source, isKnown)
    let samples = order
    gaveBatch = false
    loader = try BatchLoader(count: batchCount ?? 0) { batch in
      try source.batch(samples[batch * size..<min((batch + 1) * size, samples.count)], isKnown)
    }
  }

  /// The next batch. Begins epoch 0 where none was begun; gives nil at the end until ``restart(epoch:)``.
  /// - Throws: `XFER_E_DATA` when not one image of the folder can be read; what keeps every image from being read, such as a missing plugin.
  public func next() throws -> Batch? {
    if loader == nil { try restart(epoch: 0) }
    if let batch = try loader?.next() {
      gaveBatch = true
      return batch
    }
    if !gaveBatch, let first = skipped.first {
      throw XferError.data("none of the \(count) images can be read; the first: \(first.reason)")
    }
    return nil
  }
}

/// What the decoding thread needs.
private final class Source: Sendable {
  struct Broken {
    var list: [ImageFolderDataset.Skipped] = []
    var indices: Set<Int> = []
  }

  let paths: [String]
  let labels: [Int32]
  let height: Int
  let width: Int
  let skipped = Mutex(Broken())

  init(paths: [String], labels: [Int32], height: Int, width: Int) {
    (self.paths, self.labels, self.height, self.width) = (paths, labels, height, width)
  }

  /// A batch of the images at these places, nil when all of them are broken.
  func batch(_ indices: ArraySlice<Int>, _ isKnown: ((Digest) -> Bool)?) throws -> Batch? {
    let keys = isKnown == nil ? [:] : Dictionary(uniqueKeysWithValues: indices.map { ($0, key($0)) })
    let whole = indices.filter { index in !skipped.withLock { $0.indices.contains(index) } }
    if let isKnown, !whole.isEmpty, whole.allSatisfy({ keys[$0].map(isKnown) ?? false }) {
      var batch = Batch(inputs: [], targets: [try Tensor(labels: whole.map { labels[$0] })])
      batch.keys = whole.compactMap { keys[$0] }
      return batch
    }
    var used: [Digest] = []
    let x = try Tensor(zeros: [indices.count, height, width, 3])
    let pixels = height * width * 3
    var good: [Int32] = []
    for index in indices where !skipped.withLock({ $0.indices.contains(index) }) {
      do {
        let image = try readFile(paths[index]).withUnsafeBytes { try ImageCodec.decode($0, name: paths[index]) }
        let place = UnsafeMutableBufferPointer(rebasing: x.float32[good.count * pixels..<(good.count + 1) * pixels])
        try BilinearResize.run(image, into: place, height: height, width: width)
        good.append(labels[index])
        if let key = keys[index] { used.append(key) }
      } catch let error as XferError where Self.isOfTheFile(error) {
        skip(index, error.message)
      }
    }
    if good.isEmpty { return nil }
    var batch = Batch(x: good.count == indices.count ? x : x.rows(0..<good.count), y: try Tensor(labels: good))
    batch.keys = used
    return batch
  }

  /// What tells one image from another, and from itself after it was changed.
  private func key(_ index: Int) -> Digest {
    var (digest, status) = (Digest(), stat())
    digest.combine(paths[index])
    if stat(paths[index], &status) == 0 {
      for word in [status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec, height, width] {
        digest.combine(UInt64(bitPattern: Int64(word)))
      }
    }
    return digest
  }

  /// Whether an error is about one image, and not about all.
  private static func isOfTheFile(_ error: XferError) -> Bool {
    [XFER_E_FORMAT, XFER_E_NOT_FOUND, XFER_E_IO, XFER_E_UNSUPPORTED].contains(error.status)
  }

  private func skip(_ index: Int, _ reason: String) {
    let isNew = skipped.withLock {
      guard $0.indices.insert(index).inserted else { return false }
      $0.list.append(ImageFolderDataset.Skipped(path: paths[index], reason: reason))
      return true
    }
    if isNew { log(Int32(XFER_LOG_WARNING), "skipped image \(reason)") }
  }
}
