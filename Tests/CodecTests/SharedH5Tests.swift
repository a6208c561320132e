import CXfer
import Testing

/// Real weight files of Keras 1 and Keras 3. The numbers were read with h5py 3.16.
@Suite(
  "HDF5, published files", .enabled(if: Codecs.h5 != nil, "libxfer-hdf5.so is not beside the tests"),
  .enabled(if: Shared.folder != nil, "no reference data (set XFER_SHARED to its folder)"))
struct SharedH5Tests {
  private func parameters(_ file: H5) throws -> (weights: Int, count: Int) {
    var weights = 0
    var count = 0
    for layer in try file.strings("/", "layer_names") {
      for weight in try file.strings(layer, "weight_names") {
        weights += 1
        count += try file.describe("\(layer)/\(weight)").shape.reduce(1, *)
      }
    }
    return (weights, count)
  }

  @Test func squeezeNet() throws {
    let file = try H5(Shared.path("weights/squeezenet_v1.1_notop_legacy.h5"))
    let layers = try file.strings("/", "layer_names")
    #expect(layers.count == 63 && layers.first == "input_1" && layers.last == "drop9")
    let all = try parameters(file)
    #expect(all.weights == 50 && all.count == 722_496)
    #expect(try file.strings("conv1", "weight_names") == ["uniform1", "conv1_b"])
    let kernel = try file.describe("conv1/uniform1")
    #expect(kernel.dtype == XFER_F32 && kernel.shape == [3, 3, 3, 64])
    let values = try file.values("conv1/uniform1", as: Float.self)
    #expect(zip(values, [0.25723463, -0.00481544, 0.08927812] as [Float]).allSatisfy { abs($0 - $1) < 1e-8 })
    #expect(abs(values.reduce(0) { $0 + Double($1) } - -2.9973132426930533) < 1e-9)
    // Keras 1 named layers with slashes: groups within groups.
    let last = try file.values("fire9/expand3x3/fire9/expand3x3_b", as: Float.self)
    #expect(last.count == 256 && abs(last.reduce(0) { $0 + Double($1) } - 1.9432935516488214) < 1e-9)
  }

  @Test func xception() throws {
    let file = try H5(Shared.path("reference/xception/xception_notop_legacy.h5"))
    #expect(try file.strings("/", "backend") == ["tensorflow"])
    #expect(try file.strings("/", "keras_version") == ["2.21.0"])
    let layers = try file.strings("/", "layer_names")
    #expect(layers.count == 132 && layers.last == "block14_sepconv2_act")
    let all = try parameters(file)
    #expect(all.weights == 234 && all.count == 20_861_480)
    let path = "block14_sepconv2_bn/block14_sepconv2_bn/"
    #expect(
      try file.strings("block14_sepconv2_bn", "weight_names").map { $0.split(separator: "/")[1] }
        == ["gamma:0", "beta:0", "moving_mean:0", "moving_variance:0"])
    for (name, sum) in [("gamma:0", 2050.7849985957146), ("beta:0", 2.5632872212445363), ("moving_variance:0", 0.6228958723368123)] {
      let values = try file.values(path + name, as: Float.self)
      #expect(values.count == 2048 && abs(values.reduce(0) { $0 + Double($1) } - sum) < 1e-8)
    }
  }
}
