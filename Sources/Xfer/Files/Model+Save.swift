import XferCore

extension Model {
  /// Saves architecture, weights and metadata as a `.keras` file that Keras 3 reads as well: in full or not at all.
  ///
  /// - Throws: `XFER_E_UNSUPPORTED` for another ending, `XFER_E_PLUGIN` without the HDF5 or zip plugin, `XFER_E_IO`.
  public func save(_ path: String) throws {
    guard path.hasSuffix(".keras") else {
      throw XferError.unsupported("\(path): models are saved as .keras files, weights alone by save_weights")
    }
    try KerasArchive.write(self, to: path)
  }

  /// A model from a `.keras` file, or from a legacy Keras `.h5` that holds a whole model.
  ///
  /// - Parameter compile: whether a model that was compiled when it was saved is compiled again, as the file says. What Xfer does not have of
  ///   that leaves the model uncompiled, with a warning.
  /// - Throws: `XFER_E_FORMAT` for a file that is cut short or damaged, `XFER_E_UNSUPPORTED` or `XFER_E_NOT_FOUND` for layers Xfer does
  ///   not have.
  public static func load(_ path: String, compile: Bool = true) throws -> Model {
    switch try WeightFormat(path) {
    case .archive: try KerasArchive.read(path, compile: compile)
    case .hdf5: try SavedModel.readLegacy(path, compile: compile)
    case .safetensors: throw XferError.unsupported("\(path) holds weights without an architecture: make the model, then load_weights")
    }
  }

  /// Saves the weights alone: as `.safetensors` under their paths, or as `.weights.h5` as Keras 3 does.
  public func saveWeights(_ path: String) throws {
    if path.hasSuffix(".safetensors") {
      let tensors = try WeightKeys.of(self).map { (name: $0.key, tensor: try $0.variable.stored()) }
      try SafetensorsFile.write(tensors, metadata: ["format": "keras"], to: path)
    } else if path.hasSuffix(".weights.h5") {
      try AtomicFile.replace(path) { temporary in
        let file = try H5File(creating: temporary)
        try KerasWeights.write(self, to: file)
        try file.close()
      }
    } else {
      throw XferError.unsupported("\(path): weights are saved as .safetensors or .weights.h5")
    }
  }
}
