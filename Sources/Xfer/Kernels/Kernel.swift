public import CXfer
import Synchronization
public import XferCore
import XferGraph

/// Functions of the program's own, by name: layers (``CustomKernel``) and losses (``CustomLoss``) call them.
///
/// ```swift
/// let softsign: @convention(c) (Float) -> Float = { $0 / (1 + abs($0)) }
/// let slope: @convention(c) (Float, Float) -> Float = { x, dy in dy / ((1 + abs(x)) * (1 + abs(x))) }
/// try Kernel.register("softsign", "f32(f32)", softsign)
/// try Kernel.registerBackward("softsign", "f32(f32 x, f32 dy)", slope)
/// let layer = try CustomKernel("softsign")
/// ```
///
/// A signature says how the function is called; its parameters' names say what is passed: see ``KernelSignature`` and
/// `docs/custom-kernels.md`. Functions run on the thread that runs the plan.
public enum Kernel {
  private static let registered = Mutex<[String: RegisteredKernel]>([:])

  /// Registers a C function: a `@convention(c)` function or closure, or the address of a symbol as an `UnsafeRawPointer`.
  ///
  /// - Parameters:
  ///   - user: what a parameter `void* user` gets.
  ///   - destroy: called once with `user` when nothing uses the kernel any more; not when registering fails or finds the same
  ///     function registered already.
  public static func register<Function>(
    _ name: String, _ signature: String, _ function: Function, user: UnsafeMutableRawPointer? = nil, destroy: xfer_destroy_fn? = nil
  ) throws {
    try add(name, KernelFunction.native(name, signature, address(name, function), backward: false), user, destroy)
  }

  /// Gives a registered kernel the function of its gradient.
  public static func registerBackward<Function>(
    _ name: String, _ signature: String, _ function: Function, user: UnsafeMutableRawPointer? = nil, destroy: xfer_destroy_fn? = nil
  ) throws {
    try find(name, "a backward function").setBackward(
      KernelFunction.native(name, signature, address(name, function), backward: true), user, destroy)
  }

  /// Registers a function that gets everything in one structure: the cheapest call.
  public static func registerFrame(
    _ name: String, _ function: @escaping xfer_frame_fn, user: UnsafeMutableRawPointer? = nil, destroy: xfer_destroy_fn? = nil
  ) throws {
    try add(name, .frame(function), user, destroy)
  }

  public static func registerFrameBackward(
    _ name: String, _ function: @escaping xfer_frame_fn, user: UnsafeMutableRawPointer? = nil, destroy: xfer_destroy_fn? = nil
  ) throws {
    try find(name, "a backward function").setBackward(.frame(function), user, destroy)
  }

  /// Forgets a name. Layers and losses that have the kernel keep it.
  public static func unregister(_ name: String) throws {
    let gone = registered.withLock { $0.removeValue(forKey: name) }
    guard gone != nil else { throw unknown(name, "Kernel") }
  }

  /// The names of all registered kernels.
  public static var names: [String] { registered.withLock { $0.keys.sorted() } }

  /// [{"name", "signature" or null, "backward": signature, true or null}].
  public static var report: JSONValue {
    .array(registered.withLock { all in all.values.sorted { $0.name < $1.name } }.map(\.json))
  }

  static func find(_ name: String, _ user: String) throws -> RegisteredKernel {
    guard let kernel = registered.withLock({ $0[name] }) else { throw unknown(name, user) }
    return kernel
  }

  private static func unknown(_ name: String, _ user: String) -> XferError {
    .notFound(
      "\(user): no kernel '\(name)' is registered\(hint(name, among: names)); kernels are functions of the program, to be registered before "
        + "models that use them are made or loaded")
  }

  private static func add(
    _ name: String, _ function: KernelFunction, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?
  ) throws {
    guard !name.isEmpty, name.utf8.count <= 255 else {
      throw XferError.invalid("a kernel's name is to have from 1 to 255 bytes, it has \(name.utf8.count)")
    }
    try registered.withLock { all in
      if let known = all[name] {
        guard known.forward.isSame(function, user) else {
          throw XferError.state("kernel '\(name)' is registered already, with another function or signature: unregister it first")
        }
        return
      }
      all[name] = RegisteredKernel(name, OwnedFunction(function, user, destroy))
    }
  }

  private static func address<Function>(_ name: String, _ function: Function) throws -> UnsafeRawPointer {
    // A Swift closure is a pair of words; a C function is one.
    guard MemoryLayout<Function>.size == MemoryLayout<UnsafeRawPointer>.size, !(Function.self is AnyObject.Type) else {
      throw XferError.invalid("kernel '\(name)': a @convention(c) function or an UnsafeRawPointer is wanted, \(Function.self) was given")
    }
    guard let address = unsafeBitCast(function, to: UnsafeRawPointer?.self) else {
      throw XferError.invalid("kernel '\(name)': the function is NULL")
    }
    return address
  }
}

/// A function with how it is called.
enum KernelFunction: @unchecked Sendable {
  case native(KernelSignature, CallInterface, UnsafeRawPointer)
  case frame(xfer_frame_fn)

  static func native(_ name: String, _ signature: String, _ address: UnsafeRawPointer, backward: Bool) throws -> KernelFunction {
    do {
      let parsed = try KernelSignature(signature, backward: backward)
      return .native(parsed, try CallInterface(parsed), address)
    } catch let error as XferError {
      throw XferError(error.status, "kernel '\(name)': \(error.message)")
    }
  }

  var signature: KernelSignature? { if case .native(let signature, _, _) = self { signature } else { nil } }
}

/// A function and the `user` that goes with it, given back when the last one who may call it is gone.
final class OwnedFunction: @unchecked Sendable {
  let function: KernelFunction
  let user: UnsafeMutableRawPointer?
  private let destroy: xfer_destroy_fn?

  init(_ function: KernelFunction, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?) {
    (self.function, self.user, self.destroy) = (function, user, destroy)
  }

  deinit { destroy?(user) }

  func isSame(_ other: KernelFunction, _ user: UnsafeMutableRawPointer?) -> Bool {
    guard user == self.user else { return false }
    switch (function, other) {
    case (.native(let a, _, let f), .native(let b, _, let g)): return a == b && f == g
    case (.frame(let f), .frame(let g)): return unsafeBitCast(f, to: Int.self) == unsafeBitCast(g, to: Int.self)
    default: return false
    }
  }
}

/// A kernel as layers and losses hold it.
final class RegisteredKernel: @unchecked Sendable {
  let name: String
  let forward: OwnedFunction
  private let gradient = Mutex<OwnedFunction?>(nil)

  init(_ name: String, _ forward: OwnedFunction) { (self.name, self.forward) = (name, forward) }

  var backward: OwnedFunction? { gradient.withLock { $0 } }

  func setBackward(_ function: KernelFunction, _ user: UnsafeMutableRawPointer?, _ destroy: xfer_destroy_fn?) throws {
    if let signature = function.signature, let forward = forward.function.signature {
      guard signature.inputCount <= forward.inputCount else {
        throw XferError.format(
          "kernel '\(name)': the backward signature \"\(signature.text)\" names input \(signature.inputCount - 1), the forward one \"\(forward.text)\" has \(forward.inputCount)"
        )
      }
      if case .element = signature.result, forward.inputCount > 1 {
        throw XferError.format(
          "kernel '\(name)': a backward function of elements gives one gradient, the kernel has \(forward.inputCount) inputs: write f32* dx0, f32* dx1, …"
        )
      }
    }
    try gradient.withLock { known in
      if let known {
        guard known.isSame(function, user) else {
          throw XferError.state("kernel '\(name)' has a backward function already: unregister the kernel first")
        }
        return
      }
      known = OwnedFunction(function, user, destroy)
    }
  }

  /// Inputs of a call; nil for a frame function, which takes any number.
  var inputCount: Int? { forward.function.signature?.inputCount }

  /// The input a kernel is mainly about: y_pred of a loss.
  var primary: Int { forward.function.signature?.isLoss == true ? 1 : 0 }

  var json: JSONValue {
    let back: JSONValue = backward.map { $0.function.signature.map { .string($0.text) } ?? true } ?? nil
    return ["name": .string(name), "signature": forward.function.signature.map { .string($0.text) } ?? nil, "backward": back]
  }

  /// Attributes as the functions want them: each that a signature names is to be given, and no other.
  func check(_ attributes: [String: JSONValue], _ what: String) throws -> [String: Double] {
    var values: [String: Double] = [:]
    for (key, value) in attributes {
      guard let number = value.doubleValue ?? value.boolValue.map({ $0 ? 1 : 0 }) else {
        throw XferError.invalid("\(what): attribute '\(key)' of kernel '\(name)' is to be a number, \(value.text()) was given")
      }
      values[key] = number
    }
    let signatures = [forward, backward].compactMap { $0?.function.signature }
    // A frame function reads what it likes.
    guard signatures.count == (backward == nil ? 1 : 2) else { return values }
    let wanted = signatures.flatMap(\.attributes)
    for parameter in wanted {
      guard let value = values[parameter.name] else {
        throw XferError.invalid("\(what): kernel '\(name)' wants the attribute '\(parameter.name)', which was not given")
      }
      guard let type = parameter.type, type.isInteger else { continue }
      let limits = type == .u8 ? 0...255.0 : type == .i32 ? -2147483648.0...2147483647 : -9007199254740992.0...9007199254740992
      guard value == value.rounded(), limits.contains(value) else {
        throw XferError.invalid(
          "\(what): attribute '\(parameter.name)' of kernel '\(name)' is to be a whole number of type \(type.rawValue), \(value) was given")
      }
    }
    if let stray = values.keys.sorted().first(where: { key in !wanted.contains { $0.name == key } }) {
      throw XferError.invalid("\(what): kernel '\(name)' has no attribute '\(stray)'\(hint(stray, among: wanted.map(\.name)))")
    }
    return values
  }

  /// The op of a call with these attributes.
  func op(attributes: [String: Double], what: String) throws -> CustomOp {
    let title = "kernel '\(name)'"
    let (forward, backward, primary) = (forward, backward, primary)
    return CustomOp(
      name: title,
      prepare: { inputs, outputs in
        try KernelCall.prepare(
          KernelCall.Site(title: title, isBackward: false, primary: primary, attributes: attributes), forward, inputs, outputs.map { $0 })
      },
      prepareBackward: backward.map { backward in
        { inputs, gradients in
          try KernelCall.prepare(
            KernelCall.Site(title: "\(title) backward", isBackward: true, primary: primary, attributes: attributes), backward, inputs,
            gradients)
        }
      })
  }
}
