import XferCore
import XferGraph

extension PretrainedBase {
  /// Adapts the layers that phases of the plan train by LoRA. Those that are adapted already keep their matrices.
  ///
  /// - Throws: `XFER_E_STATE` for two ranks on one layer, `XFER_E_UNSUPPORTED` for a phase without a layer that can be adapted. Nothing has changed
  ///   then.
  func adapt(_ plan: PhasePlan) throws {
    var wanted: [(layer: Layer, lora: LoRA)] = []
    for phase in plan.phases {
      guard let lora = phase.lora else { continue }
      let targets = try layers[phase.unfreeze.first(of: layers)...].flatMap(\.allLayers).filter { layer in
        layer.adaptable.map { $0.constraint == nil } ?? false
      }
      guard !targets.isEmpty else {
        throw XferError.unsupported(
          "phase '\(phase.name)': unfreeze \(phase.unfreeze.text) names no layer that LoRA can adapt; Dense, Conv2D and Embedding can be")
      }
      for layer in targets {
        let other = layer.lora ?? wanted.first { $0.layer === layer }?.lora
        guard let other else {
          wanted.append((layer, lora))
          continue
        }
        guard other.rank == lora.rank, other.alpha == lora.alpha else {
          throw XferError.state(
            "phase '\(phase.name)': LoRA of rank \(lora.rank) and alpha \(lora.alpha) is wanted on '\(layer.name)', which has rank \(other.rank) and "
              + "alpha \(other.alpha); they are set once")
        }
      }
    }
    for (layer, lora) in wanted { try layer.enable(lora) }
  }

  /// Sets the flags of a phase.
  func prepare(_ phase: Phase) throws {
    try unfreeze(phase.unfreeze)
    guard phase.lora != nil else { return }
    for layer in layers[try phase.unfreeze.first(of: layers)...] { layer.trainAdapters() }
  }
}
