import ArgumentParser
import Xfer

/// What decides where the arithmetic runs.
struct RuntimeOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The backend asked first: auto, simd, onednn, blas, naive or another plugin's name.", valueName: "name"))
  var backend = "auto"

  @Option(
    help: ArgumentHelp(
      "Precision of products, and of images between layers: f32, or bf16 (faster where the CPU has products of it).",
      valueName: "name"))
  var precision = PrecisionArgument.f32

  @Option(help: ArgumentHelp("Threads to compute with; 0 for all cores.", valueName: "n"))
  var threads = 0

  func validate() throws {
    guard (0...256).contains(threads) else { throw ValidationError("--threads is to be from 0 to 256, \(threads) was given.") }
  }

  /// To be called before anything is computed.
  func apply() throws {
    try ThreadPool.shared.setThreadCount(threads)
    try Backend.select(backend)
    Precision.current = precision.value
  }
}

enum PrecisionArgument: String, ExpressibleByArgument, CaseIterable {
  case f32, bf16

  var value: Precision { self == .bf16 ? .bfloat16 : .float32 }
}

/// Height and width, written 224x224 or 224.
struct ImageSize: ExpressibleByArgument, Equatable {
  let height: Int
  let width: Int

  init?(argument: String) {
    let parts = argument.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard (1...2).contains(parts.count), let height = parts[0], let width = parts[parts.count - 1] else { return nil }
    guard (1...16_384).contains(height), (1...16_384).contains(width) else { return nil }
    (self.height, self.width) = (height, width)
  }

  init(height: Int, width: Int) { (self.height, self.width) = (height, width) }

  var text: String { "\(height)x\(width)" }
}
