import CXfer
import Foundation
import Testing
import XferCore
@testable import Xfer

@Suite struct LearningRateRangeTests {
  /// A curve that is level up to 1e-4, falls most steeply at 1e-2 and rises from 1 on.
  private func curve(noise: Double) -> LearningRateRange {
    var generator = SplitMix64(seed: 3)
    var range = LearningRateRange()
    for step in 0..<100 {
      let exponent = -6 + 7 * Double(step) / 99
      let loss = 1 - 0.8 / (1 + exp(-4 * (exponent + 2))) + (exponent > 0 ? 3 * exponent * exponent : 0)
      range.rates.append(pow(10, exponent))
      range.losses.append(loss)
      range.rawLosses.append(loss + noise * generator.normal())
    }
    return range
  }

  @Test(arguments: [0, 0.02, 0.05]) func theSuggestionIsWhereTheLossFallsMostSteeply(_ noise: Double) throws {
    let suggestion = try #require(curve(noise: noise).suggestion)
    #expect(abs(log10(suggestion) + 2) < (noise == 0 ? 0.1 : 0.5), "\(suggestion)")
  }

  @Test func risingAndLevelLossesSuggestNothing() {
    var range = LearningRateRange()
    #expect(range.suggestion == nil)
    for step in 0..<20 {
      range.rates.append(pow(10, Double(step) / 4 - 5))
      range.losses.append(1 + Double(step))
      range.rawLosses.append(1 + Double(step))
    }
    #expect(range.suggestion == nil && range.json["suggestion"] == .null)
    #expect(range.svg.contains("learning rate") && !range.svg.contains("suggestion"))
    let found = curve(noise: 0)
    #expect(found.svg.contains("suggestion \(LearningRateRange.text(found.suggestion ?? 0))"))
  }

  @Test func ratesGrowExponentiallyFromEndToEnd() throws {
    var options = RangeTestOptions()
    (options.minRate, options.maxRate, options.steps) = (1e-5, 0.3, 7)
    let rates = (0..<7).map(options.rate)
    #expect(rates[0] == 1e-5 && rates[6] == 0.3)
    #expect(zip(rates, rates.dropFirst()).allSatisfy { abs($1 / $0 - pow(0.3e5, 1 / 6)) < 1e-9 })
    #expect(try RangeTestOptions(["min_rate": 1e-5, "max_rate": 0.3, "steps": 7]) == options)
    #expect(throws: XferError.self) { try RangeTestOptions(["step": 7]) }
  }

  /// The data begins anew where it ends before the steps do; an optimizer that was not built is as before.
  @Test func aFreshOptimizerStaysFresh() throws {
    let model = try Sequential([InputLayer(shape: [3]), Dense(1)])
    try fill(model)
    let trainer = try model.compile(optimizer: Nadam(), loss: MeanSquaredError(), metrics: [])
    let data = try ArrayDataset(x: randomTensor([10, 3], seed: 1), y: randomTensor([10, 1], seed: 2), batchSize: 4, seed: 1)
    var options = RangeTestOptions()
    options.steps = 11
    options.maxRate = 1e-3
    let before = model.weights.map(\.values)
    #expect(try trainer.findLearningRate(data, options: options).rates.count == 11)
    #expect(model.weights.map(\.values) == before && !trainer.optimizer.built && trainer.optimizer.iterations == 0)
    // Allowed before an optimizer is built only.
    try trainer.optimizer.excludeFromWeightDecay(names: ["bias"])
  }
}
