import Testing
import XferCore
import XferGraph
@testable import Xfer

/// Every layer's gradients, to its weights and its inputs, against central differences.
@Suite struct LayerGradientTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let className: String
    let config: JSONValue
    let shapes: [[Int]]
    var training = false
    var testDescription: String { "\(className) \(config.text()) on \(shapes)\(training ? " training" : "")" }
  }

  static let cases: [Case] = [
    Case(className: "Dense", config: ["units": 5, "activation": "tanh"], shapes: [[3, 4]]),
    Case(className: "Dense", config: ["units": 3, "use_bias": false, "activation": "softmax"], shapes: [[2, 3, 4]]),
    Case(className: "Conv2D", config: ["filters": 3, "kernel_size": 3, "padding": "same"], shapes: [[2, 5, 6, 2]]),
    Case(
      className: "Conv2D", config: ["filters": 4, "kernel_size": [2, 3], "strides": 2, "activation": "sigmoid"], shapes: [[2, 7, 6, 3]]),
    Case(className: "Conv2D", config: ["filters": 4, "kernel_size": 1], shapes: [[2, 3, 3, 5]]),
    Case(className: "Conv2D", config: ["filters": 4, "kernel_size": 1, "strides": 2, "use_bias": false], shapes: [[2, 5, 4, 3]]),
    Case(className: "Conv2D", config: ["filters": 4, "kernel_size": 3, "groups": 2, "dilation_rate": 2], shapes: [[1, 7, 7, 4]]),
    Case(className: "DepthwiseConv2D", config: ["kernel_size": 3, "padding": "same", "strides": 2], shapes: [[2, 6, 5, 3]]),
    Case(className: "DepthwiseConv2D", config: ["kernel_size": [2, 2], "depth_multiplier": 2], shapes: [[1, 4, 5, 3]]),
    Case(className: "SeparableConv2D", config: ["filters": 4, "kernel_size": 3, "padding": "same"], shapes: [[2, 5, 5, 3]]),
    Case(className: "BatchNormalization", config: [:], shapes: [[4, 3, 3, 2]], training: true),
    Case(className: "BatchNormalization", config: [:], shapes: [[4, 3, 3, 2]]),
    Case(className: "BatchNormalization", config: ["scale": false], shapes: [[6, 5]], training: true),
    Case(className: "BatchNormalization", config: ["center": false, "epsilon": 0.1], shapes: [[6, 5]], training: true),
    Case(className: "Activation", config: ["activation": "elu"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "selu"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "silu"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "gelu"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "softplus"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "softsign"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "exponential"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "hard_sigmoid"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "hard_silu"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "celu"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "log_sigmoid"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "log_softmax"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "mish"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "hard_tanh"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "sparse_plus"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "sparse_sigmoid"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "sparsemax"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "squareplus"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "tanh_shrink"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "soft_shrink"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "hard_shrink"], shapes: [[3, 7]]),
    Case(className: "Activation", config: ["activation": "leaky_relu"], shapes: [[3, 7]]),
    Case(className: "ReLU", config: ["max_value": 1.0], shapes: [[3, 8]]),
    Case(className: "ReLU", config: ["negative_slope": 0.2, "threshold": 0.3], shapes: [[3, 8]]),
    Case(className: "Softmax", config: [:], shapes: [[3, 5]]),
    Case(className: "Softmax", config: ["axis": 1], shapes: [[2, 4, 3]]),
    Case(className: "Add", config: [:], shapes: [[2, 3, 3, 2], [2, 3, 3, 2], [2, 1, 1, 2]]),
    Case(className: "Concatenate", config: [:], shapes: [[2, 3, 2], [2, 3, 4]]),
    Case(className: "Concatenate", config: ["axis": 1], shapes: [[2, 3, 2], [2, 1, 2]]),
    Case(className: "ZeroPadding2D", config: ["padding": [[1, 2], [0, 3]]], shapes: [[2, 3, 2, 2]]),
    Case(className: "MaxPooling2D", config: ["pool_size": 3, "strides": 2, "padding": "same"], shapes: [[2, 6, 5, 3]]),
    Case(className: "MaxPooling2D", config: [:], shapes: [[2, 5, 4, 2]]),
    Case(className: "AveragePooling2D", config: ["pool_size": 3, "strides": 2, "padding": "same"], shapes: [[2, 6, 5, 3]]),
    Case(className: "GlobalAveragePooling2D", config: [:], shapes: [[2, 3, 4, 5]]),
    Case(className: "GlobalAveragePooling2D", config: ["keepdims": true], shapes: [[2, 3, 4, 5]]),
    Case(className: "Conv2DTranspose", config: ["filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"], shapes: [[2, 3, 4, 2]]),
    Case(
      className: "Conv2DTranspose", config: ["filters": 2, "kernel_size": [3, 2], "dilation_rate": 2, "activation": "tanh"],
      shapes: [[1, 4, 3, 2]]),
    Case(className: "GlobalMaxPooling2D", config: [:], shapes: [[2, 3, 4, 3]]),
    Case(className: "UpSampling2D", config: [:], shapes: [[1, 3, 2, 2]]),
    Case(className: "UpSampling2D", config: ["interpolation": "bilinear", "size": [2, 3]], shapes: [[1, 3, 2, 2]]),
    Case(className: "UpSampling2D", config: ["interpolation": "bicubic"], shapes: [[1, 4, 3, 2]]),
    Case(className: "Cropping2D", config: ["cropping": [[1, 0], [0, 1]]], shapes: [[2, 3, 3, 2]]),
    Case(className: "Subtract", config: [:], shapes: [[2, 3], [2, 3]]),
    Case(className: "Multiply", config: [:], shapes: [[2, 3, 2], [2, 3, 2], [2, 2]]),
    Case(className: "Average", config: [:], shapes: [[2, 3], [2, 3], [2, 1]]),
    Case(className: "Maximum", config: [:], shapes: [[2, 6], [2, 6]]),
    Case(className: "Minimum", config: [:], shapes: [[2, 6], [2, 6], [2, 6]]),
    Case(className: "Dot", config: ["axes": [2, 1], "normalize": true], shapes: [[2, 3, 4], [2, 4, 2]]),
    Case(className: "Reshape", config: ["target_shape": [-1, 2]], shapes: [[2, 3, 4]]),
    Case(className: "Permute", config: ["dims": [3, 1, 2]], shapes: [[2, 2, 3, 4]]),
    Case(className: "RepeatVector", config: ["n": 3], shapes: [[2, 4]]),
    Case(className: "PReLU", config: ["shared_axes": [1]], shapes: [[2, 3, 4]]),
    Case(className: "LeakyReLU", config: [:], shapes: [[3, 7]]),
    Case(className: "ELU", config: ["alpha": 0.5], shapes: [[3, 7]]),
    Case(className: "Softmax", config: ["axis": [1, 3]], shapes: [[2, 3, 2, 2]]),
    Case(className: "Dense", config: ["units": 4, "activation": "glu"], shapes: [[2, 3]]),
    Case(className: "Flatten", config: [:], shapes: [[2, 3, 4]]),
    Case(className: "Dropout", config: ["rate": 0.4, "seed": 7], shapes: [[4, 9]]),
    Case(className: "Rescaling", config: ["scale": 0.5, "offset": [1.0, 2.0, 3.0]], shapes: [[2, 2, 3]]),
    Case(className: "BatchNormalization", config: ["axis": 1], shapes: [[4, 2, 3]], training: true),
    Case(className: "LayerNormalization", config: ["axis": [1, -1]], shapes: [[3, 2, 3, 4]]),
    Case(className: "LayerNormalization", config: ["rms_scaling": true], shapes: [[3, 6]]),
    Case(className: "RMSNormalization", config: [:], shapes: [[3, 6]]),
    Case(className: "GroupNormalization", config: ["groups": 2], shapes: [[2, 2, 3, 4]]),
    Case(className: "GroupNormalization", config: ["groups": -1, "axis": 1], shapes: [[2, 3, 5]]),
    Case(className: "UnitNormalization", config: ["axis": [1, 2]], shapes: [[2, 3, 4]]),
    Case(className: "Normalization", config: ["invert": true], shapes: [[3, 4]]),
    Case(className: "Normalization", config: ["mean": 1.0, "variance": 4.0], shapes: [[3, 4]]),
    Case(className: "Resizing", config: ["height": 3, "width": 7], shapes: [[2, 4, 5, 2]]),
    Case(className: "Resizing", config: ["height": 3, "width": 7, "interpolation": "nearest"], shapes: [[2, 4, 5, 2]]),
    Case(
      className: "Resizing", config: ["height": 7, "width": 3, "interpolation": "lanczos3", "antialias": true], shapes: [[2, 4, 5, 2]]),
    Case(
      className: "Resizing", config: ["height": 3, "width": 2, "interpolation": "area", "pad_to_aspect_ratio": true],
      shapes: [[2, 4, 5, 2]]),
    Case(className: "CenterCrop", config: ["height": 2, "width": 6], shapes: [[2, 4, 5, 2]]),
    Case(className: "RandomFlip", config: ["seed": 7], shapes: [[4, 2, 3, 2]]),
    Case(className: "ChannelReorder", config: ["order": [2, 0, 1]], shapes: [[2, 2, 3]]),
  ]

  @Test(arguments: cases) func gradientsMatchDifferences(_ example: Case) throws {
    let layer = try LayerRegistry.make(example.className, config: example.config)
    // Trainable wrappers before the layer make its inputs' gradients visible: y = layer(x + w).
    let inputs = try example.shapes.enumerated().map { try randomTensor($1, seed: UInt64(40 + $0)) }
    let symbols = try example.shapes.map { try Input(shape: Array($0.dropFirst())) }
    let shifts = try example.shapes.map { try Shift(shape: Array($0.dropFirst())) }
    let shifted = try zip(symbols, shifts).map { try $1($0) }
    let model = try Model(inputs: symbols, outputs: [layer(shifted)])
    try fill(model)
    let output = try model(inputs, training: example.training)
    let factors = try randomTensor([output.count], seed: 99)
    let loss = WeightedSum(factors)
    let target = try Tensor([1])

    let tape = GradientTape()
    let value = try loss(target, model(inputs, training: example.training, tape: tape), tape: tape)
    let variables = model.trainableWeights
    let gradients = try tape.gradient(value, variables)

    func total() throws -> Double {
      let y = try model(inputs, training: example.training)
      return zip(y.floats, factors.floats).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    }
    for (variable, gradient) in zip(variables, gradients) {
      let gradient = try #require(gradient, "no gradient for \(variable.path)")
      #expect(gradient.shape == variable.shape)
      var (worst, norm) = (0.0, 1e-2)
      for i in 0..<min(variable.count, 24) {
        let kept = variable.tensor.float32[i]
        let step: Float = 4e-3
        variable.tensor.float32[i] = kept + step
        variable.touch()
        let above = try total()
        variable.tensor.float32[i] = kept - step
        variable.touch()
        let below = try total()
        variable.tensor.float32[i] = kept
        variable.touch()
        let difference = (above - below) / (2 * Double(step))
        worst = max(worst, abs(difference - Double(gradient.floats[i])))
        norm = max(norm, abs(difference))
      }
      // Differences of float32 values carry rounding of about 1e-4 of the largest; kinks of max and relu are avoided by chance of the seeds.
      #expect(worst < 0.02 * norm, "\(variable.path): off by \(worst), largest \(norm)")
    }
  }
}

/// `x + w`, a trainable shift for tests.
final class Shift: Layer {
  override class var className: String { "Shift" }
  private var weight: Variable?
  private let shape: [Int]

  init(shape: [Int]) throws {
    self.shape = shape
    super.init(name: nil)
  }

  override func build(_ inputs: [OpenShape]) throws { weight = try addWeight("shift", shape, .zeros) }
  override func lower(_ inputs: [ValueID], _ context: LoweringContext) throws -> ValueID {
    guard let weight else { return inputs[0] }
    return try context.graph.binary(.add, inputs[0], context.graph.variable(weight))
  }
}
