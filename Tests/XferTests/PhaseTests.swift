import CXfer
import Foundation
import Testing
import XferCore
@testable import Xfer

private struct Interruption: Error {}

private func failure(_ body: () throws -> Void) -> XferError? {
  do {
    try body()
    return nil
  } catch { return error as? XferError }
}

@Suite(.serialized) struct PhaseTests {
  /// A base of four layers with weights, BatchNormalization among them, under a head with dropout.
  private func model(seed: Int = 3, explicit: Bool = true) throws -> Model {
    let input = try Input(shape: [6])
    var x = try Dense(8, activation: .relu, name: "block1_a")(input)
    x = try BatchNormalization(name: "block1_b")(x)
    x = try Dense(7, activation: .relu, name: "block2_a")(x)
    x = try Dense(5, activation: .relu, name: "block2_b")(x)
    let base = try Model(input, x, name: "base")
    let start = try Input(shape: [6])
    var y = try explicit ? base(start, training: false) : base(start)
    y = try Dropout(0.4, seed: seed)(y)
    let model = try Model(start, Dense(1, name: "top")(y))
    try fill(model)
    try model.compile(
      optimizer: Adam(), loss: BinaryCrossentropy(fromLogits: true), metrics: [BinaryAccuracy(threshold: 0, name: "accuracy")])
    return model
  }

  private func data(seed: UInt64? = 5) throws -> ArrayDataset {
    let x = try randomTensor([22, 6], seed: 8)
    let y = try Tensor((0..<22).map { x.floats[$0 * 6] > 0 ? 1 : 0 }, shape: [22, 1])
    return try ArrayDataset(x: x, y: y, batchSize: 4, seed: seed)
  }

  private func plan() throws -> PhasePlan {
    try PhasePlan(
      text: """
        {"phases": [
          {"name": "head", "epochs": 3, "learning_rate": 0.02},
          {"name": "upper", "unfreeze": "last:2", "epochs": 4, "learning_rate": 0.01, "optimizer": {"class_name": "Nadam", "config": {}},
           "early_stopping": {"monitor": "loss", "patience": 1, "min_delta": 0.01, "restore_best_weights": true}},
          {"name": "all", "unfreeze": "all", "epochs": 3, "learning_rate": 0.003,
           "optimizer": {"class_name": "SGD", "config": {"momentum": 0.9, "use_ema": true, "ema_momentum": 0.7}},
           "learning_rate_groups": [{"layers": "block1", "multiplier": 0.1}]}
        ]}
        """)
  }

  private func figures(_ history: PhaseHistory) -> [[String: [Double]]] { history.phases.map(\.history.values) }

  // MARK: Going on

  /// Everything is interrupted at each batch in turn, by an error, and goes on in a model made anew with other seeds.
  @Test func anInterruptedPlanGoesOnBitEqual() throws {
    let folder = try TemporaryFolder()
    let whole = try model()
    var options = PhaseOptions()
    options.fit.validation = try data(seed: nil)
    let wanted = try whole.fit(data(), phases: plan(), options: options)
    #expect(wanted.phases.map(\.name) == ["head", "upper", "all"])
    let batches = wanted.phases.reduce(0) { $0 + $1.history.epochs.count } * 6
    #expect(batches > 30)
    for stop in stride(from: 0, to: batches, by: 5) {
      for frequency in [nil, 2] {
        let path = folder.file("run-\(stop)-\(frequency ?? 0)")
        options.checkpoint = path
        options.saveFrequency = frequency
        options.resume = false
        var count = 0
        var stopped = options
        stopped.fit.callbacks = [
          FunctionCallback { event, _, _, _ in
            guard event == .batchBegin else { return }
            if count == stop { throw Interruption() }
            count += 1
          }
        ]
        #expect(throws: Interruption.self) { try model().fit(data(), phases: plan(), options: stopped) }
        let again = try model(seed: 99)
        options.resume = true
        let history = try again.fit(data(seed: 77), phases: plan(), options: options)
        let isEqual = (figures(history) == figures(wanted), again.weights.map(\.values) == whole.weights.map(\.values))
        #expect(isEqual == (true, true), "stopped at batch \(stop)")
        #expect(!FileManager.default.fileExists(atPath: path))
      }
    }
  }

  /// Of a frozen base nothing is in the file but a digest, and a model with another base is refused.
  @Test func aCheckpointIsSmallAndKnowsItsModel() throws {
    let folder = try TemporaryFolder()
    var options = PhaseOptions()
    options.checkpoint = folder.file("c")
    options.deleteCheckpoint = false
    let head = try PhasePlan.preset("linear-probe", settings: ["epochs": 2])
    _ = try model().fit(data(), phases: head, options: options)
    let file = try SafetensorsFile(folder.file("c"))
    #expect(file.names.filter { $0.hasPrefix("weights/") }.count == 2)
    options.resume = true
    // Finished: nothing is trained any more.
    let again = try model(seed: 4)
    let history = try again.fit(data(), phases: head, options: options)
    #expect(history.phases.map(\.history.epochs) == [[0, 1]] && again.trainableWeights.count == 2)

    let other = try model()
    try other.weights[0].assign(randomTensor(other.weights[0].shape, seed: 1))
    let before = other.weights.map(\.values)
    #expect(failure { _ = try other.fit(data(), phases: head, options: options) }?.status == XFER_E_STATE)
    #expect(other.weights.map(\.values) == before)
    let plan = try PhasePlan.preset("linear-probe", settings: ["epochs": 3])
    #expect(failure { _ = try model().fit(data(), phases: plan, options: options) }?.message.contains("another plan") == true)
    options.identity = ["batch_size": 4]
    #expect(failure { _ = try model().fit(data(), phases: head, options: options) }?.message.contains("another run") == true)
    options.identity = [:]
    try folder.write([1, 2, 3], "c")
    #expect(failure { _ = try model().fit(data(), phases: head, options: options) }?.status == XFER_E_FORMAT)
    options.checkpoint = nil
    #expect(failure { _ = try model().fit(data(), phases: head, options: options) }?.message.contains("resume") == true)
  }

  @Test func whatAKilledWriterLeftBehindGoes() throws {
    let folder = try TemporaryFolder()
    let (left, kept) = (".c.0123456789ab", [".c.swp", ".d.0123456789ab", ".c.0123456789AB"])
    for name in [left] + kept { try folder.write([1], name) }
    var options = PhaseOptions()
    options.checkpoint = folder.file("c")
    _ = try model().fit(data(), phases: .preset("linear-probe", settings: ["epochs": 1]), options: options)
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.file("."))
    #expect(Set(files) == Set(kept))
  }

  // MARK: What phases do

  @Test func phasesEqualCompilingAndFittingByHand() throws {
    let (a, b) = (try model(), try model())
    let plan = PhasePlan([
      Phase("head", epochs: 2, learningRate: 0.02), Phase("fine", unfreeze: .from("block2_a"), epochs: 2, learningRate: 0.001),
    ])
    let history = try a.fit(data(), phases: plan)
    let base = try #require(b.layers.compactMap { $0 as? Model }.first)
    var options = FitOptions()
    options.epochs = 2
    func compile(_ rate: Double) throws {
      try b.compile(
        optimizer: Adam(learningRate: rate), loss: BinaryCrossentropy(fromLogits: true), metrics: [BinaryAccuracy(threshold: 0)])
    }
    base.trainable = false
    try compile(0.02)
    let head = try b.fit(data(), options: options)
    base.trainable = true
    for layer in base.layers.prefix(3) { layer.trainable = false }
    try compile(0.001)
    let fine = try b.fit(data(), options: options)
    #expect(history.phases.map(\.history.values["loss"]) == [head.values["loss"], fine.values["loss"]])
    #expect(a.weights.map(\.values) == b.weights.map(\.values))
    #expect(history.phases.map(\.trainedParameters) == [6, 6 + 8 * 7 + 7 + 7 * 5 + 5])
    #expect(history.phases.map(\.frozenWeights) == [10, 6] && history.phases.allSatisfy(\.isAudited))
  }

  /// Without training=False an unfrozen BatchNormalization follows the data, and a frozen one does not.
  @Test func statisticsThatFollowTheDataAreNotTakenForFrozen() throws {
    let model = try model(explicit: false)
    let statistics = model.weights.filter { $0.name.hasPrefix("moving") }
    let before = statistics.map(\.values)
    let head = try model.fit(data(), phases: PhasePlan([Phase("head")]))
    #expect(head.phases[0].frozenWeights == 10 && statistics.map(\.values) == before)
    let all = try model.fit(data(), phases: PhasePlan([Phase("all", unfreeze: .all)]))
    #expect(all.phases[0].frozenWeights == 0 && zip(statistics.map(\.values), before).allSatisfy { $0 != $1 })
  }

  @Test(arguments: [
    ("none", 0), ("all", 4), ("last:1", 1), ("last:3", 3), ("last:50%", 2), ("last:51%", 3), ("last:100%", 4), ("from:block2_a", 2),
  ]) func depthsThawFromTheOutputOn(_ text: String, _ count: Int) throws {
    let model = try model()
    let base = try PretrainedBase(of: model, base: nil, head: nil)
    for before in [UnfreezeDepth.all, .none] {
      try base.unfreeze(before)
      try base.unfreeze(UnfreezeDepth(text))
      let names = base.layers.filter { !$0.trainableWeights.isEmpty }.map(\.name)
      #expect(names == Array(["block1_a", "block1_b", "block2_a", "block2_b"].suffix(count)))
    }
    #expect(try UnfreezeDepth(text).text == text || text.contains("%"))
  }

  @Test func aFlatModelNamesItsHead() throws {
    let input = try Input(shape: [6])
    let x = try Dense(4, name: "b2")(Dense(5, name: "b1")(input))
    let model = try Model(input, Dense(1, name: "top")(Dense(3, name: "hidden")(x)))
    try model.compile(optimizer: Adam(), loss: BinaryCrossentropy(fromLogits: true), metrics: [])
    #expect(failure { _ = try model.fit(data(), phases: .preset("linear-probe")) }?.message.contains("'head'") == true)
    let history = try model.fit(
      data(), phases: PhasePlan([Phase("a"), Phase("b", unfreeze: .last(1))], head: "hidden"))
    #expect(history.phases.map(\.trainedParameters) == [4 * 3 + 3 + 3 + 1, 5 * 4 + 4 + 19])
    #expect(failure { _ = try model.fit(data(), phases: PhasePlan([Phase("a")], head: "hiden")) }?.message.contains("hidden") == true)
  }

  @Test func groupsAndDecayGiveEachLayerItsRate() throws {
    let model = try model()
    let base = try PretrainedBase(of: model, base: "base", head: nil)
    let groups = [LearningRateGroup(.prefix("block1"), multiplier: 0.1), LearningRateGroup(.last(2), multiplier: 0.5)]
    let grouped = try Phase("x", learningRateGroups: groups).makeOptimizer(model, base)
    func rates(_ optimizer: Optimizer) -> [String: Double] {
      Dictionary(model.allLayers.filter { !$0.ownWeights.isEmpty }.map { ($0.name, optimizer.multiplier($0.ownWeights[0].path)) }) { $1 }
    }
    #expect(rates(grouped) == ["block1_a": 0.1, "block1_b": 0.1, "block2_a": 0.5, "block2_b": 0.5, "top": 1])
    let decayed = try Phase("x", layerDecay: 0.5).makeOptimizer(model, base)
    #expect(rates(decayed) == ["block1_a": 0.0625, "block1_b": 0.125, "block2_a": 0.25, "block2_b": 0.5, "top": 1])
  }

  @Test func aStopEndsThePhaseAndACancellationEverything() throws {
    let model = try model()
    let trainer = try model.compiled()
    let plan = PhasePlan([Phase("head", epochs: 5), Phase("fine", unfreeze: .all, epochs: 5)])
    var options = PhaseOptions()
    options.fit.callbacks = [
      FunctionCallback { event, index, _, _ in
        if event == .epochEnd, index == 1 { trainer.stopTraining = true }
      }
    ]
    #expect(try trainer.fit(data(), phases: plan, options: options).phases.map(\.history.epochs.count) == [2, 2])
    options.fit.callbacks = [
      FunctionCallback { event, index, _, _ in
        if event == .epochEnd, index == 1 { trainer.cancel() }
      }
    ]
    #expect(failure { _ = try trainer.fit(data(), phases: plan, options: options) }?.status == XFER_E_CANCELLED)
  }

  // MARK: Plans as data

  @Test func presetsInFull() throws {
    #expect(PhasePlan.presets == ["gradual-unfreeze", "head-then-all", "layer-decay", "linear-probe"])
    let guide = try PhasePlan.preset("head-then-all", settings: ["epochs": 7, "fine_tune_epochs": 2])
    #expect(
      guide
        == PhasePlan([
          Phase("head", epochs: 7, learningRate: 1e-3), Phase("fine-tune", unfreeze: .all, epochs: 2, learningRate: 1e-5),
        ]))
    let gradual = try PhasePlan.preset("gradual-unfreeze")
    #expect(gradual.phases.map(\.name) == ["head", "unfreeze-1", "unfreeze-2", "unfreeze-3"])
    #expect(gradual.phases.map(\.epochs) == [20, 3, 3, 4] && gradual.phases.last?.unfreeze == .all)
    #expect(try PhasePlan.preset("layer-decay", settings: ["layer_decay": 0.7]).phases[1].layerDecay == 0.7)
    #expect(try PhasePlan.preset("head-then-all", settings: ["unfreeze": "none"]).phases.map(\.name) == ["head"])
    for name in PhasePlan.presets {
      let plan = try PhasePlan.preset(name)
      #expect(try PhasePlan(text: plan.json.text()) == plan)
      #expect(try PhasePlan(text: name) == plan && PhasePlan(["preset": .string(name)]) == plan)
    }
  }

  @Test(arguments: [
    ("head-then-al", "head-then-all"), (#"{"phases": []}"#, "at least one"), (#"{"phase": []}"#, "'phases'"),
    (#"[{"epochs": 2}]"#, "'name'"),
    (#"[{"name": "a", "epoch": 2}]"#, "'epoch'"), (#"[{"name": "a", "unfreeze": "last:0"}]"#, "last:0"),
    (#"[{"name": "a", "unfreeze": "some"}]"#, "last:N"), (#"[{"name": "a", "optimizer": "adm"}]"#, "phase 'a'"),
    (#"[{"name": "a", "optimizer": {"class_name": "Adam", "config": {"beta": 1}}}]"#, "'beta'"),
    (#"[{"name": "a", "early_stopping": {"patienc": 1}}]"#, "'patienc'"), (#"[{"name": "a"}, {"name": "a"}]"#, "two phases"),
    (#"[{"name": "a", "epochs": -1}]"#, "'epochs'"), (#"[{"name": "a", "learning_rate": "fast"}]"#, "learning_rate"),
    (#"[{"name": "a", "learning_rate_groups": [{"multiplier": 1}]}]"#, "'layers'"),
    (#"[{"name": "a", "learning_rate_groups": [{"first": 3}]}]"#, "'multiplier'"),
    (#"[{"name": "a", "layer_decay": 0.5, "learning_rate_groups": [{"first": 3, "multiplier": 1}]}]"#, "exclude"),
    (#"{"preset": "head-then-all", "epoch": 1}"#, "'epoch'"), (#"{"phases": [{"name": "a"}], "base": "b", "head": "c"}"#, "exclude"),
    (#"{"phases": "#, "JSON"),
  ]) func wrongPlansAreNamed(_ text: String, _ word: String) throws {
    let error = try #require(failure { _ = try PhasePlan(text: text) })
    #expect(error.message.contains(word), "\(error.message)")
  }

  @Test func namesAreLookedUpBeforeAnythingIsTrained() throws {
    let model = try model()
    let before = model.weights.map(\.values)
    for (last, word) in [
      (Phase("x", unfreeze: .from("block3")), "block"), (Phase("x", learningRateGroups: [.init(.prefix("blok"), multiplier: 1)]), "blok"),
    ] {
      let error = failure { _ = try model.fit(data(), phases: PhasePlan([Phase("head"), last])) }
      #expect(error?.status == XFER_E_NOT_FOUND && error?.message.contains(word) == true)
    }
    #expect(model.weights.map(\.values) == before)
  }
}
