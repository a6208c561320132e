import CXfer
import Foundation
import Testing
import XferCore
@testable import XferGraph
@testable import Xfer

/// What plans do to a graph, and that it does not show in the results.
@Suite struct PlanTests {
  /// A residual block with everything the passes look for.
  private func block() throws -> Model {
    let input = try Input(shape: [9, 8, 6])
    var x = try Conv2D(filters: 8, kernelSize: 3, padding: .same, useBias: false)(input)
    x = try ReLU(maxValue: 6)(BatchNormalization()(x))
    var y = try SeparableConv2D(filters: 8, kernelSize: (3, 3), padding: .same, useBias: false)(x)
    y = try BatchNormalization()(y)
    y = try Activation(.relu)(Add()([y, x]))
    let z = try DepthwiseConv2D(kernelSize: (3, 3), strides: (2, 2), padding: .same, depthMultiplier: 2)(y)
    let model = try Model(input, Dense(3)(GlobalAveragePooling2D()(BatchNormalization()(z))))
    try fill(model)
    return model
  }

  private func plan(_ model: Model, plastic: [Variable]) throws -> (plan: Plan, input: ValueID, output: ValueID) {
    let graph = Graph()
    let input = graph.input(TensorDescription([2, 9, 8, 6]))
    let output = try model.emit([input], LoweringContext(graph: graph, training: false))
    var options = Plan.Options()
    options.plastic = plastic
    options.kept = [output]
    return (try Plan(graph, options: options), input, output)
  }

  @Test func attributesAreComparedByTheirFieldsAlone() {
    // C structures are filled up behind their last field with whatever was in memory.
    func bytes<A>(_ attributes: (A) -> OpAttributes, _ fill: UInt8, _ set: (inout A) -> Void) -> [UInt8] {
      let memory = UnsafeMutableRawPointer.allocate(byteCount: MemoryLayout<A>.size, alignment: MemoryLayout<A>.alignment)
      defer { memory.deallocate() }
      memset(memory, Int32(fill), MemoryLayout<A>.size)
      let place = memory.assumingMemoryBound(to: A.self)
      set(&place.pointee)
      return attributes(place.pointee).bytes
    }
    let unary = [0, 0xFF].map { fill in
      bytes(OpAttributes.unary, fill) { (a: inout xfer_unary_attributes) in (a.struct_size, a.kind) = (16, 3) }
    }
    #expect(unary[0] == unary[1] && unary[0].count == 12)
    let activation = [0, 0xFF].map { fill in
      bytes(OpAttributes.activation, fill) { (a: inout xfer_activation_attributes) in
        (a.struct_size, a.activation, a.saved_is_output) = (32, .linear, 1)
      }
    }
    #expect(activation[0] == activation[1] && activation[0].count == 28)
  }

  /// Images between the ops of a bfloat16 plan are bfloat16, what is read is float32, and both kinds of storage agree within rounding.
  @Test(.enabled(if: availableBackends.contains("simd"), "skipped: no simd plugin"))
  func imagesOfBFloat16PlansAreStoredSo() throws {
    let model = try block()
    let x = try randomTensor([2, 9, 8, 6], seed: 11)
    func plan(_ passes: Plan.Passes) throws -> (plan: Plan, y: [Float]) {
      let graph = Graph(precision: .bfloat16)
      let input = graph.input(x.description)
      let output = try model.emit([input], LoweringContext(graph: graph, training: false))
      var options = Plan.Options()
      (options.kept, options.passes) = ([output], passes)
      let plan = try Plan(graph, options: options)
      try plan.run([(input, x)])
      return (plan, Array(try plan.read(output).float32))
    }
    let (halves, floats) = (try plan(.all), try plan(.all.subtracting(.storeHalves)))
    let stored = halves.plan.report().filter { $0.dtype == .bfloat16 }
    #expect(stored.count >= 3 && stored.allSatisfy { $0.shape.count == 4 }, "\(halves.plan.report().map { ($0.op, $0.dtype) })")
    #expect(stored.contains { $0.shape.last == 16 }, "a depthwise convolution with a multiplier takes them")
    #expect(floats.plan.report().allSatisfy { $0.dtype == .float32 })
    #expect(halves.plan.peakBytes < floats.plan.peakBytes)
    let scale = floats.y.reduce(0) { max($0, $1.magnitude) }
    for (one, other) in zip(halves.y, floats.y) { #expect((one - other).magnitude < 2e-2 * scale) }
    #expect(halves.y != floats.y)
  }

  /// Both halves of a separable convolution in one op give the bits of two.
  @Test(.enabled(if: availableBackends.contains("simd"), "skipped: no simd plugin"))
  func separableConvolutionsAreOneOpWithTheSameBits() throws {
    for (size, channels, filters) in [(9, 40, 24), (21, 8, 70), (5, 900, 33)] {
      let input = try Input(shape: [size, size + 1, channels])
      let convolution = SeparableConv2D(filters: filters, kernelSize: (3, 3), padding: .same)
      let model = try Model(
        input, Activation(.relu)(Add()([convolution(Activation(.relu)(input)), Conv2D(filters: filters, kernelSize: 1)(input)])))
      try fill(model)
      let x = try randomTensor([3, size, size + 1, channels], seed: 7)
      func run(keepingHalf: Bool) throws -> (ops: [OpKind], y: [Float]) {
        let graph = Graph()
        let value = graph.input(x.description)
        let y = try model.emit([value], LoweringContext(graph: graph, training: false))
        var options = Plan.Options()
        // Which is faster is not the question.
        (options.backend, options.kept, options.passes) = ("simd", [y], .all.subtracting(.measure))
        if keepingHalf { options.kept += graph.nodes.filter { $0.kind == .depthwiseConv2D }.map { $0.outputs[0] } }
        let plan = try Plan(graph, options: options)
        try plan.run([(value, x)])
        return (plan.steps.map(\.node.kind), try plan.read(y).floats)
      }
      let (one, two) = (try run(keepingHalf: false), try run(keepingHalf: true))
      #expect(one.ops.contains(.separableConv2D) && !one.ops.contains(.depthwiseConv2D))
      #expect(two.ops.contains(.depthwiseConv2D) && !two.ops.contains(.separableConv2D))
      #expect(one.y == two.y)
    }
  }

  @Test func frozenBatchNormIsFolded() throws {
    let model = try block()
    let folded = try plan(model, plastic: [])
    let plain = try plan(model, plastic: model.weights)
    let ops = folded.plan.report().map(\.op)
    #expect(!ops.contains("scaleShift") && !ops.contains("activation") && !ops.contains("binary") && !ops.contains("normalizeParameters"))
    #expect(plain.plan.report().map(\.op).filter { $0 == "scaleShift" }.count == 3)
    let x = try randomTensor([2, 9, 8, 6], seed: 1)
    try folded.plan.run([(folded.input, x)])
    try plain.plan.run([(plain.input, x)])
    let (a, b) = (try folded.plan.read(folded.output).floats, try plain.plan.read(plain.output).floats)
    #expect(relativeError(a, b) < 1e-5)
  }

  /// A Dense layer over more than rows is a product between two reshapes: what follows it has another shape.
  @Test func productsOfSequencesAreNotFusedAcrossTheirReshapes() throws {
    let input = try Input(shape: [4, 6])
    let normal = try BatchNormalization()(Dense(5)(input))
    let model = try Model(input, Add()([Dense(5)(normal), normal]))
    try fill(model)
    let x = try randomTensor([3, 4, 6], seed: 2)
    let rows = try Tensor(x.floats, shape: [12, 6])
    let flat = try Input(shape: [6])
    let flatNormal = try BatchNormalization()(Dense(5)(flat))
    let reference = try Model(flat, Add()([Dense(5)(flatNormal), flatNormal]))
    for (weight, value) in zip(reference.weights, model.weights) { try weight.assign(Tensor(value.values, shape: value.shape)) }
    #expect(relativeError(try model(x).floats, try reference(rows).floats) < 1e-5)
  }

  /// ZeroPadding2D before a convolution costs nothing: losses and weights of training are the bits of padding 'same'.
  @Test func zerosAroundImagesArePaddingOfTheConvolution() throws {
    func train(explicit: Bool) throws -> (ops: [String], fused: [String], result: [[Float]]) {
      let input = try Input(shape: [9, 8, 5])
      func padded(_ x: SymbolicTensor) throws -> SymbolicTensor { explicit ? try ZeroPadding2D()(x) : x }
      let padding: Padding = explicit ? .valid : .same
      let x = try Conv2D(filters: 8, kernelSize: 3, padding: padding)(padded(input))
      let y = try DepthwiseConv2D(kernelSize: (3, 3), padding: padding)(padded(Activation(.relu)(x)))
      let model = try Model(input, Dense(3)(GlobalAveragePooling2D()(y)))
      try fill(model)
      try model.compile(optimizer: SGD(learningRate: 0.1), loss: SparseCategoricalCrossentropy(fromLogits: true))
      let batch = Batch(x: try randomTensor([4, 9, 8, 5], seed: 3), y: try Tensor(labels: [0, 2, 1, 1]))
      let losses = try (0..<3).map { _ in [Float(try #require(model.trainOnBatch(batch)["loss"]))] }
      let report = try #require(model.trainer).plan(batchSize: 4).report()
      return (report.map(\.op), report.flatMap(\.fusedFrom), losses + model.weights.map(\.values))
    }
    let (explicit, same) = (try train(explicit: true), try train(explicit: false))
    #expect(explicit.ops == same.ops && !explicit.ops.contains("pad") && !explicit.ops.contains("slice"))
    #expect(explicit.fused.contains { $0.hasPrefix("zero_padding2d") } && !same.fused.contains { $0.hasPrefix("zero_padding2d") })
    #expect(explicit.result == same.result)
  }

  /// Zeros of whatever sides give what padding on its own gives; those as wide as the window stay an op.
  @Test func zerosOfAnySideGiveWhatPaddingGives() throws {
    for (zeros, window, ops) in [(((1, 0), (0, 2)), 3, 0), (((3, 0), (0, 0)), 3, 1), (((4, 4), (4, 4)), 1, 1), (((0, 1), (2, 1)), 4, 0)] {
      let x = try randomTensor([2, 7, 6, 3], seed: 5)
      let input = try Input(shape: [7, 6, 3])
      let convolution = Conv2D(filters: 4, kernelSize: (window, window), strides: (2, 2), padding: .valid)
      let whole = try Model(input, convolution(ZeroPadding2D(padding: zeros)(input)))
      try fill(whole)
      let around = try Model(input, ZeroPadding2D(padding: zeros)(input))
      let padded = try around(x)
      let inner = try Input(shape: Array(padded.shape.dropFirst()))
      let expected = try Model(inner, convolution(inner))(padded).floats
      #expect(relativeError(try whole(x).floats, expected) < 1e-6, "zeros \(zeros), window \(window)")
      let graph = Graph()
      let value = graph.input(x.description)
      var options = Plan.Options()
      options.kept = [try whole.emit([value], LoweringContext(graph: graph, training: false))]
      let made = try Plan(graph, options: options).report().map(\.op)
      #expect(made.filter { $0 == "pad" }.count == ops, "zeros \(zeros), window \(window): \(made)")
    }
  }

  /// A border that is read by something else, or kept, stays beside the convolution that has it; one that is not of zeros stays before it.
  @Test(arguments: [(value: Float(0), isRead: false, isKept: true), (0, true, false), (0, false, false), (2, false, false)])
  func bordersThatAreNotOnlyTheConvolutionsStay(_ value: Float, isRead: Bool, isKept: Bool) throws {
    let graph = Graph()
    let image = graph.input(TensorDescription([1, 4, 4, 1]))
    graph.label = "border"
    let padded = graph.pad(image, before: [0, 1, 1, 0], after: [0, 1, 1, 0], value: value)
    graph.label = "sum"
    let y = try graph.conv2D(padded, graph.constant(Tensor([Float](repeating: 1, count: 9), shape: [3, 3, 1, 1])))
    var options = Plan.Options()
    options.kept = [y]
    if isKept { options.kept.append(padded) }
    if isRead { options.kept.append(try graph.pool2D(padded, average: true, window: (6, 6), strides: (1, 1), padding: .valid)) }
    let plan = try Plan(graph, options: options)
    let report = plan.report()
    let stays = value != 0 || isRead || isKept
    #expect(report.contains { $0.op == "pad" } == stays)
    #expect(report.contains { $0.fusedFrom == ["border"] } == !stays)
    try plan.run([(image, Tensor([Float](repeating: 1, count: 16), shape: [1, 4, 4, 1]))])
    let sums = try plan.read(y).floats
    #expect(sums[0] == 4 + 5 * value && sums[1] == 6 + 3 * value && sums[5] == 9)
    if isKept { #expect(try plan.read(padded).floats[0] == value) }
    if isRead { #expect(try plan.read(options.kept[1]).floats == [Float(16) / 36]) }
  }

  @Test func changedWeightsAreSeenByTheNextRun() throws {
    let model = try block()
    let x = try randomTensor([2, 9, 8, 6], seed: 1)
    let before = try model(x).floats
    let gamma = try #require(model.weights.first { $0.name == "gamma" })
    let kept = gamma.values
    try gamma.assign(Tensor(kept.map { $0 * 2 }))
    let doubled = try model(x).floats
    #expect(doubled != before)
    try gamma.assign(Tensor(kept))
    let restored = try model(x).floats
    #expect(restored == before, "the exact weights come back after folding")
  }

  @Test func gradientsRunOnlyTowardsTrainableWeights() throws {
    let model = try block()
    model.trainable = false
    let head = try #require(model.layers.last)
    model.setOwnTrainable(true)
    head.trainable = true
    try model.compile(optimizer: Adam(), loss: SparseCategoricalCrossentropy(fromLogits: true))
    let report = try #require(model.trainer).plan(batchSize: 2).report()
    let backward = report.filter { $0.phase == .backward }.map(\.layer)
    #expect(Set(backward).isSubset(of: [head.name, "sparse_categorical_crossentropy"]))
    #expect(report.filter { $0.phase == .update }.count == 2)
    #expect(!report.map(\.op).contains("scaleShift"), "the frozen part is folded")
  }

  @Test func plansShareMemoryBetweenValues() throws {
    let model = try block()
    let folded = try plan(model, plastic: [])
    let all = folded.plan.report().reduce(0) { $0 + $1.shape.reduce(4, *) }
    #expect(folded.plan.peakBytes < all + 4096 * 64)
    // A result must not depend on what the shared memory held before.
    let x = try randomTensor([2, 9, 8, 6], seed: 1)
    try folded.plan.run([(folded.input, x)])
    let first = try folded.plan.read(folded.output).floats
    try folded.plan.run([(folded.input, try randomTensor([2, 9, 8, 6], seed: 2, scale: 100))])
    try folded.plan.run([(folded.input, x)])
    let again = try folded.plan.read(folded.output).floats
    #expect(again == first)
  }

  /// Every backend gives what Naive gives, forward and backward, on odd shapes.
  @Test(arguments: availableBackends) func backendsAgree(_ backend: String) throws {
    func losses(_ name: String) throws -> [Float] {
      let model = try block()
      let (x, y) = (try randomTensor([3, 9, 8, 6], seed: 4), try Tensor(labels: [0, 2, 1]))
      let graph = Graph()
      let (input, labels) = (graph.input(x.description), graph.input(y.description))
      let scores = try model.emit([input], LoweringContext(graph: graph, training: true))
      let loss = try SparseCategoricalCrossentropy(fromLogits: true).total(labels, scores, weights: nil, graph)
      var options = Plan.Options()
      (options.backend, options.plastic, options.kept) = (name, model.trainableWeights, [loss])
      try graph.differentiate(seeds: [(loss, graph.scalar(1))], wanted: model.trainableWeights.map { graph.variable($0) }) {
        if let gradient = $1 { options.kept.append(gradient) }
      }
      let plan = try Plan(graph, options: options)
      try plan.run([(input, x), (labels, y)])
      return try options.kept.flatMap { try plan.read($0).floats }
    }
    let (given, wanted) = (try losses(backend), try losses("naive"))
    #expect(relativeError(given, wanted) < 1e-5)
  }
}
