import CXfer
import Glibc
import Synchronization
import Testing
import XferCore
import XferGraph
@testable import Xfer

private let swishForward: @convention(c) (UnsafePointer<Float>, Int64, Float, UnsafeMutablePointer<Float>) -> Void = { x, n, beta, y in
  for i in 0..<Int(n) { y[i] = x[i] / (1 + expf(-beta * x[i])) }
}
private let swishBackward: @convention(c) (UnsafePointer<Float>, UnsafePointer<Float>, Int64, Float, UnsafeMutablePointer<Float>) -> Int32 =
  {
    x, dy, n, beta, dx in
    for i in 0..<Int(n) {
      let s = 1 / (1 + expf(-beta * x[i]))
      dx[i] = dy[i] * (s + beta * x[i] * s * (1 - s))
    }
    return 0
  }
private let tanhDouble: @convention(c) (Double) -> Double = { tanh($0) }
private let tanhSlope: @convention(c) (Double, Double) -> Double = { y, dy in dy * (1 - y * y) }

@Suite struct KernelTests {
  /// A kernel layer of this name between trainable shifts, for gradients through it.
  static func register(_ name: String) throws {
    try Kernel.register(name, "void(const f32* x, i64 n, f32 beta, f32* y)", swishForward)
    try Kernel.registerBackward(name, "i32(f32* x, f32* dy, i64 n, f32 beta, f32* dx)", swishBackward)
  }

  @Test(arguments: [
    ("f32(f32)", ["tensor"]), ("f64(f64, f64)", ["tensor", "tensor"]), ("f32( f32 x , i32 power )", ["tensor", "attribute"]),
    ("void(f32* x,f32*y)", ["tensor", "tensor"]),
    ("i32(const f64 *x, i32 rows, i64 cols, u8* y, void* user)", ["tensor", "rows", "cols", "tensor", "user"]),
    (
      "void(i32* y_true, f32* y_pred, i64 n0, i32 rank1, const i64* dims, f32* y)", ["tensor", "tensor", "count", "rank", "dims", "tensor"]
    ),
  ])
  func signaturesAreRead(_ text: String, _ roles: [String]) throws {
    let signature = try KernelSignature(text)
    #expect(signature.json["parameters"]?.arrayValue?.compactMap { $0["role"]?.stringValue } == roles)
  }

  @Test(arguments: [
    ("", "character 1, at the end"), ("void", "'(' is wanted"), ("void(", "character 6, at the end"), ("void()", "there is no input"),
    ("f16(f32)", "'f16' is no result type"), ("float(float)", "C's float is f32"), ("void(float* x, f32* y)", "character 6, at \"float* x"),
    ("void(struct point x, f32* y)", "a struct cannot be passed"), ("void(f32* x, ...)", "variable number"),
    ("void(f32** x, f32* y)", "a pointer to a pointer"), ("f32*(f32* x)", "a result cannot be a pointer"),
    ("void(f32 x, f32* y)", "'x' is a tensor"),
    ("void(f32* x, const f32* y)", "cannot be const"), ("void(f32* x, f32* y, f32* z)", "'z' is not the name of a tensor"),
    ("void(f32* x, f32* y) extra", "nothing may follow"), ("void(f32* x0, f32* x2, f32* y)", "x1 is missing"),
    ("void(f32* x)", "f32* y is missing"),
    ("void(f32* x, f32* x, f32* y)", "'x' is named twice"), ("void(f32* x, f32* x0, f32* y)", "named twice"),
    ("void(f32* x, f64 n, f32* y)", "'n' is a count"),
    ("void(f32* x, f32* y, f32* dx)", "is of a backward function"), ("f32(f32* x)", "takes numbers"),
    ("void(void x, f32* y)", "void stands only"),
    ("void(f32* x[4], f32* y)", "arrays are written"), ("void(f32*, f32*)", "name is wanted"),
    ("void(f32* x, f32 user, f32* y)", "void* user is wanted"),
    ("void(f32* é, f32* y)", "a parameter's name is wanted"), ("void(f32* x,, f32* y)", "type is wanted, ','"),
  ])
  func wrongSignaturesPointAtThePlace(_ text: String, _ wanted: String) throws {
    let error = #expect(throws: XferError.self) { try KernelSignature(text) }
    #expect(error?.status == XFER_E_FORMAT)
    #expect(error?.message.contains(wanted) == true, "\(error?.message ?? "")")
  }

  @Test func computesAndPassesGradients() throws {
    try Self.register("t.swish")
    let input = try Input(shape: [5])
    let shift = try Shift(shape: [5])
    let dense = try LayerRegistry.make("Dense", config: ["units": 4])
    let kernel = try CustomKernel("t.swish", attributes: ["beta": 1.5])
    let model = try Model(inputs: [input], outputs: [kernel(dense(shift(input)))])
    try fill(model)
    try checkGradients(model, randomTensor([3, 5], seed: 1))

    let x = try Tensor([-2, 0, 0.5, 3])
    let layer = try CustomKernel("t.swish", attributes: ["beta": 1.5])
    let y = try layer(x.reshaped([2, 2])).floats
    for (value, made) in zip(x.floats, y) { #expect(abs(made - value / (1 + expf(-1.5 * value))) < 1e-6) }
  }

  @Test func functionsOfElementsAreMapped() throws {
    try Kernel.register("t.tanh", "f64(f64)", tanhDouble)
    try Kernel.registerBackward("t.tanh", "f64(f64 y, f64 dy)", tanhSlope)
    let input = try Input(shape: [4])
    let model = try Model(inputs: [input], outputs: [CustomKernel("t.tanh")(Shift(shape: [4])(input))])
    try fill(model)
    try checkGradients(model, randomTensor([3, 4], seed: 2))
    let x = try randomTensor([2, 3], seed: 3)
    let layer = try CustomKernel("t.tanh")
    #expect(relativeError(try layer(x).floats, x.floats.map { tanhf($0) }) < 1e-6)
    // Of two numbers, through libffi.
    let hypotenuse: @convention(c) (Float, Float) -> Float = { hypotf($0, $1) }
    try Kernel.register("t.hypot", "f32(f32, f32)", hypotenuse)
    let two = try CustomKernel("t.hypot")
    let result = try two([Tensor([3, 5], shape: [2, 1]), Tensor([4, 12], shape: [2, 1])])
    #expect(result.floats == [5, 13])
  }

  @Test func everyKindOfArgumentArrives() throws {
    typealias Everything =
      @convention(c) (
        UnsafePointer<Double>, UnsafePointer<Int32>, Int64, Int32, Int32, Int64, UnsafePointer<Int64>, UInt8, Double,
        UnsafeMutableRawPointer?,
        Int64, UnsafeMutablePointer<Double>
      ) -> Int32
    let everything: Everything = { x, labels, n, rows, cols, rank, dims, byte, number, user, count, y in
      let seen: [Double] = [
        x[1], Double(labels[1]), Double(n), Double(rows), Double(cols), Double(rank), Double(dims[1]), Double(byte), number,
        Double(user?.load(as: Int32.self) ?? 0), Double(count),
      ]
      for (index, value) in seen.enumerated() { y[index] = value }
      return 0
    }
    let user = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
    user.pointee = 77
    defer { user.deallocate() }
    try Kernel.register(
      "t.everything",
      "i32(const f64* x0, i32* x1, i64 n, i32 rows, i32 cols, i64 rank, const i64* dims, u8 byte, f64 number, void* user, i64 ny, f64* y)",
      everything, user: user)
    defer { try? Kernel.unregister("t.everything") }
    let layer = try CustomKernel("t.everything", attributes: ["byte": 200, "number": 0.25], outputShape: [11])
    let out = try layer([Tensor([1.5, 2.5, 3.5], shape: [1, 3]), Tensor([7, 8.9], shape: [1, 2])])
    #expect(out.floats == [2.5, 8, 3, 1, 3, 2, 3, 200, 0.25, 77, 11])
  }

  @Test func framesAreCalled() throws {
    let forward: xfer_frame_fn = { call in
      guard let call = call?.pointee, call.n_inputs == 2, call.n_attributes == 1, let x = call.inputs, let y = call.outputs,
        let factor = call.attribute_values?[0], String(cString: call.attribute_names[0]!) == "factor"
      else { return 9 }
      let (a, b) = (x[0].data.assumingMemoryBound(to: Float.self), x[1].data.assumingMemoryBound(to: Float.self))
      let out = y[0].data.assumingMemoryBound(to: Float.self)
      for i in 0..<Int(y[0].count) { out[i] = a[i] * b[i] * Float(factor) }
      return 0
    }
    let backward: xfer_frame_fn = { call in
      guard let call = call?.pointee, call.n_inputs == 4, call.n_outputs == 2, call.is_backward == 1, let x = call.inputs else { return 9 }
      let dy = x[3].data.assumingMemoryBound(to: Float.self)
      for side in 0..<2 {
        guard let dx = call.outputs[side].data?.assumingMemoryBound(to: Float.self) else { continue }
        let other = x[1 - side].data.assumingMemoryBound(to: Float.self)
        for i in 0..<Int(x[3].count) { dx[i] = dy[i] * other[i] * Float(call.attribute_values[0]) }
      }
      return 0
    }
    try Kernel.registerFrame("t.product", forward)
    try Kernel.registerFrameBackward("t.product", backward)
    let input = try Input(shape: [3])
    let shifted = try Shift(shape: [3])(input)
    let both = try Model(
      inputs: [input], outputs: [CustomKernel("t.product", attributes: ["factor": 0.5])([shifted, Shift(shape: [3])(input)])])
    try fill(both)
    try checkGradients(both, randomTensor([2, 3], seed: 4))
    // One side wants no gradient.
    let one = try Model(inputs: [input], outputs: [CustomKernel("t.product", attributes: ["factor": 0.5])([input, shifted])])
    try fill(one)
    try checkGradients(one, randomTensor([2, 3], seed: 5))
  }

  @Test func refusalsNameTheKernel() throws {
    func refused(_ status: xfer_status, _ text: String, _ body: () throws -> Void) {
      let error = #expect(throws: XferError.self, performing: body)
      #expect(error?.status == status && error?.message.contains(text) == true, "\(error?.message ?? "")")
    }
    let failing: @convention(c) (UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Int32 = { _, _ in 42 }
    try Kernel.register("t.failing", "i32(f32* x, f32* y)", failing)
    try Kernel.register("t.failing", "i32(f32* x, f32* y)", failing)
    refused(XFER_E_STATE, "registered already") { try Kernel.register("t.failing", "i32(const f32* x, f32* y)", swishForward) }
    let layer = try CustomKernel("t.failing")
    refused(XFER_E_DATA, "'t.failing' failed: it returned the status 42") { _ = try layer(Tensor([1], shape: [1, 1])) }
    refused(XFER_E_NOT_FOUND, "did you mean 't.failing'") { _ = try CustomKernel("t.faling") }
    refused(XFER_E_INVALID_ARGUMENT, "no attribute 'beta'") { _ = try CustomKernel("t.failing", attributes: ["beta": 1]) }
    refused(XFER_E_INVALID_ARGUMENT, "@convention(c)") { try Kernel.register("t.thick", "f32(f32)", { (x: Float) in x }) }
    try Self.register("t.swish2")
    refused(XFER_E_INVALID_ARGUMENT, "wants the attribute 'beta'") { _ = try CustomKernel("t.swish2") }
    refused(XFER_E_NOT_FOUND, "t.nothing") { try Kernel.unregister("t.nothing") }

    // Training through a kernel without a gradient.
    let input = try Input(shape: [2])
    let model = try Model(inputs: [input], outputs: [CustomKernel("t.failing")(LayerRegistry.make("Dense", config: ["units": 2])(input))])
    try model.compile(optimizer: Optimizer.make("SGD"), loss: Loss.make("BinaryCrossentropy"))
    refused(XFER_E_UNSUPPORTED, "'t.failing' was given without a backward function") {
      _ = try model.trainer?.trainOnBatch(Batch(x: Tensor([1, 2], shape: [1, 2]), y: Tensor([0, 1], shape: [1, 2])))
    }
  }

  @Test func unregisteredKernelsLiveInTheirLayers() throws {
    final class Count: Sendable { let value = Atomic<Int>(0) }
    let count = Count()
    let user = Unmanaged.passRetained(count).toOpaque()
    try Kernel.register("t.brief", "f32(f32)", { $0 * 2 } as @convention(c) (Float) -> Float, user: user) { user in
      guard let user else { return }
      Unmanaged<Count>.fromOpaque(user).takeRetainedValue().value.add(1, ordering: .relaxed)
    }
    func use() throws {
      let layer = try CustomKernel("t.brief")
      try Kernel.unregister("t.brief")
      #expect(try layer(Tensor([4], shape: [1, 1])).floats == [8])
      #expect(count.value.load(ordering: .relaxed) == 0)
    }
    try use()
    #expect(count.value.load(ordering: .relaxed) == 1)
    #expect(throws: XferError.self) { try CustomKernel("t.brief") }
  }

  @Test func modelsAreSavedByTheKernelsName() throws {
    try Self.register("t.saved")
    let input = try Input(shape: [3])
    let model = try Model(inputs: [input], outputs: [CustomKernel("t.saved", attributes: ["beta": 0.5], name: "act")(input)])
    let again = try Model.fromJSON(model.toJSON())
    let x = try randomTensor([2, 3], seed: 6)
    #expect(try again([x]).floats == model([x]).floats)
    try Kernel.unregister("t.saved")
    let error = #expect(throws: XferError.self) { try Model.fromJSON(model.toJSON()) }
    #expect(error?.status == XFER_E_NOT_FOUND && error?.message.contains("'t.saved'") == true)
  }

  @Test func lossesTrain() throws {
    let loss: @convention(c) (UnsafePointer<Float>, UnsafePointer<Float>, Int64, Int64, UnsafeMutablePointer<Float>) -> Void = {
      truth, prediction, rows, cols, y in
      for row in 0..<Int(rows) {
        for i in row * Int(cols)..<(row + 1) * Int(cols) { y[row] += (prediction[i] - truth[i]) * (prediction[i] - truth[i]) / Float(cols) }
      }
    }
    let slope:
      @convention(c) (
        UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>, Int64, Int64, UnsafeMutablePointer<Float>
      ) -> Void = { truth, prediction, dy, n, cols, dx in
        for i in 0..<Int(n) { dx[i] = 2 * (prediction[i] - truth[i]) / Float(cols) * dy[i / Int(cols)] }
      }
    try Kernel.register("t.mse", "void(f32* y_true, f32* y_pred, i64 rows, i64 cols, f32* y)", loss)
    try Kernel.registerBackward("t.mse", "void(f32* y_true, f32* y_pred, f32* dy, i64 n, i64 cols, f32* dy_pred)", slope)
    let input = try Input(shape: [3])
    let dense = try LayerRegistry.make("Dense", config: ["units": 2, "kernel_initializer": "zeros"])
    let model = try Model(inputs: [input], outputs: [dense(input)])
    try fill(model)
    let custom = try Loss.make("CustomLoss", config: ["kernel": "t.mse"])
    let (x, y) = (try randomTensor([4, 3], seed: 7), try randomTensor([4, 2], seed: 8))
    let prediction = try model([x])
    let expected = zip(prediction.floats, y.floats).map { ($0 - $1) * ($0 - $1) }.reduce(0, +) / 8
    #expect(abs(try custom(y, prediction).floats[0] - expected) < 1e-5)
    let trainer = try model.compile(optimizer: Optimizer.make("SGD", config: ["learning_rate": 0.1]), loss: custom)
    var last = Float.infinity
    for _ in 0..<5 {
      _ = try trainer.trainOnBatch(Batch(x: x, y: y))
      let now = try custom(y, model([x])).floats[0]
      #expect(now < last)
      last = now
    }
    // The same loss composed of functions gives the same number.
    let (truth, guess) = (try Input(shape: [2]), try Input(shape: [2]))
    let difference = try LayerRegistry.make("Op", config: ["op": "subtract"])([truth, guess])
    let square = try LayerRegistry.make("Op", config: ["op": "square"])(difference)
    let composed = try Loss.make("CustomLoss", config: ["model": Model(inputs: [truth, guess], outputs: [square]).serialized])
    #expect(abs(try composed(y, prediction).floats[0] - expected) < 1e-5)
  }

  @Test func lambdas() throws {
    let input = try Input(shape: [4])
    let composed = Lambda { inputs, context in try context.graph.multiply(inputs[0], context.graph.unary(.sin, inputs[0])) }
    let direct = Lambda(
      forward: { x, y in for i in 0..<y.count { y.float32[i] = x[0].float32[i] * x[0].float32[i] } },
      backward: { x, _, dy, dx in
        if let dx = dx[0] { for i in 0..<dx.count { dx.float32[i] = 2 * x[0].float32[i] * dy.float32[i] } }
      })
    let model = try Model(inputs: [input], outputs: [direct(composed(Shift(shape: [4])(input)))])
    try fill(model)
    try checkGradients(model, randomTensor([3, 4], seed: 9))
    #expect(throws: XferError.self) { try Model.fromJSON(model.toJSON()) }
  }
}

/// A model's weight gradients against central differences.
private func checkGradients(_ model: Model, _ x: Tensor) throws {
  let output = try model([x])
  let factors = try randomTensor([output.count], seed: 98)
  let tape = GradientTape()
  let value = try WeightedSum(factors)(Tensor([1]), model([x], tape: tape), tape: tape)
  let gradients = try tape.gradient(value, model.trainableWeights)
  func total() throws -> Double { try zip(model([x]).floats, factors.floats).reduce(0.0) { $0 + Double($1.0) * Double($1.1) } }
  #expect(!gradients.isEmpty)
  for (variable, gradient) in zip(model.trainableWeights, gradients) {
    let gradient = try #require(gradient)
    for i in 0..<variable.count {
      let kept = variable.tensor.float32[i]
      variable.tensor.float32[i] = kept + 4e-3
      variable.touch()
      let above = try total()
      variable.tensor.float32[i] = kept - 4e-3
      variable.touch()
      let below = try total()
      variable.tensor.float32[i] = kept
      variable.touch()
      let difference = (above - below) / 8e-3
      #expect(abs(difference - Double(gradient.floats[i])) < 0.02 * max(abs(difference), 0.2), "\(variable.path)[\(i)]")
    }
  }
}
