import Synchronization
import CXfer
import XferCore

extension Plan {
  /// Seconds one run will take: the sum of what each op takes on memory made for the purpose. Nothing of the plan's own is read or written.
  ///
  /// Equal ops are measured once in a process, with the present number of threads. Functions of the program's own count as nothing.
  /// - Throws: what a kernel throws; `XFER_E_OUT_OF_MEMORY` when there is no memory for the largest op.
  public func forecastSeconds() throws -> Double {
    try steps.reduce(0) { sum, step in try sum + (step.kernel.measured.map(OpRates.seconds) ?? 0) }
  }

  /// Multiplications and additions of one run.
  public var flops: Double { steps.reduce(0) { $0 + graph.flops($1.node) } }
}

/// What ops take here.
private enum OpRates {
  private static let known = Mutex<[Digest: Double]>([:])

  static func seconds(of measured: MeasuredOp) throws -> Double {
    let key = measured.key
    if let seconds = known.withLock({ $0[key] }) { return seconds }
    let timing = try OpTiming(measured)
    _ = try timing.run()
    // The median: a real run is disturbed like any other.
    let seconds = try (0..<5).map { _ in try timing.run() }.sorted()[2]
    known.withLock { $0[key] = seconds }
    return seconds
  }
}
