import CXfer
import XferCore

extension Differentiate {
  /// The affine op behind batch normalization and rescaling.
  ///
  /// Behind normalization parameters the gradients of gamma and beta are formed from the normalized input at once: going through
  /// scale and shift would subtract two large sums (Ioffe & Szegedy 2015, section 3, in the form Keras' backends use).
  func scaleShift(_ node: Node, _ dy: ValueID) throws -> [(ValueID, ValueID)] {
    let (x, scale) = (node.inputs[0], node.inputs[1])
    guard let parameters = producer(of: scale), parameters.kind == .normalizeParameters,
      case .normalize(let attributes) = parameters.attributes
    else {
      guard !wants(scale), node.inputs.count < 3 || !wants(node.inputs[2]) else {
        throw XferError.unsupported("\(node.label): the gradient of a scale or shift is available behind a normalization only")
      }
      return wants(x) ? [(x, try graph.scaleShift(dy, scale: scale, shift: nil))] : []
    }
    let (gamma, beta, mean, variance) = (parameters.inputs[0], parameters.inputs[1], parameters.inputs[2], parameters.inputs[3])
    let throughStatistics = producer(of: mean)?.kind == .moments
    var result: [(ValueID, ValueID)] = []
    let channels = TensorDescription(graph.shape(gamma))
    var sums: [ValueID] = []
    if wants(gamma) || wants(beta) || (throughStatistics && wants(x)) {
      sums = graph.add(.batchNormBackwardReduce, .normalize(attributes), [x, dy, mean, variance], outputs: [channels, channels])
    }
    if wants(x) {
      if throughStatistics {
        result.append(
          (
            x,
            graph.add(
              .batchNormBackwardInput, .normalize(attributes), [x, dy, mean, variance, gamma] + sums, graph.shape(x))
          ))
      } else {
        result.append((x, try graph.scaleShift(dy, scale: scale, shift: nil)))
      }
    }
    if wants(gamma) { result.append((gamma, sums[0])) }
    if wants(beta) { result.append((beta, sums[1])) }
    return result
  }
}
