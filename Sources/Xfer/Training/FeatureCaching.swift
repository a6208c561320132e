public import XferCore

/// Where `fit` keeps what the frozen part of a model makes of each sample, and how.
///
///     options.cache = .disk(folder: "features")
///     options.cache.dtype = .bfloat16
///     options.cache.variants = 4
public struct FeatureCaching: Sendable, Hashable {
  public enum Place: Sendable, Hashable {
    /// Nowhere: everything is computed in every epoch.
    case off
    case memory
    /// In a file of the folder that outlives the process; nil for `features` in `$XFER_CACHE`, else in `~/.cache/xfer`.
    case disk(folder: String?)
  }

  public var place: Place
  /// Bytes that may be taken; nil for a quarter of the machine's memory, 8 GiB of the disk.
  public var budget: Int?
  /// How numbers are kept: `.float32`, by which nothing changes, or `.bfloat16`, which takes half the room. Features are then rounded to
  /// bfloat16 in every epoch, also where they were just computed or where there was no room to keep them.
  public var dtype = DType.float32
  /// Where images are augmented at random ahead of the frozen part: how many fixed augmentations a sample has. Epoch e trains on number
  /// e mod `variants` of each, whose random numbers come from the layer's seed, the sample and that number alone: they are the same whenever,
  /// in whatever order and in whatever batch they are drawn. Nil draws anew in every epoch, so that nothing behind the augmentation can be
  /// kept. Validation is not augmented either way. Layers that draw once a batch (RandomCrop) cannot be fixed by sample: with them, and
  /// where nothing is frozen, augmentation is drawn anew.
  public var variants: Int?

  public static let off = FeatureCaching(place: .off)
  public static func memory(budget: Int? = nil) -> FeatureCaching { FeatureCaching(place: .memory, budget: budget) }
  public static func disk(folder: String? = nil, budget: Int? = nil) -> FeatureCaching {
    FeatureCaching(place: .disk(folder: folder), budget: budget)
  }

  /// - Throws: `XFER_E_INVALID_ARGUMENT` for another dtype, for less than one variant, and for either of them without a cache.
  func check() throws {
    guard dtype == .float32 || dtype == .bfloat16 else {
      throw XferError.invalid("cache_dtype is to be float32 or bfloat16, \(dtype.name) was given")
    }
    if let variants, variants < 1 { throw XferError.invalid("cache_variants is to be above 0, \(variants) was given") }
    guard place != .off || (dtype == .float32 && variants == nil) else {
      throw XferError.invalid("cache_dtype and cache_variants say how features are kept, but the cache is off")
    }
  }

  /// An empty store for rows of what `digest` names.
  ///
  /// - Parameter share: into how many stores the budget is divided.
  func makeStore(_ digest: Digest, rowBytes: Int, share: Int) throws -> any FeatureStore {
    switch place {
    case .off: throw XferError.internal("a store for a cache that is off")
    case .memory: return MemoryFeatureStore(rowBytes: rowBytes, budget: (budget ?? max(1 << 28, physicalMemory / 4)) / share)
    case .disk(let folder):
      return try DiskFeatureStore(
        folder: folder ?? "\(CacheFolder.path)/features", prefix: digest, rowBytes: rowBytes, budget: (budget ?? Self.diskBudget) / share)
    }
  }

  private static let diskBudget = 8 << 30
}
