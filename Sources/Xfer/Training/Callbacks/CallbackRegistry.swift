public import XferCore

extension Callback {
  private typealias Maker = @Sendable (inout Configuration) throws -> Callback

  private static let makers: [String: Maker] = [
    "EarlyStopping": { try EarlyStopping(config: &$0) },
    "ModelCheckpoint": { try ModelCheckpoint(config: &$0) },
    "ReduceLROnPlateau": { try ReduceLROnPlateau(config: &$0) },
    "CSVLogger": { try CSVLogger(config: &$0) },
    "TerminateOnNaN": { try TerminateOnNaN(config: &$0) },
    "BackupAndRestore": { try BackupAndRestore(config: &$0) },
    "LearningRateScheduler": { try LearningRateScheduler(config: &$0) },
    "TensorBoard": { try TensorBoard(config: &$0) },
  ]

  /// By class name; the config's keys are the arguments of Keras' constructors.
  public static func make(_ className: String, config: JSONValue = [:]) throws -> Callback {
    guard let maker = makers[className] else {
      throw XferError.notFound("unknown callback '\(className)'\(hint(className, among: makers.keys.sorted()))")
    }
    var configuration = try Configuration(config, for: className)
    let callback = try maker(&configuration)
    try configuration.finish()
    return callback
  }
}
