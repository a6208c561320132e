import ArgumentParser
import CXfer
import Glibc
import Xfer

struct Train: ParsableCommand, ReportsJSON {
  static let configuration = CommandConfiguration(
    abstract: "Train an image classifier on a folder of images, starting from a pretrained network.",
    discussion: """
      The pretrained network (the base) is frozen and a new last layer (the head) is trained on its features: --epochs at \
      --learning-rate. Then the layers --unfreeze names are trained as well, gently: --fine-tune-epochs at --fine-tune-rate. \
      Frozen weights, and the statistics of BatchNormalization, are checked to be bit-equal before and after each phase.

      The folder has one subfolder of JPEG or PNG images for each class:

        photos/cat/1.jpg  photos/cat/2.jpg  photos/dog/1.jpg  ...

        xfer train --base efficientnet-lite0:efficientnet-lite0.safetensors --data photos --out model.keras

      Other plans have more stages: --plan names a preset or a file of phases, as docs/phases.md describes them.

      The saved model takes pixels 0...255 and gives logits: one for each class, or a single one where there are two classes.

      Ctrl-C stops after the current batch and still writes --out and --history, with exit code 130. However a run ends, --resume and \
      the same arguments go on from its checkpoint, to the same bits.
      """)

  @Option(
    help: ArgumentHelp(
      "\(ModelArgument.help) Without WEIGHTS, ImageNet weights are searched in $XFER_WEIGHTS and ~/.keras/models; 'random' draws them.",
      valueName: "model"))
  var base: ModelArgument

  @OptionGroup var source: SourceOptions

  @Option(help: ArgumentHelp("Epochs of the head.", valueName: "n"))
  var epochs = 20

  @Option(help: ArgumentHelp("Epochs of fine-tuning; 0 for none.", valueName: "n"))
  var fineTuneEpochs = 10

  @Option(help: ArgumentHelp("Adam's learning rate for the head.", valueName: "rate"))
  var learningRate = 1e-3

  @Option(help: ArgumentHelp("Adam's learning rate for fine-tuning.", valueName: "rate"))
  var fineTuneRate = 1e-5

  @Option(
    help: ArgumentHelp(
      "What is fine-tuned: all, last:N (layers), last:P%, from:LAYER or none; 'xfer summary' lists layers.", valueName: "layers"))
  var unfreeze = UnfreezeDepth.all

  @Option(
    help: ArgumentHelp(
      """
      Fine-tune by low-rank adaptation: of the layers --unfreeze names, matrices of this rank are trained beside the kernels of convolutions and \
      dense layers, and the base itself stays frozen. It takes a larger --fine-tune-rate, such as 1e-3.
      """, valueName: "rank"))
  var lora: Int?

  @Option(
    help: ArgumentHelp(
      """
      The phases of training: a preset (\(PhasePlan.presets.joined(separator: ", "))), which takes epochs and rates from the options above, or a \
      JSON file of phases, which has its own. (default: head-then-all)
      """, valueName: "plan"))
  var plan: PlanChoice?

  @Option(
    help: ArgumentHelp(
      "Where the frozen network's outputs are kept, so that each image runs through it once: memory, disk or off. The numbers are the same.",
      valueName: "where"))
  var cache = CacheChoice.memory

  @Option(
    help: ArgumentHelp("How they are kept: float32, or bfloat16 in half the room, to which they are rounded then.", valueName: "dtype"))
  var cacheDtype = CacheDType.float32

  @Option(
    help: ArgumentHelp(
      """
      With --augment: how many fixed augmentations an image has while the network is frozen; epoch e trains on number e mod n, and their outputs \
      are kept. (default: augmentation is drawn anew in every epoch, and nothing is kept)
      """, valueName: "n"))
  var cacheVariants: Int?

  @Option(
    help: ArgumentHelp(
      "The most they may take, such as 2GB; what has no room is computed in every epoch. (default: a quarter of the memory, 8 GiB of the disk)",
      valueName: "size"))
  var cacheBytes: ByteCount?

  @Option(
    help: ArgumentHelp(
      """
      The most memory a training step may take with weights, optimizer and intermediate values, such as 1GB: what does not fit is computed twice. The \
      numbers are the same. The batch itself and --cache are not counted.
      """,
      valueName: "size"))
  var memoryBudget: ByteCount?

  @OptionGroup var runtime: RuntimeOptions

  @Option(help: ArgumentHelp("Where to save the model (.keras); the class names are in it.", valueName: "file"))
  var out: String?

  @Option(help: ArgumentHelp("Where to write the numbers of each epoch (JSON).", valueName: "file"))
  var history: String?

  @Option(help: ArgumentHelp("Where to draw the training curves (SVG).", valueName: "file"))
  var curves: String?

  @Option(
    help: ArgumentHelp("Where to write a page with results, curves, every epoch and a drawing of the plan (HTML).", valueName: "file"))
  var report: String?

  @Option(
    help: ArgumentHelp(
      "Where to save what training changed of the pretrained weights alone (.safetensors); 'xfer convert --base' makes the model of it.",
      valueName: "file"))
  var delta: String?

  @Option(
    help: ArgumentHelp(
      "Where training can go on from when it is interrupted; off for nowhere. (default: --out with .checkpoint behind it)",
      valueName: "file"))
  var checkpoint: String?

  @Option(help: ArgumentHelp("Write the checkpoint after so many batches, too, not after epochs alone.", valueName: "n"))
  var checkpointBatches: Int?

  @Flag(help: "Go on from the checkpoint, if there is one.")
  var resume = false

  @OptionGroup var output: OutputOptions

  /// The checkpoint's file, nil for none.
  var checkpointFile: String? {
    if let checkpoint { return checkpoint == "off" ? nil : checkpoint }
    return out.map { $0 + ".checkpoint" }
  }

  func phasePlan() throws -> PhasePlan {
    guard case .file(let path) = plan else {
      var settings: [String: JSONValue] = [
        "epochs": .int(epochs), "learning_rate": .double(learningRate), "fine_tune_epochs": .int(fineTuneEpochs),
        "fine_tune_rate": .double(fineTuneRate), "unfreeze": .string(unfreeze.text),
      ]
      settings["lora"] = lora.map { .int($0) }
      guard case .preset(let name) = plan else { return try .preset("head-then-all", settings: .object(settings)) }
      return try .preset(name, settings: .object(settings))
    }
    return try PhasePlan(JSONValue(parsing: readFile(path), what: path))
  }

  func validate() throws {
    try base.check("--base")
    guard epochs >= 0, fineTuneEpochs >= 0 else { throw ValidationError("--epochs and --fine-tune-epochs are to be 0 or above.") }
    for rate in [learningRate, fineTuneRate] where !(rate > 0 && rate.isFinite) {
      throw ValidationError("--learning-rate and --fine-tune-rate are to be above 0, \(rate) was given.")
    }
    try plan?.check()
    if let lora, lora < 1 { throw ValidationError("--lora is to be a rank above 0, \(lora) was given.") }
    if lora != nil, case .file = plan { throw ValidationError("--lora is for presets: a file of phases has its own 'lora'.") }
    if lora != nil, unfreeze == .none { throw ValidationError("--lora adapts the layers that --unfreeze names, and it names none.") }
    if let delta, !delta.hasSuffix(".safetensors") { throw ValidationError("--delta is to end in .safetensors, '\(delta)' was given.") }
    guard checkpointFile != nil || !resume else { throw ValidationError("--resume wants --out or --checkpoint, to find the checkpoint.") }
    if let checkpointBatches, checkpointBatches < 1 {
      throw ValidationError("--checkpoint-batches is to be above 0, \(checkpointBatches) was given.")
    }
    if let cacheVariants {
      guard cacheVariants > 0 else { throw ValidationError("--cache-variants is to be above 0, \(cacheVariants) was given.") }
      guard source.augment != nil else { throw ValidationError("--cache-variants is for --augment, which was not given.") }
    }
    guard cache != .off || (cacheVariants == nil && cacheDtype == .float32) else {
      throw ValidationError("--cache-dtype and --cache-variants want a cache, --cache is off.")
    }
    if let out, !out.hasSuffix(".keras") { throw ValidationError("--out is to end in .keras, '\(out)' was given.") }
  }

  func run() throws {
    Interrupt.install()
    let files = [
      (out, "--out"), (history, "--history"), (curves, "--curves"), (report, "--report"), (delta, "--delta"),
      (checkpointFile, "--checkpoint"),
    ]
    for (path, option) in files {
      try checkWritable(path, option)
    }
    try runtime.apply()
    RandomSeed.set(UInt64(source.seed))
    var run = try TrainingRun(self)
    do {
      try run.start()
    } catch let error as XferError where error.status == XFER_E_CANCELLED {
      try save(run)
      var message = "interrupted"
      if let out { message += "; the model as it is now was saved to \(out)" }
      if let checkpointFile, access(checkpointFile, F_OK) == 0 { message += "; --resume goes on from \(checkpointFile)" }
      throw XferError(error.status, message)
    }
    try save(run)
    if let checkpointFile { unlink(checkpointFile) }
    if output.json {
      printJSON(run.result.json)
    } else {
      print(run.result.table)
      for (what, path) in [("model", out), ("delta", delta), ("history", history), ("curves", curves), ("report", report)] {
        if let path { print("\(what): \(path)") }
      }
    }
  }

  private func save(_ run: TrainingRun) throws {
    if let out { try run.model.save(out) }
    if let history { try AtomicFile.write(run.result.historyJSON.text(pretty: true) + "\n", to: history) }
    if let curves { try AtomicFile.write(CurvesFigure(run.result).svg, to: curves) }
    if let delta { try run.model.saveDelta(delta) }
    if let report {
      let page = ReportPage(result: run.result, arguments: Array(CommandLine.arguments.dropFirst()), plan: run.result.drawing ?? "")
      try AtomicFile.write(page.html, to: report)
    }
  }
}

/// `--cache`. On disk features stay in `$XFER_CACHE/features`, else `~/.cache/xfer/features`, for the next run.
enum CacheChoice: String, ExpressibleByArgument, CaseIterable { case memory, disk, off }

/// `--cache-dtype`.
enum CacheDType: String, ExpressibleByArgument, CaseIterable { case float32, bfloat16 }

extension Train {
  var caching: FeatureCaching {
    var caching: FeatureCaching =
      switch cache {
      case .memory: .memory(budget: cacheBytes?.bytes)
      case .disk: .disk(budget: cacheBytes?.bytes)
      case .off: .off
      }
    caching.dtype = cacheDtype == .bfloat16 ? .bfloat16 : .float32
    caching.variants = cacheVariants
    return caching
  }
}
