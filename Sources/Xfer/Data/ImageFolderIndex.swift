import Glibc
import XferCore

/// The images of class folders, in the order Keras' `image_dataset_from_directory` finds them.
struct ImageFolderIndex {
  private(set) var classNames: [String]
  private(set) var paths: [String] = []
  private(set) var labels: [Int32] = []

  /// What Keras takes for an image. Those no plugin reads are skipped later, by name.
  private static let extensions = [".bmp", ".gif", ".jpeg", ".jpg", ".png"]

  init(_ directory: String, classNames wanted: [String]?) throws {
    let found = try Self.list(directory).filter { Self.isFolder("\(directory)/\($0)") && !$0.hasPrefix(".") }
    guard !found.isEmpty else { throw XferError.data("\(directory) has no class folders: images are wanted in \(directory)/CLASS/") }
    if let wanted {
      if let missing = wanted.first(where: { !found.contains($0) }) {
        throw XferError.data(
          "class_names has '\(missing)', but \(directory) has no such folder; there are \(found.joined(separator: ", "))")
      }
      if let other = found.first(where: { !wanted.contains($0) }) {
        throw XferError.data("\(directory) has a folder '\(other)' that class_names does not name")
      }
      guard Set(wanted).count == wanted.count else {
        throw XferError.data("class_names has a name twice: \(wanted.joined(separator: ", "))")
      }
    }
    classNames = wanted ?? found
    for (label, name) in classNames.enumerated() {
      let files = try Self.images("\(directory)/\(name)")
      guard !files.isEmpty else {
        throw XferError.data("class folder \(directory)/\(name) has no images (\(Self.extensions.joined(separator: ", ")))")
      }
      paths += files
      labels += [Int32](repeating: Int32(label), count: files.count)
    }
  }

  /// Shuffles with the seed, then keeps the last int(split·n) images for validation or the others for training.
  mutating func keep(_ subset: ImageFolderOptions.Subset, split: Double, seed: UInt32?) throws {
    let total = paths.count
    if let seed {
      var shuffle = NumPyShuffle(seed: seed)
      let order = shuffle.order(total)
      (paths, labels) = (order.map { paths[$0] }, order.map { labels[$0] })
    }
    let validation = Int(split * Double(total))
    let range = subset == .validation ? total - validation..<total : 0..<total - validation
    (paths, labels) = (Array(paths[range]), Array(labels[range]))
    guard !paths.isEmpty else {
      throw XferError.data("validation_split \(split) of \(total) images leaves none for \(subset.rawValue)")
    }
  }

  /// Image files of a folder and the folders in it: folders sorted by their whole path, files sorted in each. Links to folders
  /// are not followed.
  private static func images(_ folder: String) throws -> [String] {
    var folders = [folder]
    var found: [(folder: String, files: [String])] = []
    while let current = folders.popLast() {
      var files: [String] = []
      for name in try list(current) {
        let path = "\(current)/\(name)"
        var status = stat()
        guard lstat(path, &status) == 0 else { continue }
        if status.st_mode & S_IFMT == S_IFDIR {
          folders.append(path)
        } else if extensions.contains(where: { name.lowercased().hasSuffix($0) }) {
          files.append(path)
        }
      }
      found.append((current, files))
    }
    return found.sorted { $0.folder.utf8.lexicographicallyPrecedes($1.folder.utf8) }.flatMap(\.files)
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The names in a folder by their bytes, as Python sorts them.
  private static func list(_ folder: String) throws -> [String] {
    guard let stream = opendir(folder) else { throw systemError(folder, "cannot be opened") }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }
}
