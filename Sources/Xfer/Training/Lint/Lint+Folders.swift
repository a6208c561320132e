import XferCore

extension ImageFolderIndex {
  /// Warns of classes that a split left without an image. A class folder that is empty is an error.
  func lint(_ directory: String, _ subset: ImageFolderOptions.Subset) {
    let present = Set(labels)
    let missing = classNames.indices.filter { !present.contains(Int32($0)) }.map { classNames[$0] }
    guard !missing.isEmpty else { return }
    Lint.warnOnce(
      "\(directory): no image of \(Lint.list(missing)) is in the \(subset.rawValue) part, so that nothing is "
        + (subset == .training ? "learned about it" : "found out about it")
        + ". Shuffle before the split, take another seed, add images, or give a folder of its own for validation")
  }
}
