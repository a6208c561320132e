import XferCore
import XferGraph

extension Trainer {
  /// Looks for mistakes in how the model is set up to train.
  func lint() throws {
    let model = try model
    lintAugmentation(model)
    lintRate(model)
    lintAdapters(model)
  }

  /// Looks at a batch that training is about to read.
  ///
  /// - Parameter batches: of an epoch, where that is known.
  func lint(_ batch: Batch, batches: Int?) throws {
    let model = try model
    if let batches { lintStatistics(model, batch.count, batches) }
    try lintLabels(model, batch)
  }

  /// Random layers that lie in a part called with training=False never change an image; their outputs are computed once and kept.
  private func lintAugmentation(_ model: Model) {
    var (silent, active) = ([RandomImageLayer](), Set<ObjectIdentifier>())
    model.forEachCall(training: true) { layer, isExplicit, training in
      guard let layer = layer as? RandomImageLayer else { return }
      if training || isExplicit { active.insert(ObjectIdentifier(layer)) } else { silent.append(layer) }
    }
    let names = silent.filter { !active.contains(ObjectIdentifier($0)) }.map(\.name)
    guard !names.isEmpty else { return }
    model.warnOnce(
      .silentAugmentation,
      "\(Lint.list(names)) changes no image: it lies in a part of '\(model.name)' that is called with training=False, whose outputs are "
        + "computed once and kept. Put the random layers in front of that part: base(augment(x), training=False)")
  }

  /// A rate for new layers wears pretrained ones away.
  private func lintRate(_ model: Model) {
    // These move a weight by about the rate in each step; those that scale with the gradient have other rates.
    let adaptive = ["Adam", "AdamW", "Adamax", "Nadam", "RMSprop", "Lion", "Lamb"]
    guard adaptive.contains(type(of: optimizer).className), model.weights.contains(where: { !$0.isLoaded }) else { return }
    let tuned = trainableWeights.filter(\.isLoaded)
    guard let factor = tuned.map({ optimizer.multiplier($0.path) }).max() else { return }
    let rate = optimizer.learningRate * factor
    // 1e-4 itself is fine, as a Float too.
    guard rate > 1.0001e-4 else { return }
    model.warnOnce(
      .fastFineTuning,
      "\(tuned.count) pretrained weights are trained at a learning rate of \(LearningRateRange.text(rate)): above 1e-4 they lose what they know within "
        + "a few steps. Compile with 1e-5, or give them less than the new layers by learning-rate multipliers; or freeze the base until the head is trained"
    )
  }

  /// Of a product of two zeros neither factor has a gradient.
  private func lintAdapters(_ model: Model) {
    let trained = Set(trainableWeights.map { ObjectIdentifier($0) })
    let idle = model.allLayers.filter { layer in
      guard let update = layer.adaptable?.lowRank, trained.contains(ObjectIdentifier(update.a)) else { return false }
      return [update.a, update.b].allSatisfy { $0.values.allSatisfy { $0 == 0 } }
    }
    guard let first = idle.first?.adaptable?.lowRank else { return }
    model.warnOnce(
      .idleAdapters,
      "LoRA of \(Lint.list(idle.map(\.name))) cannot learn: both its matrices are zero. A file holds the kernel with their product added, and leaves "
        + "them so, as in Keras: assign random numbers to '\(first.a.path)' and its like first")
  }

  /// Statistics of a large data set give way to those of small batches of a small one.
  private func lintStatistics(_ model: Model, _ batch: Int, _ batches: Int) {
    guard batch * batches < Self.fewSamples, !model.warned.contains(.batchStatistics) else { return }
    var names: [String] = []
    model.forEachCall(training: true) { layer, _, training in
      guard training, layer is BatchNormalization, layer.trainable, layer.ownWeights.contains(where: \.isLoaded) else { return }
      if !names.contains(layer.name) { names.append(layer.name) }
    }
    guard !names.isEmpty else { return }
    model.warnOnce(
      .batchStatistics,
      "BatchNormalization \(Lint.list(names)) runs in training mode on pretrained statistics, which those of about \(batch * batches) samples, \(batch) at a "
        + "time, will replace. Call the base with training=False, which keeps them while its weights are trained, or freeze these layers")
  }

  private static let fewSamples = 1000

  /// Cross-entropies take probabilities. Labels of classes that do not exist are an error of their losses.
  private func lintLabels(_ model: Model, _ batch: Batch) throws {
    guard !model.warned.contains(.labels) else { return }
    for (output, target) in zip(outputs, try aligned(batch).targets) {
      guard let loss = output.loss, loss.takesProbabilities, let target else { continue }
      let values = target.floats
      guard let index = values.firstIndex(where: { $0 < 0 || $0 > 1 }) else { continue }
      let sample = index / max(values.count / max(target.shape.first ?? 1, 1), 1)
      model.warnOnce(
        .labels,
        "y has the label \(values[index]) in sample \(sample) of a batch, '\(loss.name)' takes numbers from 0 to 1: for class numbers use "
          + "SparseCategoricalCrossentropy and an output for each class, for labels of -1 and 1 use (y + 1) / 2 or Hinge")
      return
    }
  }

  /// The border of BinaryAccuracy is one half by default, that of logits 0.
  ///
  /// - Parameter kinds: what "accuracy" chooses by, one an output.
  func lintThreshold(_ kinds: [TargetKind?]) throws {
    let isMistaken = zip(outputs, kinds).contains { output, kind in
      output.loss?.fromLogits == true
        && (output.metrics + output.weightedMetrics).contains {
          ($0 as? BinaryAccuracy)?.threshold == 0.5 || ($0 is AutomaticAccuracy && kind == .binary)
        }
    }
    guard isMistaken else { return }
    try model.warnOnce(
      .threshold,
      "BinaryAccuracy counts predictions above its threshold 0.5, but the loss takes logits, where the border is 0: "
        + "use threshold 0 to count probabilities above one half (Keras' default is kept)")
  }
}

extension Loss {
  fileprivate var takesProbabilities: Bool {
    ["BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy"].contains(Self.className)
  }
}
