public import CXfer
import Xfer
import XferCore

/// What the range test found, with its drawing.
struct RangeTest {
  let range: LearningRateRange

  var json: JSONValue { .object((range.json.objectValue ?? [:]).merging(["svg": .string(range.svg)]) { $1 }) }
}

@c @implementation public func xfer_trainer_lr_find(
  _ trainer: OpaquePointer?, _ config: UnsafePointer<CChar>?, _ options: UnsafePointer<xfer_fit_options>?,
  _ history: UnsafeMutablePointer<OpaquePointer?>?
) -> xfer_status {
  call {
    try give(history, .history) {
      let trainer = try held(trainer)
      var test = try RangeTestOptions(XferABI.config(config))
      let given = try FitData(options)
      test.cache = try caching(given.options)
      test.classWeight = try given.classWeights()
      // The process' random numbers go on as if nothing had been.
      let (data, _) = try given.training { 0 }
      return RangeTest(range: try trainer.findLearningRate(data, options: test))
    }
  }
}
