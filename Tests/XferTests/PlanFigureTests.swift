import Foundation
import FoundationXML
import Testing
import XferCore
import XferGraph
@testable import Xfer

/// What the drawing of a plan shows, and where its boxes stand.
@Suite struct PlanFigureTests {
  /// A chain with a skip connection, a frozen part, a trained one and a head.
  private func network() throws -> Model {
    let input = try Input(shape: [8, 8, 4])
    let first = try Conv2D(filters: 4, kernelSize: 3, padding: .same, activation: .relu, useBias: false, name: "first")(input)
    let normalized = try BatchNormalization(name: "norm")(Conv2D(filters: 4, kernelSize: 1, name: "second")(first))
    let base = try Model(input, Add(name: "sum")([first, normalized]), name: "base")
    base.trainable = false
    let start = try Input(shape: [8, 8, 4])
    let tuned = try Conv2D(filters: 3, kernelSize: 3, name: "tuned")(base(start, training: false))
    let model = try Model(start, Dense(1, name: "head <&>")(GlobalAveragePooling2D(name: "pool")(tuned)), name: "net")
    try model.compile(optimizer: Adam(), loss: MeanSquaredError())
    return model
  }

  private func boxes(_ model: Model, training: Bool) throws -> PlanBoxes {
    PlanBoxes(try model.planReport(batchSize: 2, training: training))
  }

  @Test func reportsSayWhatReadsWhat() throws {
    let nodes = try network().plan(batchSize: 2, training: true).report()
    for (index, node) in nodes.enumerated() { #expect(node.inputs.allSatisfy { $0 < index }) }
    let head = try #require(nodes.first { $0.layer == "head <&>" && $0.phase == .forward })
    #expect(nodes[try #require(head.inputs.last)].layer == "pool" || nodes[head.inputs[0]].layer == "pool")
    #expect(head.readsData && head.readsWeights && head.changesWeights)
    let frozen = try #require(nodes.first { $0.layer == "first" && $0.phase == .forward })
    #expect(frozen.readsWeights && !frozen.changesWeights && frozen.flops > 0 && frozen.bytes > 0)
    #expect(nodes.allSatisfy { $0.bytes > 0 })
  }

  @Test func boxesAreLayersAndTheirStates() throws {
    let model = try network()
    let drawn = try boxes(model, training: true)
    let names = drawn.boxes.map(\.layer)
    #expect(names.contains("first") && names.contains("tuned") && names.contains("head <&>"))
    func state(_ layer: String) -> PlanReport.State? { drawn.boxes.first { $0.layer == layer || $0.fusedFrom.contains(layer) }?.state }
    #expect(state("first") == .cached)
    #expect(state("pool") == PlanReport.State.none)
    #expect(state("tuned") == .trained && state("head <&>") == .trained)
    // What was fused is in the box that took it over, and the way back is counted with its layer.
    #expect(drawn.boxes.contains { !$0.fusedFrom.isEmpty })
    let tuned = try #require(drawn.boxes.first { $0.layer == "tuned" })
    #expect(tuned.training.flops > tuned.cost.flops)
    #expect(drawn.boxes.first { $0.layer == "first" }?.training.flops == 0)
    let total = try model.plan(batchSize: 2, training: true).report().reduce(0) { $0 + $1.flops }
    let shown = drawn.boxes.reduce(drawn.other.flops) { $0 + $1.cost.flops + $1.training.flops }
    #expect(abs(total - shown) < 1e-6 * total)
    for (box, inputs) in drawn.inputs.enumerated() { #expect(inputs.allSatisfy { $0 < box }) }
  }

  @Test func drawingIsWellFormedAndTellsWhatRunsOnce() throws {
    let model = try network()
    for training in [false, true] {
      let svg = try model.planFigure(batchSize: 2, training: training, showShapes: true)
      let parser = XMLParser(data: Data(svg.utf8))
      #expect(parser.parse(), "\(String(describing: parser.parserError))")
      for text in ["first", "head &lt;&amp;&gt;", ">2×8×8×4<", "FLOP", "net: "] { #expect(svg.contains(text), "\(text)") }
      #expect(svg.contains("run once a sample") == training)
      #expect(svg.contains("backward and updates") == training)
    }
    #expect(try !model.planFigure().contains(">1×8×8×4<"))
    // LoRA's product is made in each step and belongs to its layer.
    try model.getLayer("tuned").enableLoRA(rank: 1)
    try model.compile(optimizer: Adam(), loss: MeanSquaredError())
    let adapted = try boxes(model, training: true)
    #expect(adapted.boxes.count { $0.layer == "tuned" } == 1)
    #expect(adapted.boxes.first { $0.layer == "tuned" }?.state == .trained)
  }

  @Test func layoutKeepsChainsInALane() {
    // 0 → 1 → 2 → 4 with a skip 0 → 4 and a branch 0 → 3 → 4.
    let layout = PlanLayout([[], [0], [1], [0], [0, 2, 3]], rowLimit: 40)
    #expect(layout.places.map(\.lane) == [0, 0, 0, 1, 0])
    #expect(layout.places.map(\.row) == [0, 1, 2, 1, 3])
    #expect(layout.edges.contains(.init(from: 0, to: 4)))
    #expect(layout.lanes == [2] && layout.rows == [4])
  }

  @Test func noTwoBoxesShareAPlace() {
    var generator = SplitMix64(seed: 4)
    for size in [1, 2, 7, 60, 300] {
      let inputs = (0..<size).map { box in
        box == 0
          ? [] : Set((0..<1 + Int(generator.next() % 3)).map { _ in max(0, box - 1 - Int(generator.next() % 6)) }).sorted()
      }
      let layout = PlanLayout(inputs, rowLimit: 20)
      #expect(Set(layout.places.map { "\($0)" }).count == size)
      for edge in layout.edges {
        let (a, b) = (layout.places[edge.from], layout.places[edge.to])
        #expect((a.column, a.row) < (b.column, b.row))
      }
      #expect(layout.rows.allSatisfy { $0 <= 31 })
    }
  }
}
