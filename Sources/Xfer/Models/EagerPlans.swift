import XferCore
import XferGraph

/// Plans made for calls on data, kept by the shapes and flags they were made for.
final class EagerPlans {
  struct Key: Hashable {
    var inputs: [TensorDescription]
    var training: Bool
    /// For which inputs, and whether for weights, gradients can be asked; nil without a tape.
    var taped: [Bool]?
    var flags: [Bool]
    /// The call arguments as text.
    var arguments = ""
    var backend: UInt64
    var precision: Precision
    /// The state of all layers' configs, which may be changed.
    var settings = Layer.settingsGeneration
  }

  /// A plan with the values to feed and read.
  final class Entry {
    let plan: Plan
    let inputs: [ValueID]
    let outputs: [ValueID]
    /// The gradients that come in, one an output, and those that go out.
    let seeds: [ValueID]
    let inputGradients: [ValueID?]
    let weightGradients: [(variable: Variable, gradient: ValueID)]

    init(
      plan: Plan, inputs: [ValueID], outputs: [ValueID], seeds: [ValueID], inputGradients: [ValueID?],
      weightGradients: [(Variable, ValueID)]
    ) {
      (self.plan, self.inputs, self.outputs, self.seeds) = (plan, inputs, outputs, seeds)
      (self.inputGradients, self.weightGradients) = (inputGradients, weightGradients)
    }
  }

  private let arena = Arena()
  private var plans: [Key: Entry] = [:]
  private var idle: [Key: [Entry]] = [:]
  private var order: [Key] = []
  private var samplewise: [Key: Bool] = [:]

  /// The plan for a call without a tape: one a key, all in one block of memory.
  func shared(_ key: Key, make: () throws -> (Graph, [ValueID], [ValueID])) throws -> Entry {
    if let known = plans[key] { return known }
    let (graph, inputs, outputs) = try make()
    var options = Plan.Options()
    options.arena = arena
    options.kept = outputs
    let entry = Entry(
      plan: try Plan(graph, options: options), inputs: inputs, outputs: outputs, seeds: [], inputGradients: [], weightGradients: [])
    // Shapes that change with every call must not collect plans without end.
    if order.count >= 8 {
      let oldest = order.removeFirst()
      (plans[oldest], samplewise[oldest]) = (nil, nil)
    }
    plans[key] = entry
    order.append(key)
    return entry
  }

  /// How many rows of a call are run at a time: all, unless each is computed for itself and together they would take much memory.
  ///
  /// - Parameter lower: writes the call for another number of rows.
  func rowsAtATime(_ key: Key, _ entry: Entry, lower: (Int) throws -> (Graph, [ValueID], [ValueID])) throws -> Int {
    let rows = key.inputs[0].shape[0]
    let part = entry.plan.rowsAtATime(of: rows)
    guard part < rows, !key.training, key.inputs.allSatisfy({ $0.shape[0] == rows }) else { return rows }
    if let known = samplewise[key] { return known ? part : rows }
    let (graph, inputs, outputs) = try lower(Graph.analysisBatch)
    let isSamplewise = graph.losses.isEmpty && graph.isSamplewise(inputs: inputs, outputs: outputs)
    samplewise[key] = isSamplewise
    return isSamplewise ? part : rows
  }

  /// A plan for one recorded call: its values must survive until the tape is done, so no two calls share one.
  ///
  /// - Parameter cut: see ``Plan/Options/floats``.
  func exclusive(
    _ key: Key, variables: [Variable], cut: (Graph) throws -> [ValueID] = { _ in [] }, make: () throws -> (Graph, [ValueID], [ValueID])
  ) throws -> Entry {
    if let entry = idle[key]?.popLast() { return entry }
    let (graph, inputs, outputs) = try make()
    let cut = try cut(graph)
    let seeds = outputs.map { graph.input(TensorDescription(graph.shape($0))) }
    let wantedInputs = zip(inputs, key.taped ?? []).filter(\.1).map(\.0)
    var gradients: [ValueID: ValueID] = [:]
    let wanted = variables.map { graph.variable($0) } + wantedInputs
    try graph.differentiate(seeds: zip(outputs, seeds).map { ($0, $1) }, wanted: wanted) { value, gradient in
      if let gradient { gradients[value] = gradient }
    }
    var options = Plan.Options()
    options.plastic = variables
    // Gradients may be asked for again, of another target: the backward half must not write over what it reads.
    (options.kept, options.lasting) = (outputs + gradients.values, graph.valuesForBackward())
    options.floats = cut
    return Entry(
      plan: try Plan(graph, options: options), inputs: inputs, outputs: outputs, seeds: seeds, inputGradients: inputs.map { gradients[$0] },
      weightGradients: variables.compactMap { variable in gradients[graph.variable(variable)].map { (variable, $0) } })
  }

  func giveBack(_ entry: Entry, _ key: Key) { idle[key, default: []].append(entry) }
}
