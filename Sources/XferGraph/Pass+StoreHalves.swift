import CXfer
import XferCore

extension Graph {
  /// Keeps images between ops as bfloat16 where every op that makes or reads one can take it so: half the memory, and half of what ops that do
  /// little but read and write have to move. Registers hold floats all the same, and what a normalization or an optimizer sums stays float32
  /// (Kalamkar et al. 2019; the same division as that of autocast in PyTorch and mixed_bfloat16 in Keras).
  ///
  /// Images are values of four dimensions that are no kernels' gradients. Everything else, a head's features, its losses and all weights, is float32.
  ///
  /// - Parameter floats: values that stay float32, since they are read from outside or may come from there in another plan.
  func storeHalves(_ running: [Node], constant: Set<ValueID>, floats: Set<ValueID>, backends: [Backend]) throws {
    // The backend stays that of the op in float32: that it takes bfloat16 is no reason to prefer another.
    let chosen = try running.map { node in node.kind == .custom ? nil : try specification(node, constant: constant).choose(among: backends)
    }
    let gradientsOfKernels: Set<OpKind> = [.conv2DBackwardKernel, .depthwiseConv2DBackwardKernel]
    let made = running.filter { $0.phase != .update && !gradientsOfKernels.contains($0.kind) }.flatMap(\.outputs)
    var images = Set(made.map(original)).filter { isImage($0) && !constant.contains($0) && !floats.contains($0) }
    images.formIntersection(running.flatMap { $0.inputs.map(original) })
    // A product that cannot have all of its images so may have the one it reads first, or the others.
    let products: Set<OpKind> = [.conv2D, .conv2DBackwardInput, .conv2DBackwardKernel, .separableConv2D]
    var isDone = false
    while !isDone {
      isDone = true
      for (node, backend) in zip(running, chosen) {
        let touched = Set((node.inputs + node.outputs).map(original)).intersection(images)
        guard !touched.isEmpty, !takes(node, halves: images, backend, constant) else { continue }
        let first = touched.intersection(node.inputs.prefix(1).map(original))
        let left = [first, touched.subtracting(first)].first { part in
          products.contains(node.kind) && !part.isEmpty && takes(node, halves: images.subtracting(touched).union(part), backend, constant)
        }
        images.subtract(touched.subtracting(left ?? []))
        isDone = false
      }
    }
    for index in values.indices where images.contains(original(ValueID(index: index))) { values[index].description.dtype = .bfloat16 }
  }

  /// A value and what is made of the same once more are stored alike: a plan that makes it again gives the bits of one that keeps it.
  private func original(_ value: ValueID) -> ValueID { remade[root(value)] ?? root(value) }

  private func isImage(_ value: ValueID) -> Bool {
    guard case .node = values[value.index].source else { return false }
    return shape(value).count == 4 && dtype(value) == .float32
  }

  private func takes(_ node: Node, halves: Set<ValueID>, _ backend: Backend?, _ constant: Set<ValueID>) -> Bool {
    guard let backend, backend.knowsHalves else { return false }
    var op = specification(node, constant: constant)
    func stored(_ value: ValueID) -> TensorDescription {
      TensorDescription(shape(value), halves.contains(original(value)) ? .bfloat16 : dtype(value))
    }
    (op.inputs, op.outputs) = (node.inputs.map(stored), node.outputs.map(stored))
    return op.isSupported(by: backend)
  }
}
