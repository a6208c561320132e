import XferCore
import XferGraph

/// The part of a model that makes the same of a sample in every epoch: where it ends, for all batch sizes.
struct FrozenPart {
  let prefix: FrozenPrefix
  /// Whether it was cut out of the network as it is in training.
  let training: Bool
  /// Random ops that are fixed by sample, see ``XferGraph/Graph/augmentations(of:)``.
  private let augmentations: [Int]
  private let draws: [(state: Tensor, isNormal: Bool)]
  /// The computation, without the contents of the weights.
  private let structure: Digest

  var isAugmented: Bool { !augmentations.isEmpty }

  /// Nil when there is nothing worth it: nothing frozen below the first trained layer, random layers there, or open dimensions.
  ///
  /// - Parameters:
  ///   - plastic: weights that move.
  ///   - fixing: whether augmentation ahead of it may be fixed by sample.
  init?(_ model: Model, plastic: Set<ObjectIdentifier>, training: Bool, fixing: Bool) throws {
    guard model.inputs.allSatisfy({ !$0.shape.dropFirst().contains(nil) }) else { return nil }
    let (graph, inputs, outputs) = try Self.lower(model, Self.inputs(model, batch: Graph.analysisBatch), training: training)
    augmentations = fixing ? graph.augmentations(of: inputs) : []
    let opened = graph.openAugmentations(augmentations)
    // Losses read the logits behind an output where there are any.
    let read = try outputs + outputs.compactMap { try graph.logits(behind: $0) } + graph.losses
    guard let prefix = try graph.frozenPrefix(inputs: inputs + opened.map(\.value), outputs: read, plastic: plastic),
      !prefix.variables.isEmpty
    else { return nil }
    (self.prefix, self.training) = (prefix, training)
    draws = opened.map { ($0.state, $0.isNormal) }
    structure = Self.structure(graph, prefix)
    // What looks different in another batch cannot be cut there.
    for batch in [1, 3] {
      guard cut(in: try lowered(model, batch: batch).graph) != nil else { return nil }
    }
  }

  /// Descriptions of a model's inputs.
  static func inputs(_ model: Model, batch: Int) -> [TensorDescription] {
    model.inputs.map { TensorDescription([batch] + $0.shape.dropFirst().map { $0 ?? 1 }, $0.dtype) }
  }

  private static func lower(
    _ model: Model, _ shapes: [TensorDescription], training: Bool
  ) throws -> (graph: Graph, inputs: [ValueID], outputs: [ValueID]) {
    let graph = Graph(precision: model.precision)
    let inputs = shapes.map { graph.input($0) }
    return (graph, inputs, try model.emitAll(inputs, LoweringContext(graph: graph, training: training)))
  }

  private static func structure(_ graph: Graph, _ prefix: FrozenPrefix) -> Digest {
    let order = Dictionary(prefix.variables.enumerated().map { (ObjectIdentifier($1), $0) }) { first, _ in first }
    let names = graph.fingerprints { variable in
      var digest = Digest()
      digest.combine(UInt64(order[ObjectIdentifier(variable)] ?? order.count))
      return digest
    }
    let places = Dictionary(graph.fingerprints().map { ($0.value, $0.key) }) { first, second in first.index < second.index ? first : second
    }
    var digest = Digest()
    for value in prefix.cut { if let found = places[value].flatMap({ names[$0] }) { digest.combine(found) } }
    return digest
  }

  /// What kept rows depend on beside the sample: the computation, the contents of its weights, the backends.
  func contents(precision: Precision) -> Digest {
    var digest = structure
    for variable in prefix.variables { digest.combine(variable.digest) }
    for draw in draws { digest.combine(draw.isNormal ? "normal" : "uniform") }
    // Rows of before images were bfloat16 are others.
    digest.combine(precision == .bfloat16 ? "bfloat16 images" : precision.name)
    digest.combine(((try? Backend.ordered()) ?? []).map { "\($0.name) \($0.version)" }.joined(separator: ","))
    return digest
  }

  /// A digest of the seeds of what is fixed by sample, nil where nothing is. As they are now: a checkpoint may have brought back others.
  var seeds: Digest? {
    guard isAugmented else { return nil }
    var digest = Digest()
    for draw in draws { digest.combine(UInt64(bitPattern: draw.state.data.assumingMemoryBound(to: Int64.self)[0])) }
    return digest
  }

  /// Inputs are the model's, then one for each draw.
  struct Lowered {
    let graph: Graph
    let inputs: [ValueID]
    let outputs: [ValueID]
    let draws: [AugmentationDraw]
  }

  /// The model for a batch, its augmentation opened.
  ///
  /// - Parameter training: nil for the network the part was cut out of; false for validation that this part serves, too.
  func lowered(_ model: Model, batch: Int, training: Bool? = nil) throws -> Lowered {
    let (graph, inputs, outputs) = try Self.lower(model, Self.inputs(model, batch: batch), training: training ?? self.training)
    let draws = graph.openAugmentations(augmentations)
    return Lowered(graph: graph, inputs: inputs + draws.map(\.value), outputs: outputs, draws: draws)
  }

  /// The values of the cut in a lowering of the model; nil where it computes something else.
  func cut(in graph: Graph) -> [ValueID]? {
    let found = Dictionary(graph.fingerprints().map { ($0.value, $0.key) }) { first, second in first.index < second.index ? first : second }
    let values = prefix.cut.compactMap { found[$0] }
    return values.count == prefix.cut.count ? values : nil
  }

  /// The values of the cut where they are sure to be.
  func knownCut(in graph: Graph, of model: Model) throws -> [ValueID] {
    try cut(in: graph) ?? { throw XferError.internal("the frozen part of '\(model.name)' was not found again") }()
  }

  /// The frozen parts of a model for training and for validation.
  struct Pair {
    let training: FrozenPart?
    /// Nil where there is none, where that for training serves, and where it was not asked for.
    let evaluation: FrozenPart?
    let trainingServesEvaluation: Bool

    /// - Parameters:
    ///   - plastic: the trained weights.
    ///   - moving: see ``FrozenPart/moving(_:trained:inputs:)``.
    init(_ model: Model, plastic: [Variable], moving: ([TensorDescription]) throws -> Set<ObjectIdentifier>, fixing: Bool, evaluates: Bool)
      throws
    {
      training = try FrozenPart(model, plastic: Set(plastic.map { ObjectIdentifier($0) }), training: true, fixing: fixing)
      trainingServesEvaluation =
        try training?.cut(in: FrozenPart.lower(model, FrozenPart.inputs(model, batch: 2), training: false).graph) != nil
      evaluation =
        evaluates && !trainingServesEvaluation
        ? try FrozenPart(model, plastic: moving(FrozenPart.inputs(model, batch: 2)), training: false, fixing: false) : nil
    }

    /// Where a whole network would be cut, if its features were kept: none where it would not.
    func cut(in graph: Graph, training: Bool) -> [ValueID] {
      (training || trainingServesEvaluation ? self.training : evaluation)?.cut(in: graph) ?? []
    }
  }

  /// The trained weights, and moving averages: they are not among these, and still move.
  static func moving(_ model: Model, trained: [Variable], inputs: [TensorDescription]) throws -> Set<ObjectIdentifier> {
    try lower(model, inputs, training: true).graph.updated.union(trained.map { ObjectIdentifier($0) })
  }
}

extension Model {
  /// The values of a lowering that a network cut in two, whose lower part is kept, hands on as floats: with images in bfloat16 they have to be
  /// floats in the whole network too if both are to give the same bits.
  func frozenCut(in graph: Graph, training: Bool) throws -> [ValueID] {
    guard graph.precision == .bfloat16 else { return [] }
    let trained = trainableWeights
    return try FrozenPart.Pair(
      self, plastic: trained, moving: { try FrozenPart.moving(self, trained: trained, inputs: $0) }, fixing: false, evaluates: !training
    ).cut(in: graph, training: training)
  }
}
