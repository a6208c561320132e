public import XferCore
public import XferGraph

/// Low-rank adaptation as Keras has it: the kernel stays as it was trained, and `alpha / rank · A · B` is added to it; A and B are trained.
/// A kernel (inputs, units) gets A (inputs, rank) and B (rank, units), so that a small rank has few numbers to train and to keep slots for.
///
/// B begins with zeros: the layer gives the same as before until it is trained. Source: Hu et al. 2021, `keras.layers.Dense.enable_lora`.
///
/// ```swift
/// base.trainable = false
/// try dense.enableLoRA(rank: 8)
/// ```
public struct LoRA: Equatable, Sendable {
  public let rank: Int
  public let alpha: Double
  public let aInitializer: Initializer
  public let bInitializer: Initializer

  /// - Parameter alpha: nil for the rank, with which the product counts as it is.
  public init(rank: Int, alpha: Double? = nil, aInitializer: Initializer = .heUniform, bInitializer: Initializer = .zeros) {
    (self.rank, self.alpha) = (rank, alpha ?? Double(rank))
    (self.aInitializer, self.bInitializer) = (aInitializer, bInitializer)
  }

  /// From the keys `lora_rank` and `lora_alpha` of a layer's config; nil for null, and for rank 0, as Keras reads it.
  init?(_ config: inout Configuration) throws {
    let rank = try config.int("lora_rank", 0)
    let alpha = try config.number("lora_alpha")
    guard rank != 0 else { return nil }
    self.init(rank: rank, alpha: alpha)
    try check(config.className)
  }

  /// From {"rank", "lora_alpha", "a_initializer", "b_initializer"}, the arguments of Keras' `enable_lora`, of which the rank is required.
  public init(arguments config: inout Configuration) throws {
    self.init(
      rank: try config.required("rank"), alpha: try config.number("lora_alpha"),
      aInitializer: try Initializer(config.value("a_initializer"), default: .heUniform, layer: config.className),
      bInitializer: try Initializer(config.value("b_initializer"), default: .zeros, layer: config.className))
    try check(config.className)
  }

  /// What ``init(arguments:)`` reads.
  var arguments: JSONValue {
    [
      "rank": .int(rank), "lora_alpha": alphaConfig, "a_initializer": aInitializer.config, "b_initializer": bInitializer.config,
    ]
  }

  func check(_ layer: String) throws {
    guard rank > 0, Configuration.sane ~= rank else {
      throw XferError.invalid("\(layer): the rank of LoRA is to be from 1 to \(Configuration.sane.upperBound), \(rank) was given")
    }
    guard alpha.isFinite else { throw XferError.invalid("\(layer): 'lora_alpha' is to be a finite number, \(alpha) was given") }
  }

  var config: [String: JSONValue] {
    ["lora_rank": .int(rank), "lora_alpha": alphaConfig]
  }
  private var alphaConfig: JSONValue { Int(exactly: alpha).map { .int($0) } ?? .double(alpha) }
}

extension Layer {
  /// Adapts the layer's kernel by two small matrices, `lora_kernel_a` and `lora_kernel_b`, and trains it itself no more; takes effect at the next
  /// `compile`. The bias goes on being trained. Dense, Conv2D and Embedding (whose matrices are `lora_embeddings_a` and `_b`) can be adapted.
  ///
  /// Files hold the kernel with the product added, under the kernel's name, and no matrices: they load into layers with and without LoRA. A layer
  /// with LoRA gets zeros for both matrices then, as in Keras. Setting `trainable` again sets the kernel's flag too, as in Keras.
  ///
  /// - Throws: `XFER_E_STATE` before the layer is built and when it is adapted already, `XFER_E_INVALID_ARGUMENT` for a rank below 1 or a kernel with
  ///   a constraint, `XFER_E_UNSUPPORTED` for other classes.
  public func enableLoRA(
    rank: Int, alpha: Double? = nil, aInitializer: Initializer = .heUniform, bInitializer: Initializer = .zeros
  ) throws {
    try enable(LoRA(rank: rank, alpha: alpha, aInitializer: aInitializer, bInitializer: bInitializer))
  }

  /// The same with arguments as they are kept. Models have one that adapts the layers within.
  package func enable(_ lora: LoRA) throws {
    try lora.check(name)
    try checkAdaptable()
    try adapt(lora)
    self.lora = lora
    Self.noteChange()
  }

  /// The weight to adapt, if it can be.
  private func adaptableWeight() throws -> Variable {
    guard let weight = adaptable else {
      throw XferError.unsupported("\(name): a \(Self.className) has no LoRA; Dense, Conv2D and Embedding have")
    }
    guard weight.constraint == nil else {
      throw XferError.invalid("\(name): LoRA cannot keep the constraint on '\(weight.name)'; make the layer without it")
    }
    return weight
  }

  /// Throws when the layer cannot be adapted, or is already.
  func checkAdaptable() throws {
    guard built else { throw XferError.state("\(name): LoRA wants weights to adapt, and the layer is not built yet") }
    _ = try adaptableWeight()
    if let lora { throw XferError.state("\(name): LoRA is enabled already, with rank \(lora.rank); it can be enabled once") }
  }

  /// Makes the two matrices.
  func adapt(_ lora: LoRA) throws {
    let weight = try adaptableWeight()
    let columns = weight.shape[weight.shape.count - 1]
    let a = try factor("a", weight, weight.shape.dropLast() + [lora.rank], lora.aInitializer)
    let b = try factor("b", weight, [lora.rank, columns], lora.bInitializer)
    weight.adapt(LowRankUpdate(a: a, b: b, scale: lora.alpha / Double(lora.rank)))
    for factor in [a, b] { addWeight(factor) }
  }

  /// Freezes everything but what is adapted within, and of that the kernels.
  func trainAdapters() {
    trainable = false
    for layer in allLayers where layer.allLayers.contains(where: { $0.lora != nil }) {
      if layer.lora == nil {
        layer.setOwnTrainable(true)
      } else {
        layer.trainable = true
        layer.adaptable?.trainable = false
      }
    }
  }

  private func factor(_ letter: String, _ weight: Variable, _ shape: [Int], _ initializer: Initializer) throws -> Variable {
    let (name, path) = ("lora_\(weight.name)_\(letter)", weight.path.dropLast(weight.name.count))
    let variable = Variable(
      name: name, path: path + name, tensor: try PendingValues.factor(initializer, of: weight.shape, shape).make(shape),
      trainable: trainable)
    variable.regularizer = weight.regularizer
    return variable
  }

  /// `lora_rank` and `lora_alpha`, which Keras writes only where there is a rank.
  var loraConfig: [String: JSONValue] { lora?.config ?? [:] }
}

extension Model {
  /// Adapts the layers within and freezes everything else, as KerasHub's `backbone.enable_lora` does: what is trained from the next `compile` on
  /// are the matrices and biases of the adapted layers, and layers outside this model.
  ///
  /// - Parameter layers: names of layers within, nested ones too; nil for all that can be adapted.
  /// - Throws: `XFER_E_NOT_FOUND` for a name there is not; what ``Layer/enableLoRA(rank:alpha:aInitializer:bInitializer:)`` throws. Nothing has
  ///   changed then.
  public func enableLoRA(_ lora: LoRA, layers names: [String]? = nil) throws {
    try lora.check(name)
    for layer in try loraTargets(names) { try layer.enable(lora) }
    trainAdapters()
  }

  /// The layers to adapt, all of which can be.
  private func loraTargets(_ names: [String]?) throws -> [Layer] {
    let layers = Array(allLayers.dropFirst())
    var targets: [Layer] = []
    if let names {
      for wanted in names where !targets.contains(where: { $0.name == wanted }) {
        guard let found = layers.first(where: { $0.name == wanted }) else {
          throw XferError.notFound("LoRA: '\(name)' has no layer '\(wanted)'\(hint(wanted, among: layers.map(\.name)))")
        }
        targets.append(found)
      }
    } else {
      var seen: Set<ObjectIdentifier> = []
      // A shared layer stands in several places.
      targets = layers.filter { $0.adaptable.map { $0.constraint == nil } ?? false && seen.insert(ObjectIdentifier($0)).inserted }
    }
    guard !targets.isEmpty else {
      throw XferError.unsupported("LoRA: '\(name)' has no layer that can be adapted; Dense, Conv2D and Embedding can")
    }
    for layer in targets { try layer.checkAdaptable() }
    return targets
  }
}
