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

  /// The plan of a recorded call, with the values to feed and read.
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

  /// Writes a call's graph for a number of rows, or for the inputs as they are; the values to feed and read.
  typealias Lowering = (_ rows: Int?) throws -> (Graph, [ValueID], [ValueID])

  /// A call without a tape.
  private struct Call {
    let whole: SamplePlans.Part
    /// Whether each row is computed for itself; nil until that matters.
    var isSamplewise: Bool?
    let parts: SamplePlans
  }

  private let arenas = Arenas()
  private var calls: [Key: Call] = [:]
  private var idle: [Key: [Entry]] = [:]
  private var order: [Key] = []

  /// The outputs of a call without a tape. All such calls share memory.
  ///
  /// - Parameter rows: the number of samples, where the call may be run for some of them at a time if each is computed for itself.
  func run(_ key: Key, _ inputs: [Tensor], rows: Int? = nil, lower: Lowering) throws -> [Tensor] {
    func make(_ rows: Int?, _ arena: Arena) throws -> SamplePlans.Part {
      let (graph, inputs, outputs) = try lower(rows)
      var options = Plan.Options()
      (options.arena, options.kept) = (arena, outputs)
      return SamplePlans.Part(plan: try Plan(graph, options: options), inputs: inputs, outputs: outputs)
    }
    var call = try calls[key] ?? Call(whole: make(nil, arenas[0]), parts: SamplePlans(arenas: arenas))
    if calls[key] == nil {
      // Shapes that change with every call must not collect plans without end.
      if order.count >= 8 { calls[order.removeFirst()] = nil }
      order.append(key)
    }
    var division: Plan.Division?
    if let rows, !key.training, inputs.allSatisfy({ $0.shape[0] == rows }) { division = call.whole.plan.division(of: rows) }
    if division != nil {
      let isSamplewise = try call.isSamplewise ?? Self.isSamplewise(lower)
      call.isSamplewise = isSamplewise
      if !isSamplewise { division = nil }
    }
    calls[key] = call
    return try division.map { try call.parts.run(inputs, $0, make: make) } ?? call.whole.run(inputs)
  }

  private static func isSamplewise(_ lower: Lowering) throws -> Bool {
    let (graph, inputs, outputs) = try lower(Graph.analysisBatch)
    return graph.losses.isEmpty && graph.isSamplewise(inputs: inputs, outputs: outputs)
  }

  /// A plan for one recorded call: its values must survive until the tape is done, so no two calls share one.
  ///
  /// - Parameter cut: see ``Plan/Options/floats``.
  func exclusive(
    _ key: Key, variables: [Variable], cut: (Graph) throws -> [ValueID] = { _ in [] }, lower: Lowering
  ) throws -> Entry {
    if let entry = idle[key]?.popLast() { return entry }
    let (graph, inputs, outputs) = try lower(nil)
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
