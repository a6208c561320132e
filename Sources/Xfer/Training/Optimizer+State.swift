public import XferCore
public import XferGraph

extension Optimizer {
  /// Everything that `fit` changes, in Keras' order and with its names: iteration, learning rate (unless a schedule gives it), moving
  /// averages, gathered gradients, slots.
  ///
  /// The tensors of averages, gradients and slots are the optimizer's own memory; iteration (int64) and learning rate are copies.
  /// Empty before the optimizer is built, but for the first two.
  public var stateVariables: [(name: String, tensor: Tensor)] {
    get throws {
      let iteration = try Tensor(zeros: [], dtype: .int64)
      iteration.data.storeBytes(of: Int64(rawIterations), as: Int64.self)
      var state = [("iteration", iteration)]
      if schedule == nil { state.append(("learning_rate", try Tensor([Float(constantRate)], shape: []))) }
      let kept = order.compactMap { variable in entries[ObjectIdentifier(variable)].map { (variable, $0) } }
      func named(_ variable: Variable, _ what: String, _ tensor: Tensor) -> (String, Tensor) {
        (String(variable.path.map { $0 == "/" ? "_" : $0 }) + "_\(what)", tensor)
      }
      state += kept.compactMap { variable, entry in entry.average.map { named(variable, "average", $0) } }
      state += kept.compactMap { variable, entry in entry.gathered.map { named(variable, "gradient_accumulator", $0) } }
      let names = slotNames
      for group in slotGroups {
        for (variable, entry) in kept {
          for name in group { if let index = names.firstIndex(of: name) { state.append(named(variable, name, entry.slots[index])) } }
        }
      }
      return (state + (built ? extraState : [])).map { ("\(name)/\($0.0)", $0.1) }
    }
  }

  /// Replaces the state by values in the order of ``stateVariables``. Count and shapes are checked before anything changes.
  public func setState(_ values: [Tensor]) throws {
    let state = try stateVariables
    guard values.count == state.count else {
      throw XferError.invalid("\(name) has \(state.count) state variables, \(values.count) values were given")
    }
    for (value, variable) in zip(values, state) where value.shape != variable.tensor.shape {
      throw XferError.shape("'\(variable.name)' has shape \(variable.tensor.shape), a value of shape \(value.shape) was given")
    }
    for index in values.indices { try setState(index, values[index]) }
  }

  /// Replaces one variable of ``stateVariables``.
  public func setState(_ index: Int, _ value: Tensor) throws {
    let state = try stateVariables
    guard state.indices.contains(index) else {
      throw XferError.invalid("\(name) has \(state.count) state variables, there is no number \(index)")
    }
    let (label, tensor) = state[index]
    guard value.shape == tensor.shape else {
      throw XferError.shape("'\(label)' has shape \(tensor.shape), a value of shape \(value.shape) was given")
    }
    if index == 0 {
      let steps = value.dtype == .int64 ? value.data.loadUnaligned(as: Int64.self) : Int64(value.floats[0])
      guard steps >= 0 else { throw XferError.invalid("'\(label)' is to be 0 or above, \(steps) was given") }
      rawIterations = UInt64(steps)
    } else if index == 1, schedule == nil {
      let rate = value.floats[0]
      guard rate.isFinite, rate >= 0 else { throw XferError.invalid("'\(label)' is to be 0 or above, \(rate) was given") }
      // The rate is a Float in the state; where it says the same, nothing of ours is rounded away.
      if Float(constantRate) != rate { constantRate = Double(rate) }
    } else {
      let numbers = try value.converted(to: .float32)
      tensor.data.copyMemory(from: numbers.data, byteCount: tensor.byteCount)
    }
  }

  /// Elements of all state for weights of `elements` elements in all, iteration and rate included.
  func stateCount(elements: Int) -> Int {
    let copies = slotNames.count + (options.useEMA ? 1 : 0) + (options.gradientAccumulationSteps == nil ? 0 : 1)
    return copies * elements + (schedule == nil ? 2 : 1)
  }

  /// Elements of all slots.
  public var slotCount: Int { entries.values.reduce(0) { $0 + $1.slots.reduce(0) { $0 + $1.count } } }
}
