public import XferCore

/// What happened in training by phases.
public struct PhaseHistory: Sendable {
  public struct Entry: Sendable {
    public let name: String
    /// One number an epoch for each name; epochs count from 0 in each phase.
    public internal(set) var history = History()
    public let trainedParameters: Int
    /// Weights and statistics that were not to move.
    public let frozenWeights: Int
    /// Whether these were found bit-equal at the phase's end.
    public internal(set) var isAudited = false

    /// The numbers of one epoch, in the order in which Keras prints them.
    public func logs(_ epoch: Int) -> Logs {
      var logs = Logs()
      for name in history.names { if let values = history.values[name], values.indices.contains(epoch) { logs.set(name, values[epoch]) } }
      return logs
    }
  }

  public internal(set) var phases: [Entry] = []

  public init() {}

  /// {"phases":[{"name","epochs":[{"loss",...,"seconds"}]}]}.
  public var json: JSONValue {
    [
      "phases": .array(
        phases.map { entry in
          let epochs = entry.history.seconds.indices.map { epoch -> JSONValue in
            var members = entry.logs(epoch).json.objectValue ?? [:]
            members["seconds"] = .double(entry.history.seconds[epoch])
            return .object(members)
          }
          return ["name": .string(entry.name), "epochs": .array(epochs)]
        })
    ]
  }
}
