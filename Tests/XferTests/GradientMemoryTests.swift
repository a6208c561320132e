import Testing
import XferGraph
@testable import Xfer

/// A gradient lives until its weight is updated, not until the end of the step.
@Suite struct GradientMemoryTests {
  /// Twelve products of 512 × 512: a megabyte of gradient each, next to activations of a few kilobytes.
  private func peak(_ optimizer: Optimizer) throws -> (bytes: Int, gradients: Int) {
    let input = try Input(shape: [512])
    var x = input
    for _ in 0..<12 { x = try Dense(512, activation: .tanh)(x) }
    let model = try Model(input, Dense(1)(x))
    try model.compile(optimizer: optimizer, loss: MeanSquaredError())
    return (try model.plan(batchSize: 4, training: true).peakBytes, model.trainableWeights.reduce(0) { $0 + $1.count * 4 })
  }

  private func clipped(_ set: (inout OptimizerOptions) -> Void) -> OptimizerOptions {
    var options = OptimizerOptions()
    set(&options)
    return options
  }

  @Test func gradientsGoAsSoonAsTheirWeightsMove() throws {
    for optimizer in [try SGD(), try SGD(momentum: 0.9), try Adam()] as [Optimizer] {
      let (bytes, gradients) = try peak(optimizer)
      #expect(bytes < gradients / 4, "\(optimizer.name): \(bytes) bytes at most, all gradients are \(gradients)")
    }
    // Each norm by itself: no need to wait for the others.
    let (bytes, gradients) = try peak(SGD(options: clipped { $0.clipnorm = 1 }))
    #expect(bytes < gradients / 2)
  }

  @Test func clippingByTheNormOfAllNeedsAll() throws {
    let options = clipped { $0.globalClipnorm = 1 }
    for optimizer in [try SGD(options: options), try Adam(options: options)] as [Optimizer] {
      let (bytes, gradients) = try peak(optimizer)
      #expect(bytes >= gradients, "\(optimizer.name): \(bytes) bytes at most, all gradients are \(gradients)")
    }
  }
}
