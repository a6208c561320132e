import ArgumentParser

/// The `xfer` command.
struct XferCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "xfer",
    abstract: "Transfer learning on your own images: train, look at, evaluate and use image classifiers.",
    discussion: """
      A first run, on a folder with one subfolder of images for each class:

        xfer train --base efficientnet-lite0:efficientnet-lite0.safetensors --data photos --out model.keras
        xfer predict model.keras new-photos/

      Results go to stdout, progress and warnings to stderr; --json makes the result one JSON object.
      Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
      """,
    version: "xfer \(xferVersion)",
    subcommands: [
      Train.self, RateFinder.self, Evaluate.self, Predict.self, Summary.self, PlanCommand.self, Convert.self, Bench.self, Plugins.self,
      PluginCheck.self,
    ])
}

/// The numbers of `xfer.h` as text; a test compares the two.
let xferVersion = "0.1.0"
