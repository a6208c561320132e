import CXfer
import Testing

@testable import XferConformance

@Suite("The reference backend") struct NaiveTests {
  @Test("keeps to its buffers, repeats its bits, and its gradients agree with finite differences")
  func conformance() throws {
    let plugin = try #require(naive)
    var options = ConformanceOptions()
    options.guardPages = true
    let report = checkBackend(plugin, reference: plugin, seed: 7, rounds: 12, options: options)
    #expect(report.passed, "\(report.failures.joined(separator: "\n"))")
    let empty = report.entries.filter { $0.cases == 0 }.map(\.name)
    #expect(empty.isEmpty, "every op and every gradient has to run")
    #expect(report.entries.allSatisfy { $0.declined == 0 })
  }

  @Test("convolution is the sum it is defined as", arguments: 0..<12)
  func convolution(round: Int) throws {
    var random = Random(seed: 11, round)
    let shapes = RandomConvolution(&random, depthwise: false)
    let a = shapes.attributes
    let (x, kernel) = (CaseTensor(random: &random, shapes.x), CaseTensor(random: &random, shapes.kernel))
    let (xs, ks) = (x.floats, kernel.floats)
    let got = try run(XFER_OP_CONV2D, [x, kernel], shapes.y, attributeBytes(a))
    let (inner, outer) = (shapes.kernel[2], shapes.y[3] / Int(a.groups))
    var wanted: [Float] = []
    for n in 0..<shapes.y[0] {
      for oy in 0..<shapes.y[1] {
        for ox in 0..<shapes.y[2] {
          for o in 0..<shapes.y[3] {
            var sum = 0.0
            for ky in 0..<shapes.kernel[0] {
              for kx in 0..<shapes.kernel[1] {
                let iy = oy * Int(a.stride_h) - Int(a.pad_top) + ky * Int(a.dilation_h)
                let ix = ox * Int(a.stride_w) - Int(a.pad_left) + kx * Int(a.dilation_w)
                guard (0..<shapes.x[1]).contains(iy), (0..<shapes.x[2]).contains(ix) else { continue }
                for c in 0..<inner {
                  let pixel = ((n * shapes.x[1] + iy) * shapes.x[2] + ix) * shapes.x[3] + o / outer * inner + c
                  sum += Double(xs[pixel]) * Double(ks[((ky * shapes.kernel[1] + kx) * inner + c) * shapes.kernel[3] + o])
                }
              }
            }
            wanted.append(Float(sum))
          }
        }
      }
    }
    #expect(got.distance(to: wanted) <= 1e-6, "\(shapes.detail)")
  }

  @Test("a depthwise convolution is a convolution in as many groups as channels", arguments: 0..<8)
  func depthwise(round: Int) throws {
    var random = Random(seed: 12, round)
    let shapes = RandomConvolution(&random, depthwise: true)
    let (x, kernel) = (CaseTensor(random: &random, shapes.x), CaseTensor(random: &random, shapes.kernel))
    var grouped = shapes.attributes
    grouped.groups = Int32(shapes.x[3])
    let one = try run(XFER_OP_DEPTHWISE_CONV2D, [x, kernel], shapes.y, attributeBytes(shapes.attributes))
    // [kh,kw,C,mult] has the order of [kh,kw,1,C·mult].
    let flat = CaseTensor([shapes.kernel[0], shapes.kernel[1], 1, shapes.kernel[2] * shapes.kernel[3]], kernel.floats)
    #expect(try one == run(XFER_OP_CONV2D, [x, flat], shapes.y, attributeBytes(grouped)), "\(shapes.detail)")
  }

  @Test("an epilogue adds the bias of the channel and the residual, then activates")
  func epilogue() throws {
    var attributes = xfer_matmul_attributes()
    attributes.struct_size = sized(xfer_matmul_attributes.self)
    (attributes.has_bias, attributes.has_residual) = (1, 1)
    attributes.activation = xfer_activation(kind: Int32(XFER_ACTIVATION_RELU), alpha: 0.5, max_value: 20, threshold: 0)
    let y = try run(
      XFER_OP_MATMUL,
      [
        CaseTensor([2, 2], [1, 2, 3, 4]), CaseTensor([2, 3], [1, 0, -1, 2, 1, 0]), CaseTensor([3], [0.5, 0, 10]),
        CaseTensor([2, 3], [0, -4, 0, 100, 0, 0]),
      ], [2, 3], attributeBytes(attributes))
    #expect(y == [5.5, -1, 9, 20, 4, 7])
  }

  @Test("a wrong shape is refused in words", .serialized, arguments: ["kernel", "bias", "rank", "dtype", "attributes", "padding"])
  func refusals(what: String) throws {
    var attributes = xfer_conv_attributes()
    attributes.struct_size = sized(xfer_conv_attributes.self)
    (attributes.stride_h, attributes.stride_w, attributes.dilation_h, attributes.dilation_w, attributes.groups) = (1, 1, 1, 1, 1)
    attributes.activation = linearActivation
    attributes.has_bias = 1
    var inputs = [floats([1, 8, 8, 4]), floats([3, 3, 4, 5]), floats([5])]
    var (status, words) = (XFER_E_SHAPE, "")
    switch what {
    case "kernel": (inputs[1], words) = (floats([3, 3, 2, 5]), "conv2d: the kernel is f32[3,3,2,5], wanted is f32[3,3,4,5]")
    case "bias": (inputs[2], words) = (floats([4]), "conv2d: bias is f32[4], wanted is f32[5]")
    case "rank": (inputs[0], words) = (floats([8, 8, 4]), "conv2d: the image is f32[8,8,4], rank 4 is wanted")
    case "dtype":
      (inputs[0], words, status) = (describe(XFER_F64, [1, 8, 8, 4]), "conv2d: the image is f64[1,8,8,4], f32 is wanted", XFER_E_DTYPE)
    case "attributes":
      (attributes.struct_size, words, status) = (
        8, "conv2d: attributes of 8 bytes were given, \(sized(xfer_conv_attributes.self)) are wanted", XFER_E_INVALID_ARGUMENT
      )
    default: (attributes.pad_left, words) = (1, "conv2d: the result is f32[1,6,6,5], wanted is f32[1,6,7,5]")
    }
    let tensors = inputs.map { desc in
      var tensor = CaseTensor([0], [])
      tensor.desc = desc
      return tensor
    }
    let test = Case(XFER_OP_CONV2D, tensors, [floats([1, 6, 6, 5])], attributeBytes(attributes), .exact)
    let runner = try #require(reference)
    let got = runner.withDescription(test, constants: 0, packed: 0) { desc -> xfer_status in
      var (kernel, workspace): (OpaquePointer?, Int) = (nil, 0)
      return runner.backend.prepare(desc, &kernel, &workspace)
    }
    #expect(got == status)
    #expect(host.lastError == words)
  }
}
