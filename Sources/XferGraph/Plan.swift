import Glibc
import CXfer
public import XferCore

/// A graph made ready to run: passes applied, kernels chosen and prepared, memory placed.
///
/// A run allocates nothing. Weights may change between runs: what was folded or packed from them is made anew then.
public final class Plan {
  public struct Options {
    /// Backend to ask first; nil for the process' choice.
    public var backend: String?
    /// Weights that change between runs and are therefore not folded or packed.
    public var plastic: [Variable] = []
    /// Weights that this plan may fold, since others move them between its runs, but not into what is frozen.
    public var moving: Set<ObjectIdentifier> = []
    /// Memory shared with other plans that never run at the same time.
    public var arena: Arena?
    /// Values to be left in place for reading after the run.
    public var kept: [ValueID] = []
    /// Values to be left in place for a later part of the plan.
    public var lasting: [ValueID] = []
    /// Values that are float32 whatever the precision: another plan that is to give the same bits reads them from outside.
    public var floats: [ValueID] = []
    /// Bytes that intermediate values, workspace and what is made of frozen weights may take; nil for what is fastest.
    public var memoryBudget: Int?
    /// Tests leave some out, to compare.
    package var passes = Passes.all
    public init() {}
  }

  /// The passes that make a plan cheaper and leave its results as they are.
  package struct Passes: OptionSet, Sendable {
    package let rawValue: Int
    package init(rawValue: Int) { self.rawValue = rawValue }
    package static let foldFrozenBatchNorm = Passes(rawValue: 1)
    package static let recompute = Passes(rawValue: 2)
    package static let fuse = Passes(rawValue: 4)
    package static let fuseSeparable = Passes(rawValue: 8)
    /// Leaves separable convolutions in two ops where the tuner finds that faster.
    package static let measure = Passes(rawValue: 16)
    /// With products of bfloat16, images between the ops too.
    package static let storeHalves = Passes(rawValue: 32)
    package static let all: Passes = [.foldFrozenBatchNorm, .recompute, .fuse, .fuseSeparable, .measure, .storeHalves]
  }

  struct Step {
    let node: Node
    let kernel: Kernel
    let slot: Int
  }

  /// A step as a run needs it: copying one counts no references. ``steps`` keeps the kernels.
  private struct Launch {
    unowned(unsafe) let kernel: Kernel
    let inputs: Int
    let outputs: Int
    let isBackward: Bool
  }

  let graph: Graph
  let steps: [Step]
  private let launches: [Launch]
  private let constants: ConstantFolder
  private let memory: MemoryPlan
  private let arena: Arena
  private let kept: Set<ValueID>
  private let workspaceBytes: Int
  /// Inputs and outputs of all steps, one after another.
  private let pointers: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>
  private var boundBase: UnsafeMutableRawPointer?
  private var boundVersions: [UInt64] = []
  private var boundConstants: [UInt64] = []
  private var inputSlots: [ValueID: [Int]] = [:]
  /// What the last run was fed: an output may be an input itself.
  private var given: [ValueID: Tensor] = [:]
  private let variables: [Variable]
  /// Weights this plan writes, and those whose values went into its constants.
  private let written: [Variable]
  private let fixed: [Variable]

  /// The passes run on `graph` itself, or, with a budget, on copies of it.
  /// - Throws: `XFER_E_OUT_OF_MEMORY` where no way to run keeps within the budget.
  public init(_ graph: Graph, options: Options) throws {
    let plastic = Set(options.plastic.map { ObjectIdentifier($0) })
    let kept = Set((options.kept + options.lasting).map { graph.root($0) })
    let floats = Set((options.kept + options.floats).map { graph.root($0) })
    let backends = try Backend.ordered(preferring: options.backend)
    let passes = options.passes
    graph.dropUnreadPadding(keeping: kept.union(floats))
    if passes.contains(.foldFrozenBatchNorm) { try graph.foldFrozenBatchNorm(plastic: plastic, moving: options.moving, keeping: kept) }
    let draft = try PlanDraft.within(
      options.memoryBudget, graph, PlanDraft.Wishes(plastic: plastic, kept: kept, floats: floats, backends: backends, passes: passes))
    let graph = draft.graph
    (self.graph, self.kept, constants, memory, workspaceBytes) = (graph, kept, draft.constants, draft.memory, draft.workspace)
    arena = options.arena ?? Arena()
    var slots = 0
    var steps: [Step] = []
    for (node, kernel) in draft.steps {
      steps.append(Step(node: node, kernel: kernel, slot: slots))
      slots += node.inputs.count + node.outputs.count
    }
    self.steps = steps
    launches = steps.map {
      Launch(kernel: $0.kernel, inputs: $0.slot, outputs: $0.slot + $0.node.inputs.count, isBackward: $0.node.phase == .backward)
    }
    pointers = .allocate(capacity: max(slots, 1))
    pointers.initialize(repeating: nil)
    variables = graph.values.compactMap { if case .variable(let variable) = $0.source { variable } else { nil } }
    written = variables.filter { graph.updated.contains(ObjectIdentifier($0)) }
    fixed = variables.filter { !graph.updated.contains(ObjectIdentifier($0)) && !plastic.contains(ObjectIdentifier($0)) }
  }

  deinit { pointers.deallocate() }

  public var precision: Precision { graph.precision }

  /// Bytes of intermediate values and workspace.
  public var peakBytes: Int { memory.bytes + workspaceBytes + 64 }

  /// Bytes of what was folded and packed from weights, some of which other plans may share.
  public var constantBytes: Int { constants.bytes }

  /// Whether threads may run a batch with plans of their own: functions of the program need not allow that.
  var isConcurrent: Bool { steps.allSatisfy { $0.kernel.measured?.backend.isConcurrent ?? false } }

  // MARK: Running

  /// Which steps a run executes.
  public enum Part { case all, forward, backward }

  /// Runs with the given input memory. Outputs are read through ``read(_:)`` until the arena's next run.
  public func run(_ inputs: [(ValueID, Tensor)], part: Part = .all) throws {
    try bind()
    for (value, tensor) in inputs {
      let wanted = graph.description(value)
      guard tensor.dtype == wanted.dtype, tensor.count == wanted.count else {
        throw XferError.shape("the plan was made for \(wanted.dtype.name) \(wanted.shape), \(tensor.dtype.name) \(tensor.shape) was given")
      }
      for slot in inputSlots[value] ?? [] { pointers[slot] = tensor.data }
      // Only what will be read: a caller's memory is not to be held longer than the call.
      if kept.contains(value) { given[value] = tensor }
    }
    if part != .backward { advanceRandomStates() }
    let workspace = arena.base.map { $0 + memory.bytes }
    guard let base = pointers.baseAddress else { return }
    for launch in launches where part == .all || (part == .backward) == launch.isBackward {
      let inputs = UnsafeMutableRawPointer(base + launch.inputs).assumingMemoryBound(to: UnsafeRawPointer?.self)
      try launch.kernel.execute(inputs, base + launch.outputs, workspace)
    }
    if part != .forward { for variable in written { variable.touch() } }
    // The plan's own updates move no memory and touch no constant: what is bound stays right.
    for index in boundVersions.indices { boundVersions[index] = variables[index].version }
  }

  /// The memory of a kept value or of a weight; valid until another plan runs on the same arena.
  public func read(_ value: ValueID) throws -> Tensor {
    guard let pointer = try address(graph.root(value)) else {
      throw XferError.internal("value '\(graph.values[value.index].label)' was not kept")
    }
    return Tensor(borrowing: pointer, shape: graph.shape(value), dtype: graph.dtype(value))
  }

  /// Does what the first run would do before it computes: finds memory, folds and packs weights.
  func prepare() throws { try bind() }

  private func advanceRandomStates() {
    for state in graph.randomStates { state.data.assumingMemoryBound(to: Int64.self)[1] += 1 }
  }

  private func bind() throws {
    try arena.reserve(peakBytes)
    if arena.base == boundBase, boundVersions.count == variables.count,
      !variables.indices.contains(where: { variables[$0].version != boundVersions[$0] })
    {
      return
    }
    let constantVersions = fixed.map(\.version)
    if constantVersions != boundConstants || boundBase == nil { try constants.refresh() }
    (boundBase, boundVersions, boundConstants) = (arena.base, variables.map(\.version), constantVersions)
    inputSlots = [:]
    for step in steps {
      for (offset, value) in (step.node.inputs + step.node.outputs).enumerated() {
        let slot = step.slot + offset
        let root = graph.root(value)
        if case .input = graph.values[root.index].source { inputSlots[root, default: []].append(slot) }
        pointers[slot] = try (offset < step.node.inputs.count ? constants.packed(step.node, offset) : nil) ?? address(root)
      }
    }
  }

  private func address(_ root: ValueID) throws -> UnsafeMutableRawPointer? {
    switch graph.values[root.index].source {
    case .input: return given[root]?.data
    case .variable(let variable): return variable.tensor.data
    case .constant(let tensor), .state(let tensor): return tensor.data
    case .update(let tensor, let variable): return variable?.tensor.data ?? tensor.data
    case .node: return constants.address(root) ?? memory.offset(of: root).flatMap { offset in arena.base.map { $0 + offset } }
    case .alias: return nil
    }
  }
}
