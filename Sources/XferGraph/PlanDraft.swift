import CXfer
import XferCore

/// What the passes behind the folding of frozen normalization make of a graph: nodes with their kernels, and the places of their values.
struct PlanDraft {
  let graph: Graph
  let constants: ConstantFolder
  let steps: [(node: Node, kernel: Kernel)]
  let memory: MemoryPlan
  let workspace: Int

  /// What is asked of a plan; see ``Plan/Options``.
  struct Wishes {
    let plastic: Set<ObjectIdentifier>
    let kept: Set<ValueID>
    let floats: Set<ValueID>
    let backends: [Backend]
    let passes: Plan.Passes
  }

  /// - Parameter segments: see ``Graph/recompute(keeping:segments:)``.
  init(_ graph: Graph, _ wishes: Wishes, segments: Int) throws {
    let (plastic, backends, passes) = (wishes.plastic, wishes.backends, wishes.passes)
    // Fused or made again, a value that is to stay float32 would be gone.
    let kept = wishes.kept.union(wishes.floats)
    if passes.contains(.recompute) { graph.recompute(keeping: kept, segments: segments) }
    if passes.contains(.fuse) { graph.fuse(plastic: plastic, keeping: kept) }
    if passes.contains(.fuseSeparable) {
      try graph.fuseSeparable(plastic: plastic, keeping: kept, backends: backends, measures: passes.contains(.measure))
    }
    let constant = graph.constantValues(plastic: plastic)
    let running = graph.nodes.filter { $0.phase == .update || !$0.outputs.allSatisfy(constant.contains) }
    if passes.contains(.storeHalves), graph.precision == .bfloat16 {
      try graph.storeHalves(running, constant: constant, floats: wishes.floats, backends: backends)
    }
    let constants = try ConstantFolder(graph, constant: constant, running: running, backends: backends)
    steps = try running.map { ($0, try constants.prepare($0)) }
    workspace = steps.reduce(0) { max($0, $1.kernel.workspace) }
    memory = MemoryPlan(
      graph, nodes: running,
      stored: { value in if case .node = graph.values[value.index].source { !constant.contains(value) } else { false } }, kept: wishes.kept)
    (self.graph, self.constants) = (graph, constants)
  }

  /// The draft that computes least twice among those within `budget` bytes.
  static func within(_ budget: Int?, _ graph: Graph, _ wishes: Wishes) throws -> PlanDraft {
    guard let budget else { return try PlanDraft(graph, wishes, segments: 1) }
    var least = Int.max
    for segments in [1, 2, 3, 4, 6, 8, 12, 16, 24, 32] {
      let draft = try PlanDraft(graph.copy(), wishes, segments: segments)
      let bytes = draft.memory.bytes + draft.workspace + draft.constants.bytes
      if bytes <= budget { return draft }
      least = min(least, bytes)
    }
    throw XferError(
      XFER_E_OUT_OF_MEMORY,
      "a step takes \(megabytes(least)) of intermediate values and packed weights at least, the memory budget leaves \(megabytes(max(budget, 0))) for them: a smaller batch takes less"
    )
  }

  private static func megabytes(_ bytes: Int) -> String { "\((bytes + 500_000) / 1_000_000) MB" }
}
