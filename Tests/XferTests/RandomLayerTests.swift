import Testing
import XferCore
import XferGraph
@testable import Xfer

/// What layers draw: shares, means and deviations, whole channels; the same for one seed, new in each call, nothing in inference.
@Suite struct RandomLayerTests {
  private func make(_ className: String, _ config: JSONValue) throws -> Layer { try LayerRegistry.make(className, config: config) }

  private func ones(_ shape: [Int]) throws -> Tensor { try Initializer.ones.make(shape) }

  private func mean(_ values: [Float]) -> Double { values.reduce(0.0) { $0 + Double($1) } / Double(values.count) }
  private func deviation(_ values: [Float]) -> Double {
    let centre = mean(values)
    return (values.reduce(0.0) { $0 + (Double($1) - centre) * (Double($1) - centre) } / Double(values.count)).squareRoot()
  }

  static let layers: [(String, JSONValue)] = [
    ("Dropout", ["rate": 0.3, "noise_shape": [nil, 1, nil, 3], "seed": 5]), ("SpatialDropout2D", ["rate": 0.3, "seed": 5]),
    ("GaussianNoise", ["stddev": 0.5, "seed": 5]), ("GaussianDropout", ["rate": 0.2, "seed": 5]),
    ("AlphaDropout", ["rate": 0.2, "seed": 5]),
    ("RandomFlip", ["seed": 5]), ("RandomRotation", ["factor": 0.2, "seed": 5]), ("RandomZoom", ["height_factor": 0.3, "seed": 5]),
    ("RandomTranslation", ["height_factor": 0.3, "width_factor": 0.2, "seed": 5]), ("RandomCrop", ["height": 3, "width": 2, "seed": 5]),
    ("RandomContrast", ["factor": 0.5, "value_range": [-9, 9], "seed": 5]),
    ("RandomBrightness", ["factor": 0.5, "value_range": [-9, 9], "seed": 5]),
  ]

  @Test(arguments: layers) func reproducibleBySeedNewInEachCallOffInInference(_ example: (String, JSONValue)) throws {
    let x = try randomTensor([8, 6, 5, 3], seed: 3)
    let (first, second) = (try make(example.0, example.1), try make(example.0, example.1))
    let a = try first(x, training: true)
    let b = try second(x, training: true)
    #expect(a.floats == b.floats)
    let next = try first(x, training: true)
    #expect(next.floats != a.floats)
    #expect(try second(x, training: true).floats == next.floats)
    let off = try first(x, training: false)
    if example.0 == "RandomCrop" {
      #expect(off.shape == [8, 3, 2, 3])
    } else {
      #expect(off.floats == x.floats)
    }
    #expect(first.weights.isEmpty)
  }

  @Test func noiseShapeDropsTogether() throws {
    let y = try make("Dropout", ["rate": 0.25, "noise_shape": [nil, 1, nil], "seed": 11])(ones([200, 4, 50]), training: true)
    var dropped = 0
    for sample in 0..<200 {
      for feature in 0..<50 {
        let column = (0..<4).map { y.floats[(sample * 4 + $0) * 50 + feature] }
        #expect(Set(column).count == 1)
        #expect(column[0] == 0 || abs(column[0] - 1 / 0.75) < 1e-6)
        dropped += column[0] == 0 ? 1 : 0
      }
    }
    #expect(abs(Double(dropped) / 10000 - 0.25) < 0.02)
    #expect(throws: XferError.self) {
      try make("Dropout", ["rate": 0.25, "noise_shape": [nil, 3, nil]])(ones([2, 4, 5]), training: true)
    }
  }

  @Test func spatialDropoutDropsWholeChannels() throws {
    let y = try make("SpatialDropout2D", ["rate": 0.4, "seed": 12])(ones([100, 3, 2, 50]), training: true)
    var dropped = 0
    for sample in 0..<100 {
      for channel in 0..<50 {
        let map = Set((0..<6).map { y.floats[(sample * 6 + $0) * 50 + channel] })
        #expect(map.count == 1)
        dropped += map.contains(0) ? 1 : 0
      }
    }
    #expect(abs(Double(dropped) / 5000 - 0.4) < 0.03)
    #expect(abs(mean(y.floats) - 1) < 0.05)
  }

  @Test func noiseHasTheMeansAndDeviationsOfKeras() throws {
    let x = try ones([100, 100])
    let noise = try make("GaussianNoise", ["stddev": 0.5, "seed": 1])(x, training: true)
    #expect(abs(mean(noise.floats) - 1) < 0.02)
    #expect(abs(deviation(noise.floats) - 0.5) < 0.02)
    let dropout = try make("GaussianDropout", ["rate": 0.2, "seed": 1])(x, training: true)
    #expect(abs(mean(dropout.floats) - 1) < 0.02)
    #expect(abs(deviation(dropout.floats) - 0.5) < 0.02)
    // Alpha dropout keeps a standard normal's mean and deviation.
    let normal = try randomTensor([100, 100], seed: 8)
    let alpha = try make("AlphaDropout", ["rate": 0.3, "seed": 1])(normal, training: true)
    #expect(abs(mean(alpha.floats)) < 0.03)
    #expect(abs(deviation(alpha.floats) - 1) < 0.03)
    #expect(throws: XferError.self) { try make("GaussianDropout", ["rate": 1.0]) }
  }

  @Test func flipsHalfOfTheImagesEachByItself() throws {
    let x = try randomTensor([400, 3, 4, 1], seed: 21)
    for (mode, map) in [
      ("horizontal", { (r: Int, c: Int) in r * 4 + 3 - c }), ("vertical", { (r: Int, c: Int) in (2 - r) * 4 + c }),
      ("horizontal_and_vertical", { (r: Int, c: Int) in (2 - r) * 4 + 3 - c }),
    ] {
      let y = try make("RandomFlip", ["mode": .string(mode), "seed": 3])(x, training: true)
      var flipped = 0
      for image in 0..<400 {
        let (before, after) = (Array(x.floats[image * 12..<image * 12 + 12]), Array(y.floats[image * 12..<image * 12 + 12]))
        let mirrored = (0..<12).map { before[map($0 / 4, $0 % 4)] }
        #expect(after == before || after == mirrored)
        flipped += after == mirrored ? 1 : 0
      }
      #expect(abs(flipped - 200) < 50)
    }
    #expect(throws: XferError.self) { try make("RandomFlip", ["mode": "sideways"]) }
  }

  @Test func brightnessAndContrastStayWithinTheirFactors() throws {
    let x = try randomTensor([300, 4, 4, 1], seed: 22, scale: 0.1)
    let bright = try make("RandomBrightness", ["factor": [-0.1, 0.3], "value_range": [-5, 5], "seed": 4])(x, training: true)
    let deltas = (0..<300).map { bright.floats[$0 * 16] - x.floats[$0 * 16] }
    for image in 0..<300 {
      for i in 0..<16 { #expect(abs(bright.floats[image * 16 + i] - x.floats[image * 16 + i] - deltas[image]) < 1e-5) }
    }
    #expect(deltas.allSatisfy { (-1.0001...3.0001).contains($0) })
    #expect(abs(mean(deltas) - 1) < 0.2)
    #expect(abs(deviation(deltas) - 4 / 12.0.squareRoot()) < 0.15)

    let contrast = try make("RandomContrast", ["factor": [0.4, 0.8], "value_range": [-5, 5], "seed": 4])(x, training: true)
    let factors = (0..<300).map { image -> Float in
      let rows = image * 16..<image * 16 + 16
      let centre = Float(mean(Array(x.floats[rows])))
      #expect(abs(Float(mean(Array(contrast.floats[rows]))) - centre) < 1e-5)
      return (contrast.floats[image * 16] - centre) / (x.floats[image * 16] - centre)
    }
    #expect(factors.allSatisfy { (0.59...1.81).contains($0) })
    #expect(abs(mean(factors) - 1.2) < 0.06)
  }

  @Test func cropsAWindowAllImagesShareFromEveryPlace() throws {
    let pixels = try Tensor((0..<2 * 5 * 6).map { Float($0) }, shape: [2, 5, 6, 1])
    let crop = try make("RandomCrop", ["height": 3, "width": 4, "seed": 9])
    var places: Set<Int> = []
    for _ in 0..<200 {
      let y = try crop(pixels, training: true)
      let start = Int(y.floats[0])
      places.insert(start)
      #expect(start / 6 <= 2 && start % 6 <= 2)
      for i in 0..<24 { #expect(y.floats[i] == Float(start + i / 12 * 30 + i % 12 / 4 * 6 + i % 4)) }
    }
    #expect(places.count == 9)
    let small = try crop(Tensor((0..<12).map { Float($0) }, shape: [1, 3, 4, 1]), training: true)
    #expect(small.floats == (0..<12).map { Float($0) })
  }

  @Test func rotationsAreSpreadOverTheirRange() throws {
    // The column an off-centre point lands in tells the angle's cosine.
    var x = [Float](repeating: 0, count: 200 * 21 * 21)
    for image in 0..<200 { x[image * 441 + 10 * 21 + 20] = 1 }
    let y = try make("RandomRotation", ["factor": 0.25, "fill_mode": "constant", "seed": 2])(
      Tensor(x, shape: [200, 21, 21, 1]), training: true)
    var (up, down) = (0, 0)
    for image in 0..<200 {
      let rows = (0..<21).map { row in (0..<21).reduce(Float(0)) { $0 + y.floats[image * 441 + row * 21 + $1] } }
      let place = rows.indices.max { rows[$0] < rows[$1] } ?? 0
      up += place < 10 ? 1 : 0
      down += place > 10 ? 1 : 0
    }
    #expect(up > 60 && down > 60)
  }

  @Test func uint8ImagesAreCast() throws {
    let bytes = try Tensor(zeros: [1, 2, 2, 1], dtype: .uint8)
    for i in 0..<4 { bytes.data.storeBytes(of: UInt8(60 * i + 50), toByteOffset: i, as: UInt8.self) }
    let y = try make("RandomBrightness", ["factor": [0.2, 0.2]])(bytes, training: true)
    #expect(y.floats == [101, 161, 221, 255])
    #expect(try make("Resizing", ["height": 1, "width": 1])(bytes).floats == [140])
  }

  @Test func argumentsAreRefusedByName() {
    for (name, config, word) in [
      ("RandomRotation", ["factor": 2.0], "factor"), ("RandomZoom", ["height_factor": -1.0], "height_factor"),
      ("RandomZoom", [:], "height_factor"),
      ("RandomTranslation", ["height_factor": 0.1], "width_factor"), ("RandomContrast", ["factor": 1.5], "factor"),
      ("RandomRotation", ["factor": 0.1, "fill_mode": "edge"], "edge"),
      ("RandomRotation", ["factor": 0.1, "interpolation": "cubic"], "interpolation"),
      ("RandomFlip", ["data_format": "channels_first"], "data_format"),
      ("RandomFlip", ["bounding_box_format": "xyxy"], "bounding_box_format"),
      ("Resizing", ["height": 2, "width": 2, "interpolation": "linear"], "linear"),
      ("Resizing", ["height": 2, "width": 2, "crop_to_aspect_ratio": true, "pad_to_aspect_ratio": true], "pad_to_aspect_ratio"),
      ("Normalization", ["mean": 1.0], "variance"), ("GroupNormalization", ["groups": 0], "groups"),
      ("Embedding", ["input_dim": 3, "output_dim": 2, "mask_zero": true], "mask_zero"), ("Embedding", ["input_dim": 3], "output_dim"),
      ("SpatialDropout2D", [:], "rate"), ("GaussianNoise", ["stddev": 1.5], "stddev"), ("LayerNormalization", ["axis": "last"], "axis"),
    ] as [(String, JSONValue, String)] {
      let error = #expect(throws: XferError.self) { try LayerRegistry.make(name, config: config) }
      #expect(error?.message.contains(word) == true && error?.message.contains(name) == true, "\(error?.message ?? "")")
    }
  }
}

/// What `adapt` learns, and what happens with ids that do not exist.
@Suite struct AdaptTests {
  @Test func adaptsToArraysAndBatches() throws {
    let data = try randomTensor([10, 3, 2], seed: 31, scale: 2, offset: 1)
    for axis in [[-1], [1, 2], [], [1]] {
      let whole = Normalization(axis: axis)
      try whole.adapt(data)
      let parts = Normalization(axis: axis)
      try parts.adapt(data.rows(0..<3))
      try parts.adapt(data.rows(3..<4), more: true)
      try parts.adapt(data.rows(4..<10), more: true)
      let set = Normalization(axis: axis)
      try set.adapt(ArrayDataset(x: data, y: Tensor(zeros: [10]), batchSize: 4))
      for layer in [parts, set] {
        for (a, b) in zip(layer.weights, whole.weights) {
          #expect(zip(a.values, b.values).allSatisfy { abs($0 - $1) < 1e-5 }, "\(axis) \(a.name)")
        }
      }
      // What is adapted has mean 0 and variance 1 for each place kept.
      let again = Normalization(axis: axis)
      try again.adapt(whole(data))
      #expect(again.weights[0].values.allSatisfy { abs($0) < 1e-5 })
      #expect(again.weights[1].values.allSatisfy { abs($0 - 1) < 1e-4 })
    }
    let layer = Normalization()
    try layer.adapt(Tensor([0, 7, 4, 2, 9, 6, 0, 7, 4, 2, 9, 6], shape: [4, 3]))
    #expect(layer.weights.map(\.name) == ["mean", "variance", "count"])
    #expect(layer.weights[0].values == [1, 8, 5])
    #expect(try layer(Tensor([0, 7, 4], shape: [1, 3])).floats == [-1, -1, -1])
    #expect(throws: XferError.self) { try layer.adapt(Tensor([1, 2], shape: [1, 2])) }
    #expect(layer.trainableWeights.isEmpty)
  }

  @Test func idsThatDoNotExistGiveNaN() throws {
    let layer = try LayerRegistry.make("Embedding", config: ["input_dim": 3, "output_dim": 2])
    let y = try layer(Tensor(labels: [0, 3, -1, 2], shape: [1, 4]))
    #expect(y.shape == [1, 4, 2])
    #expect(y.floats.map(\.isNaN) == [false, false, true, true, true, true, false, false])
  }

  @Test func point26ResizingHasHalfPixelCentres() throws {
    let layer = try LayerRegistry.make("Resizing", config: ["height": 1, "width": 2])
    #expect(try layer(Tensor([0, 1, 2, 3], shape: [1, 1, 4, 1])).floats == [0.5, 2.5])
  }
}
