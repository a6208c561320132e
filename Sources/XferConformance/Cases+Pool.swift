import CXfer

/// The numbers of a random pooling.
struct RandomPool {
  var attributes = xfer_pool_attributes()
  var x: [Int]
  var y: [Int]

  init(_ random: inout Random, average: Bool) {
    attributes.struct_size = sized(xfer_pool_attributes.self)
    attributes.kind = Int32(average ? XFER_POOL_AVERAGE : XFER_POOL_MAX)
    let window = (random.pick([1, 2, 3, 3, 5]), random.pick([1, 2, 3, 3, 4]))
    let stride = (random.int(1...3), random.int(1...3))
    var padding = [0, 0, 0, 0]
    if random.chance(65) {
      padding = [random.int(0...window.0 - 1), random.int(0...window.0 - 1), random.int(0...window.1 - 1), random.int(0...window.1 - 1)]
    }
    let h = max(random.size(24), window.0 - padding[0] - padding[1])
    let w = max(random.size(24), window.1 - padding[2] - padding[3])
    (attributes.window_h, attributes.window_w) = (Int32(window.0), Int32(window.1))
    (attributes.stride_h, attributes.stride_w) = (Int32(stride.0), Int32(stride.1))
    (attributes.pad_top, attributes.pad_bottom) = (Int32(padding[0]), Int32(padding[1]))
    (attributes.pad_left, attributes.pad_right) = (Int32(padding[2]), Int32(padding[3]))
    x = [random.int(1...2), h, w, random.size(70)]
    y = [x[0], (h + padding[0] + padding[1] - window.0) / stride.0 + 1, (w + padding[2] + padding[3] - window.1) / stride.1 + 1, x[3]]
  }

  var detail: String {
    let a = attributes
    return "\(a.kind == 0 ? "maximum" : "average") window \(a.window_h),\(a.window_w) stride \(a.stride_h),\(a.stride_w) "
      + "padding \(a.pad_top),\(a.pad_bottom),\(a.pad_left),\(a.pad_right)"
  }
}

/// Half the time few different values, so that a window has its maximum more than once.
private func image(_ random: inout Random, _ shape: [Int]) -> CaseTensor {
  if random.chance(50) { return CaseTensor(random: &random, shape) }
  return CaseTensor(shape, (0..<shape.reduce(1, *)).map { _ in Float(random.int(-2...2)) })
}

func poolCase(_ random: inout Random) -> Case {
  let average = random.chance(50)
  let shapes = RandomPool(&random, average: average)
  var test = Case(
    XFER_OP_POOL2D, [image(&random, shapes.x)], [floats(shapes.y)], attributeBytes(shapes.attributes), average ? .sums : .exact)
  test.detail = shapes.detail
  return test
}

func poolBackwardCase(_ random: inout Random, reference: Runner) throws(Failure) -> Case {
  let average = random.chance(50)
  let shapes = RandomPool(&random, average: average)
  let dy = CaseTensor(random: &random, shapes.y)
  var inputs = [dy]
  if !average {
    let x = image(&random, shapes.x)
    let forward = Case(XFER_OP_POOL2D, [x], [floats(shapes.y)], attributeBytes(shapes.attributes), .exact)
    var y = CaseTensor(shapes.y, [])
    y.bytes = try reference.run(forward)[0]
    inputs = [x, y, dy]
  }
  // Few terms, each below 1.
  let test = Case(
    XFER_OP_POOL2D_BACKWARD, inputs, [floats(shapes.x)], attributeBytes(shapes.attributes), Tolerance(relative: 1e-6, absolute: 4e-6))
  var named = test
  named.detail = shapes.detail
  return named
}

func resizeCase(_ random: inout Random) -> Case {
  let x = [random.int(1...2), random.size(24), random.size(24), random.pick([1, 3, 4, 7])]
  let y = [x[0], random.size(40), random.size(40), x[3]]
  let count = x.reduce(1, *)
  let bytes = random.chance(50)
  let image =
    bytes
    ? CaseTensor(XFER_U8, x, (0..<count).map { _ in UInt8(random.int(0...255)) }) : CaseTensor(random: &random, x)
  return Case(XFER_OP_RESIZE_BILINEAR, [image], [floats(y)], [], Tolerance(relative: 1e-5, absolute: bytes ? 1e-3 : 1e-5))
}
