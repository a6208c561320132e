import CXfer
import Synchronization
import XferCore

/// Mistakes that train without an error and end badly, named once with what to do instead.
enum Lint {
  /// What a model is warned of once.
  enum Finding: Hashable {
    case threshold, silentAugmentation, batchStatistics, fastFineTuning, labels, idleAdapters
  }

  /// What the process was warned of once.
  private static let said = Mutex<Set<String>>([])

  static func warn(_ message: String) { log(Int32(XFER_LOG_WARNING), message) }

  /// Warns, the first time in this process.
  static func warnOnce(_ message: String) {
    if said.withLock({ $0.insert(message).inserted }) { warn(message) }
  }

  /// "'a', 'b' and 3 more".
  static func list(_ names: [String]) -> String {
    names.prefix(2).map { "'\($0)'" }.joined(separator: ", ") + (names.count > 2 ? " and \(names.count - 2) more" : "")
  }
}

extension Model {
  /// Warns, the first time for this model.
  func warnOnce(_ finding: Lint.Finding, _ message: @autoclosure () -> String) {
    if warned.insert(finding).inserted { Lint.warn(message()) }
  }

  /// Every call of a layer within, nested ones included: the layer, whether `training` was given to it or comes from the calls around it, and its
  /// value when this model is called with `training`.
  func forEachCall(training: Bool, _ body: (_ layer: Layer, _ isExplicit: Bool, _ training: Bool) -> Void) {
    for node in nodes {
      let inner = node.training ?? training
      body(node.layer, node.training != nil, inner)
      (node.layer as? Model)?.forEachCall(training: inner, body)
    }
  }
}
