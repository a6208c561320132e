import Testing
import XferCore
import XferGraph

@testable import Xfer

/// The points on layers and networks that the other suites hold in general, as the numbers they name.
@Suite struct SemanticsLayerTests {
  @Test func point24KernelShapesAndGlorotLimits() throws {
    func built(_ layer: Layer, _ shape: [Int]) throws -> [Variable] {
      _ = try layer(Input(shape: shape))
      return layer.weights
    }
    let dense = try built(Dense(5), [3])
    #expect(dense.map(\.shape) == [[3, 5], [5]])
    #expect(try built(Conv2D(filters: 6, kernelSize: (2, 3)), [8, 8, 4]).map(\.shape) == [[2, 3, 4, 6], [6]])
    #expect(try built(DepthwiseConv2D(kernelSize: (2, 3), depthMultiplier: 2), [8, 8, 4]).map(\.shape) == [[2, 3, 4, 2], [8]])
    let separable = SeparableConv2D(filters: 7, kernelSize: (2, 3), depthMultiplier: 2)
    #expect(try built(separable, [8, 8, 4]).map(\.shape) == [[2, 3, 4, 2], [1, 1, 8, 7], [7]])
    // ±√(6/(fan_in + fan_out)); biases zero.
    let wide = try built(Dense(200), [100])
    let limit = Float((6.0 / 300.0).squareRoot())
    let largest = wide[0].values.map(\.magnitude).max() ?? 0
    #expect(largest <= limit && largest > 0.99 * limit)
    #expect(wide[1].values.allSatisfy { $0 == 0 })
  }

  @Test func point25SamePadding() throws {
    // total = max(0, (⌈n/s⌉ − 1)·s + k − n), the odd one at the end.
    for n in 1...9 {
      for stride in 1...3 {
        for window in 1...5 {
          let padding = WindowPadding.same(size: n, window: window, stride: stride)
          let output = (n + stride - 1) / stride
          let total = max(0, (output - 1) * stride + window - n)
          #expect(padding.before == total / 2 && padding.after == total - total / 2 && padding.output == output)
        }
      }
    }
    // A maximum over padding would be 0 here, an average that counted it would be smaller.
    let x = try Tensor([-1, -2, -3, -4], shape: [1, 2, 2, 1])
    #expect(try MaxPooling2D(poolSize: (3, 3), strides: (2, 2), padding: .same)(x).floats == [-1])
    #expect(try AveragePooling2D(poolSize: (3, 3), strides: (2, 2), padding: .same)(x).floats == [-2.5])
  }

  @Test func point27XceptionInNumbers() throws {
    let base = try Application.make("Xception", config: ["weights": nil, "include_top": false, "input_shape": [150, 150, 3]])
    func count(_ name: String) -> Int { base.layers.filter { type(of: $0).className == name }.count }
    #expect(base.layers.count == 132 && base.weights.count == 234)
    #expect(base.trainableWeights.count == 154 && base.nonTrainableWeights.count == 80)
    #expect(base.countParams() == 20_861_480)
    #expect(count("BatchNormalization") == 40 && count("SeparableConv2D") == 34 && count("Conv2D") == 6)
    #expect(count("Add") == 12 && count("MaxPooling2D") == 4)
    #expect(base.outputs[0].shape == [nil, 5, 5, 2048])
    base.trainable = false
    let input = try Input(shape: [150, 150, 3])
    let model = try Model(input, Dense(1)(GlobalAveragePooling2D()(base(input, training: false))))
    func size(_ weights: [Variable]) -> Int { weights.reduce(0) { $0 + $1.count } }
    #expect(size(model.trainableWeights) == 2049)
    base.trainable = true
    #expect(size(model.trainableWeights) == 20_809_001 && size(model.nonTrainableWeights) == 54_528)
  }
}
