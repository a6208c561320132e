import CXfer

/// What a run of ``checkBackend(_:reference:seed:rounds:options:)`` does beside comparing.
public struct ConformanceOptions: Sendable {
  /// Also run every case with all buffers against pages that cannot be touched. A read or write beyond an end then stops the
  /// process with SIGSEGV; without this, writes are reported and reads show as NaN where they are used.
  public var guardPages = false
  /// Check gradients by finite differences too.
  public var gradients = true
  /// Names of the ops to check; empty for all.
  public var ops: Set<String> = []
  /// Called with each op's name before its cases run.
  public var progress: (@Sendable (String) -> Void)?

  public init() {}
}

/// Compares a backend with the reference on random cases of every op, and its gradients with finite differences.
///
/// Each case runs plainly, twice (equal bits are wanted), with its weights constant and packed, with buffers off their alignment, and
/// with outputs in the place of inputs where the op allows it. Inputs must stay as they are; nothing outside a buffer may be written.
/// Packing must not depend on the batch. A case a backend declines by `supports` is counted and is no failure.
///
/// - Parameters:
///   - plugin: a backend whose `score` was asked already and is above 0.
///   - reference: the backend the results are compared with, entered with the same host.
///   - seed: the same seed gives the same cases.
///   - rounds: cases of each op.
public func checkBackend(
  _ plugin: UnsafePointer<xfer_plugin>, reference: UnsafePointer<xfer_plugin>, seed: UInt64 = 1, rounds: Int = 20,
  options: ConformanceOptions = ConformanceOptions()
) -> ConformanceReport {
  var report = ConformanceReport(plugin: plugin.pointee.name.map { String(cString: $0) } ?? "unnamed", seed: seed)
  guard let runner = Runner(plugin), let reference = Runner(reference) else {
    var entry = ConformanceReport.Entry(name: "plugin table")
    entry.failures = ["the plugin is no backend, or its table is too small"]
    report.entries = [entry]
    return report
  }
  for (op, name) in opNames where options.ops.isEmpty || options.ops.contains(name) {
    options.progress?(name)
    var entry = ConformanceReport.Entry(name: name)
    for round in 0..<rounds {
      var random = Random(seed: seed, op, round)
      var description = ""
      do throws(Failure) {
        let made = try makeCase(op, &random, reference: reference)
        let test = try variation(of: made, runner, &random)
        description = test.description
        guard try isSupported(test, runner) else {
          entry.declined += 1
          continue
        }
        entry.cases += 1
        if test.hasHalves { entry.halves += 1 }
        entry.worst = max(entry.worst, try check(test, runner, reference, options))
      } catch {
        entry.failures.append("round \(round): \(description): \(error.reason)")
      }
    }
    report.entries.append(entry)
  }
  if options.gradients {
    for entry in checkGradients(runner, seed: seed, rounds: max(1, rounds / 4), options) { report.entries.append(entry) }
  }
  return report
}

/// A case as it is run: in float, its factors rounded to bfloat16, or with images of bfloat16 where the backend takes these.
func variation(of made: Case, _ runner: Runner, _ random: inout Random) throws(Failure) -> Case {
  let rounded = random.chance(30) ? made.inBFloat16() : made
  guard random.chance(30), let halves = made.inHalves(&random), try isSupported(halves, runner) else { return rounded }
  return halves
}

func isSupported(_ test: Case, _ runner: Runner) throws(Failure) -> Bool {
  let answer = runner.supports(test)
  guard (0...2).contains(answer) else { throw Failure(reason: "supports gave \(answer)") }
  if runner.supports(test) != answer { throw Failure(reason: "supports gave \(answer) and then another answer") }
  return answer != 0
}

/// Runs one case in every mode; the largest error in units of the tolerance.
private func check(_ test: Case, _ runner: Runner, _ reference: Runner, _ options: ConformanceOptions) throws(Failure) -> Double {
  let expectation = try Expectation(test, reference: reference)
  var worst = 0.0
  func attempt(_ mode: Mode, times: Int = 1) throws(Failure) -> [[UInt8]] {
    do throws(Failure) {
      let got = try runner.run(test, mode, times: times)
      worst = max(worst, try expectation.compare(got))
      return got
    } catch {
      throw Failure(reason: "\(mode.name): \(error.reason)")
    }
  }

  let plain = try attempt(Mode())
  if try attempt(Mode(), times: 2) != plain { throw Failure(reason: "a second execution gave other bits") }
  _ = try attempt(Mode(misaligned: true))
  for alias in test.aliases { _ = try attempt(Mode(alias: alias)) }
  if options.guardPages {
    for page in [GuardPage.end, .start] { _ = try attempt(Mode(guardPage: page)) }
  }
  let packs = test.constants != 0 && runner.packs(test)
  for variant in 1..<max(1, runner.variants(test)) {
    for mode in [Mode(variant: variant)] + (packs ? [Mode(packed: true, variant: variant)] : []) {
      if try attempt(mode) != plain { throw Failure(reason: "\(mode.name) gave other bits than variant 0") }
    }
  }
  guard test.constants != 0 else { return worst }
  _ = try attempt(Mode(constant: true))
  guard runner.packs(test) else { return worst }
  try checkLayout(test, runner)
  _ = try attempt(Mode(packed: true))
  _ = try attempt(Mode(packed: true, misaligned: true))
  if options.guardPages {
    for page in [GuardPage.end, .start] { _ = try attempt(Mode(packed: true, guardPage: page)) }
  }
  return worst
}

/// A layout may not depend on the batch: it is what two plans share packed weights by.
private func checkLayout(_ test: Case, _ runner: Runner) throws(Failure) {
  guard test.inputs[0].desc.rank == 4 || test.op == XFER_OP_MATMUL && test.inputs[0].desc.rank == 2 else { return }
  var larger = test
  if test.op == XFER_OP_MATMUL {
    // The rows of y; where a is transposed they are a's second dimension.
    let rows = test.outputs[0].dims.0 + 3
    if test.attributes.withUnsafeBytes({ $0.loadUnaligned(as: xfer_matmul_attributes.self).transpose_a }) != 0 {
      larger.inputs[0].desc.dims.1 = rows
    } else {
      larger.inputs[0].desc.dims.0 = rows
    }
    larger.outputs[0].dims.0 = rows
  } else {
    larger.inputs[0].desc.dims.0 += 3
    larger.outputs[0].dims.0 += 3
  }
  for i in test.inputs.indices where i > 0 && test.inputs[i].desc.shape == test.outputs[0].shape {
    larger.inputs[i].desc = larger.outputs[0]
  }
  guard runner.supports(larger) != 0 else { return }
  for input in test.inputs.indices where test.constants >> UInt64(input) & 1 == 1 {
    guard let one = runner.packing(test, input), let other = runner.packing(larger, input) else { continue }
    if one != other {
      throw Failure(reason: "input \(input) packs into \(one) and, for another batch, into \(other)")
    }
    let packed = try runner.pack(test, input, bytes: one.bytes, Mode())
    if try runner.pack(larger, input, bytes: one.bytes, Mode()).bytes != packed.bytes {
      throw Failure(reason: "input \(input) packs into other bytes for another batch, under one layout")
    }
  }
}
