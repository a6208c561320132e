import CXfer
import Foundation
import Testing
import XferCore
@testable import XferGraph
@testable import Xfer

/// The choice among a backend's variants of an op.
@Suite struct TunerTests {
  @Test func aClearlyFasterWayIsChosenAfterEnoughRunsOfEach() {
    let op = TunedOp(variants: 3, decision: nil)
    var order: [Int] = []
    var decided = false
    for _ in 0..<12 {
      #expect(op.isOpen)
      let variant = op.next()
      order.append(variant)
      decided = op.add(variant, seconds: [1, 1.2, 0.9][variant])
    }
    #expect(decided && op.decision == Tuner.Decision(variant: 2, seconds: 0.9))
    #expect((0..<3).allSatisfy { variant in order.filter { $0 == variant }.count == 4 })
  }

  @Test func aWayThatIsHardlyFasterIsNot() {
    let op = TunedOp(variants: 2, decision: nil)
    for _ in 0..<8 {
      let variant = op.next()
      _ = op.add(variant, seconds: [1, 0.98][variant])
    }
    #expect(op.decision?.variant == 0)
  }

  private func pointwise() -> OpSpecification {
    let attributes = xfer_conv_attributes(
      struct_size: MemoryLayout<xfer_conv_attributes>.size, stride_h: 1, stride_w: 1, dilation_h: 1, dilation_w: 1, pad_top: 0,
      pad_bottom: 0,
      pad_left: 0, pad_right: 0, groups: 1, has_bias: 0, has_residual: 0, activation: .linear)
    return OpSpecification(
      kind: .conv2D, attributes: .conv(attributes), inputs: [TensorDescription([8, 20, 20, 64]), TensorDescription([1, 1, 64, 96])],
      outputs: [TensorDescription([8, 20, 20, 96])], constants: 0, precision: .float32, label: "pointwise")
  }

  /// A backend that knows more than one variant of the op.
  private func tunable() throws -> Backend? { try Backend.ordered().first { pointwise().variants(on: $0) > 1 } }

  @Test func decisionsOutliveTheProcessAndADamagedFileDoesNot() throws {
    guard let backend = try tunable() else { return print("skipped: no backend here knows several variants") }
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tuner-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = "\(folder)/within/tuned.json"
    let first = Tuner(path: path)
    let record = try #require(first.record(of: pointwise(), backend: backend, packed: 0))
    #expect(record.isOpen)
    while record.isOpen {
      let variant = record.next()
      if record.add(variant, seconds: variant == 1 ? 0.5 : 1) { first.decided() }
    }
    let second = try #require(Tuner(path: path).record(of: pointwise(), backend: backend, packed: 0))
    #expect(second.decision == Tuner.Decision(variant: 1, seconds: 0.5))
    // Other threads, packed inputs or shapes are other ops.
    #expect(Tuner(path: path).record(of: pointwise(), backend: backend, packed: 2)?.isOpen == true)

    let text = try String(contentsOfFile: path, encoding: .utf8)
    for damaged in [
      String(text.prefix(text.count / 2)), "", "[]", text.replacingOccurrences(of: "\"variant\" : 1", with: "\"variant\" : 77"),
    ] {
      try damaged.write(toFile: path, atomically: true, encoding: .utf8)
      #expect(Tuner(path: path).record(of: pointwise(), backend: backend, packed: 0)?.isOpen == true)
    }
  }

  @Test func askingPutsNothingOnTrial() throws {
    guard let backend = try tunable() else { return print("skipped: no backend here knows several variants") }
    let folder = try TemporaryFolder()
    let tuner = Tuner(path: folder.file("tuned.json"))
    #expect(tuner.decidedVariant(of: pointwise(), backend: backend, packed: 0) == 0)
    // All that is on trial is decided with this: it is written down at once.
    let record = try #require(tuner.record(of: pointwise(), backend: backend, packed: 2))
    while record.isOpen { if record.add(record.next(), seconds: record.next() == 1 ? 1 : 2) { tuner.decided() } }
    #expect(FileManager.default.fileExists(atPath: folder.file("tuned.json")))
    let variant = try #require(record.decision).variant
    #expect(Tuner(path: folder.file("tuned.json")).decidedVariant(of: pointwise(), backend: backend, packed: 2) == variant)
  }

  @Test func nothingIsMeasuredWithoutAFileOrForSmallOps() throws {
    guard let backend = try tunable() else { return print("skipped: no backend here knows several variants") }
    #expect(Tuner(path: nil).record(of: pointwise(), backend: backend, packed: 0) == nil)
    let small = OpSpecification(
      kind: .conv2D, attributes: pointwise().attributes, inputs: [TensorDescription([1, 2, 2, 64]), TensorDescription([1, 1, 64, 96])],
      outputs: [TensorDescription([1, 2, 2, 96])], constants: 0, precision: .float32, label: "small")
    #expect(Tuner(path: "/nowhere/tuned.json").record(of: small, backend: backend, packed: 0) == nil)
  }

  @Test func whatIsTriedDoesNotShowInTheBits() throws {
    let input = try Input(shape: [20, 20, 24])
    var x = try Conv2D(filters: 48, kernelSize: 3, padding: .same, activation: .relu)(input)
    x = try SeparableConv2D(filters: 96, kernelSize: (3, 3), padding: .same)(x)
    let model = try Model(input, Conv2D(filters: 70, kernelSize: 1)(x))
    try fill(model, scale: 0.1)
    let graph = Graph()
    let value = graph.input(TensorDescription([8, 20, 20, 24]))
    var options = Plan.Options()
    options.kept = [try model.emit([value], LoweringContext(graph: graph, training: false))]
    let plan = try Plan(graph, options: options)
    let batch = try randomTensor([8, 20, 20, 24], seed: 3)
    var first: [Float]?
    for _ in 0..<16 {
      try plan.run([(value, batch)])
      let got = try plan.read(options.kept[0]).floats
      #expect(got == first ?? got)
      first = got
    }
  }
}
