import ArgumentParser
import Glibc
import Xfer

extension UnfreezeDepth: ExpressibleByArgument {
  public init?(argument: String) {
    guard let depth = try? UnfreezeDepth(argument) else { return nil }
    self = depth
  }
}

/// `--plan`: a file with phases, or the name of a preset.
enum PlanChoice: ExpressibleByArgument {
  case file(String)
  case preset(String)

  init?(argument: String) {
    let isFile = argument.contains("/") || argument.contains(".") || access(argument, F_OK) == 0
    self = isFile ? .file(argument) : .preset(argument)
  }

  func check() throws {
    guard case .preset(let name) = self, !PhasePlan.presets.contains(name) else { return }
    throw ValidationError(
      "--plan '\(name)' is neither a file nor a preset\(hint(name, among: PhasePlan.presets)). "
        + "There are \(PhasePlan.presets.joined(separator: ", ")).")
  }
}
