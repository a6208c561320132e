import CXfer

/// A function of tensors with its gradients: what finite differences are compared with.
///
/// The function's value is Σ w·y for random weights w, so that one backward run with dy = w gives all its derivatives.
struct GradientCheck {
  let inputs: [CaseTensor]
  let description: String
  /// Ops without which the check cannot run.
  let needs: [Case]
  /// The result at some inputs.
  let forward: (Runner, [CaseTensor]) throws(Failure) -> [CaseTensor]
  /// Gradients by input number, from the results and dy.
  let gradients: (Runner, _ y: [CaseTensor], _ dy: CaseTensor) throws(Failure) -> [Int: CaseTensor]
  /// Half the distance of the two points a derivative is measured between.
  var step: Float = 0.01
  /// Relative to the largest derivative of the tensor.
  var tolerance = 5e-3
}

extension GradientCheck {
  /// One forward op and, for some of its inputs, the op whose first output is the gradient.
  ///
  /// A large step is for linear functions, whose differences have nothing but rounding errors.
  init(_ forward: Case, step: Float = 0.01, backward: [Int: (_ y: [CaseTensor], _ dy: CaseTensor) -> Case]) {
    self.init(
      inputs: forward.inputs, description: forward.description, needs: [forward],
      forward: { runner, inputs throws(Failure) in
        var moved = forward
        moved.inputs = inputs
        return try runner.results(moved)
      },
      gradients: { runner, y, dy throws(Failure) in
        var gradients: [Int: CaseTensor] = [:]
        for (input, make) in backward {
          let test = make(y, dy)
          if runner.supports(test) != 0 { gradients[input] = try runner.results(test)[0] }
        }
        return gradients
      }, step: step, tolerance: step > 0.1 ? 1e-5 : 5e-3)
  }
}

extension Runner {
  /// A plain run's outputs as tensors.
  func results(_ test: Case) throws(Failure) -> [CaseTensor] {
    zip(test.outputs, try run(test)).map { desc, bytes in
      var tensor = CaseTensor(desc.dtype, desc.shape, [UInt8]())
      tensor.bytes = bytes
      return tensor
    }
  }
}

/// Runs every gradient check `rounds` times.
func checkGradients(_ runner: Runner, seed: UInt64, rounds: Int, _ options: ConformanceOptions) -> [ConformanceReport.Entry] {
  var entries: [ConformanceReport.Entry] = []
  for (number, maker) in gradientMakers.enumerated() where options.ops.isEmpty || options.ops.contains(maker.name) {
    options.progress?("gradient of \(maker.name)")
    var entry = ConformanceReport.Entry(name: "gradient of \(maker.name)")
    for round in 0..<rounds {
      var random = Random(seed: seed, 1000 + number, round)
      let check = maker.make(&random)
      guard check.needs.allSatisfy({ runner.supports($0) != 0 }) else {
        entry.declined += 1
        continue
      }
      do throws(Failure) {
        entry.worst = max(entry.worst, try measure(check, runner, &random))
        entry.cases += 1
      } catch {
        entry.cases += 1
        entry.failures.append("round \(round): \(check.description): \(error.reason)")
      }
    }
    entries.append(entry)
  }
  return entries
}

/// Up to eight elements of every gradient; the largest error in units of what is tolerated.
private func measure(_ check: GradientCheck, _ runner: Runner, _ random: inout Random) throws(Failure) -> Double {
  let y = try check.forward(runner, check.inputs)
  let dy = CaseTensor(random: &random, y[0].desc.shape)
  let weights = dy.floats
  func value(_ inputs: [CaseTensor]) throws(Failure) -> Double {
    zip(try check.forward(runner, inputs)[0].floats, weights).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }
  // Each element of y is rounded, and that error counts 1/step times; the errors of many elements add up like a random walk.
  let rounding = (y[0].floats.reduce(0) { $0 + Double($1) * Double($1) }).squareRoot() * 1.2e-7 / Double(check.step)

  var worst = 0.0
  for (input, tensor) in try check.gradients(runner, y, dy).sorted(by: { $0.key < $1.key }) {
    let gradient = tensor.floats
    let allowed = check.tolerance * Double(gradient.map(\.magnitude).max() ?? 0) + rounding
    for _ in 0..<8 {
      let place = random.int(0...gradient.count - 1)
      let at = check.inputs[input].floats[place]
      var (above, below) = (check.inputs, check.inputs)
      above[input].floats[place] = at + check.step
      below[input].floats[place] = at - check.step
      let slope = (try value(above) - value(below)) / (Double(at + check.step) - Double(at - check.step))
      let error = (slope - Double(gradient[place])).magnitude
      guard error <= allowed else {
        throw Failure(
          reason: "input \(input), element \(place): gradient \(gradient[place]), finite difference \(slope), tolerated is \(allowed)")
      }
      worst = max(worst, error / allowed)
    }
  }
  return worst
}
