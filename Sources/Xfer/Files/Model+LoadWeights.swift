import Glibc
import XferCore

extension Model {
  /// Reads weights from a file. A load that fails leaves every weight as it was.
  ///
  /// - Parameters:
  ///   - path: a legacy Keras `.h5` (weights or a whole model; layers go by order), a `.weights.h5` of Keras 3, a `.keras` file, or a
  ///     `.safetensors` (keys are weight paths; tensors of layers the model does not have are skipped).
  ///   - byName: only layers of equal names; weights without a value keep theirs.
  ///   - skipMismatch: weights of another shape keep their values, instead of failing the load.
  /// - Returns: what became of each tensor.
  @discardableResult
  public func loadWeights(_ path: String, byName: Bool = false, skipMismatch: Bool = false) throws -> LoadReport {
    var transfer = WeightTransfer(path: path, partial: byName || skipMismatch, skipMismatch: skipMismatch)
    switch try WeightFormat(path) {
    case .hdf5: try offer(H5File(reading: path), to: &transfer, byName: byName)
    case .archive: try offer(KerasArchive.weights(in: ZipFile(reading: path), path), to: &transfer, byName: byName)
    case .safetensors:
      let file = try SafetensorsFile(path)
      guard !ModelDelta.isDelta(file) else {
        throw XferError.unsupported("\(path) is a delta: load_delta reads it, onto the base it was made from")
      }
      try WeightKeys.offer(file, to: self, &transfer, byName: byName)
    }
    return try transfer.commit()
  }

  private func offer(_ file: H5File, to transfer: inout WeightTransfer, byName: Bool) throws {
    if let root = try LegacyWeights.root(of: file) {
      try LegacyWeights(file, root: root).offer(to: self, &transfer, byName: byName)
    } else if KerasWeights.recognizes(file) {
      try KerasWeights.offer(file, to: self, &transfer, byName: byName)
    } else {
      throw XferError.format("\(transfer.path) is an HDF5 file, but holds no weights of Keras: it has neither 'layer_names' nor 'layers'")
    }
  }
}

/// What a file with weights is, by its first bytes.
enum WeightFormat {
  case hdf5, archive, safetensors

  init(_ path: String) throws {
    guard let file = fopen(path, "rbe") else { throw systemError(path, "cannot be opened") }
    defer { fclose(file) }
    var head = [UInt8](repeating: 0, count: 9)
    let count = fread(&head, 1, head.count, file)
    if head.starts(with: [0x89] + Array("HDF\r\n\u{1a}\n".utf8)) {
      self = .hdf5
    } else if head.starts(with: Array("PK\u{3}\u{4}".utf8)) {
      self = .archive
    } else if count == 9, head[8] == UInt8(ascii: "{") {
      self = .safetensors
    } else {
      throw XferError.format("\(path) is cut short or no file Xfer reads: those are .h5, .weights.h5, .keras and .safetensors")
    }
  }
}
