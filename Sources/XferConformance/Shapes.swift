public import CXfer

/// Runs a backend on many random cases of every op with each buffer, the workspace and packed inputs too, against a page that cannot be
/// touched: once at its end and once at its start. Memory the backend asks the host for ends at such a page.
///
/// A read or write outside a buffer stops the process, after a line on the standard error that names op, shapes, seed and buffer. Outputs
/// are NaN before. Results are compared with the reference; where memory lies may not show in a single bit. Constants run plainly and
/// packed, outputs take the place of inputs where the op allows it. Each case has a number of threads of its own, and sometimes the number
/// grows between preparing and running.
///
/// - Parameters:
///   - plugin: a backend entered with `host`, whose `score` was asked already and is above 0.
///   - reference: the backend the results are compared with, entered with the same host.
///   - shapes: cases of each op.
public func checkShapes(
  _ plugin: UnsafePointer<xfer_plugin>, host: ConformanceHost, reference: UnsafePointer<xfer_plugin>, seed: UInt64 = 1, shapes: Int = 100,
  options: ConformanceOptions = ConformanceOptions()
) -> ConformanceReport {
  var report = ConformanceReport(plugin: plugin.pointee.name.map { String(cString: $0) } ?? "unnamed", seed: seed)
  guard let runner = Runner(plugin, host: host), let reference = Runner(reference) else { return report }
  let told = host.count
  defer { host.tellsOf(threads: told) }
  for (op, name) in opNames where options.ops.isEmpty || options.ops.contains(name) {
    options.progress?("\(name) between guard pages")
    var entry = ConformanceReport.Entry(name: "\(name) between guard pages")
    for shape in 0..<shapes where entry.failures.count < mostFailures {
      // Other cases than those of the rounds.
      var random = Random(seed: seed, op, 1_000_000 + shape)
      var description = ""
      do throws(Failure) {
        let made = try makeCase(op, &random, reference: reference)
        let test = try variation(of: made, runner, &random)
        description = "\(name), shape \(shape) of seed \(seed): \(test.description)"
        guard try isSupported(test, runner) else {
          entry.declined += 1
          continue
        }
        entry.cases += 1
        if test.hasHalves { entry.halves += 1 }
        entry.worst = max(entry.worst, try checkEnds(test, description, runner, host, reference, &random))
      } catch {
        entry.failures.append("\(description): \(error.reason)")
      }
    }
    report.entries.append(entry)
  }
  return report
}

/// A backend that fails everywhere need not say so a thousand times.
private let mostFailures = 20

private func checkEnds(
  _ test: Case, _ description: String, _ runner: Runner, _ host: ConformanceHost, _ reference: Runner, _ random: inout Random
) throws(Failure) -> Double {
  let expectation = try Expectation(test, reference: reference)
  let threads = random.pick([1, 2, 2, 3, 4, 7])
  let later = random.chance(10) ? threads + random.int(1...3) : threads
  let aliases = test.aliases.isEmpty ? [:] : random.pick(test.aliases)
  var worst = 0.0
  func attempt(_ mode: Mode) throws(Failure) -> [[UInt8]] {
    var mode = mode
    mode.threads = (threads, later)
    FaultReport.say("\(description), \(mode.name)")
    do throws(Failure) {
      let outcome = FaultReport.during {
        host.guardingMemory { Result { () throws(Failure) in try runner.run(test, mode) } }
      }
      let got = try outcome.get()
      worst = max(worst, try expectation.compare(got))
      return got
    } catch {
      throw Failure(reason: "\(mode.name): \(error.reason)")
    }
  }

  let end = try attempt(Mode(guardPage: .end))
  if try attempt(Mode(guardPage: .start)) != end { throw Failure(reason: "the bits depend on where the buffers lie") }
  for variant in 1..<max(1, runner.variants(test)) {
    if try attempt(Mode(guardPage: .end, variant: variant)) != end {
      throw Failure(reason: "variant \(variant) gave other bits than variant 0")
    }
  }
  if !aliases.isEmpty { _ = try attempt(Mode(guardPage: .end, alias: aliases)) }
  if runner.packs(test) {
    let packed = try attempt(Mode(packed: true, guardPage: .end))
    if try attempt(Mode(packed: true, guardPage: .start)) != packed {
      throw Failure(reason: "packed constants: the bits depend on where the buffers lie")
    }
    for variant in 1..<max(1, runner.variants(test)) {
      if try attempt(Mode(packed: true, guardPage: .end, variant: variant)) != packed {
        throw Failure(reason: "variant \(variant), packed constants: other bits")
      }
    }
  }
  return worst
}
