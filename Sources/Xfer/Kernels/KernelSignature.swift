public import XferCore

/// The C signature of a kernel, `"void(f32* x, i64 n, f32 alpha, f32* y)"`, and what each of its parameters stands for.
///
///     signature  = result "(" [ parameter { "," parameter } ] ")"
///     result     = "void" | "i32" | "f32" | "f64"
///     parameter  = [ "const" ] type [ "*" ] [ name ]
///     type       = "f32" | "f64" | "i32" | "i64" | "u8" | "void"      ("void" only in "void* user")
///
/// A parameter's name says what is passed: `docs/custom-kernels.md` has the table.
public struct KernelSignature: Equatable, Sendable {
  public enum Scalar: String, CaseIterable, Sendable {
    case f32, f64, i32, i64, u8
    var size: Int {
      switch self {
      case .u8: 1
      case .f32, .i32: 4
      case .f64, .i64: 8
      }
    }
    var isInteger: Bool { self != .f32 && self != .f64 }
    var dtype: DType {
      switch self {
      case .f32: .float32
      case .f64: .float64
      case .i32: .int32
      case .i64: .int64
      case .u8: .uint8
      }
    }
  }

  /// `element`: the function is called for each element and its result is the output's element.
  public enum Result: Equatable, Sendable { case nothing, status, element(Scalar) }

  /// A tensor of a call: an input, the output, the gradient that comes in, or the gradient of an input that goes out.
  public enum Operand: Equatable, Sendable {
    case input(Int), output, outputGradient, inputGradient(Int)
  }

  public enum Role: Equatable, Sendable {
    case tensor(Operand)
    /// Number of elements, rank, dimensions; nil stands for the input the kernel is mainly about.
    case count(Operand?), rank(Operand?), dims(Operand?)
    case rows, columns
    case user
    case attribute(String)
  }

  public struct Parameter: Equatable, Sendable {
    /// Nil for void.
    public let type: Scalar?
    public let isPointer: Bool
    public let name: String
    public let role: Role
  }

  public let text: String
  public let isBackward: Bool
  public let result: Result
  public let parameters: [Parameter]

  /// How many inputs a call has, or, of a backward function, how many it knows of.
  public var inputCount: Int {
    (parameters.compactMap { parameter -> Int? in
      switch parameter.role {
      case .tensor(.input(let index)), .tensor(.inputGradient(let index)): index
      default: nil
      }
    }.max() ?? -1) + 1
  }
  /// Names of the attributes, in order.
  public var attributes: [Parameter] { parameters.filter { if case .attribute = $0.role { true } else { false } } }
  /// Whether the kernel is a loss: it names y_pred.
  public var isLoss: Bool { parameters.contains { $0.name == "y_pred" } }

  static let inputLimit = 8
  static let parameterLimit = 32

  /// Throws ``XFER_E_FORMAT`` with the place in the text for what is not of the grammar, and for what has no meaning.
  public init(_ text: String, backward: Bool = false) throws {
    self.text = text
    isBackward = backward
    var scanner = try SignatureScanner(text)
    let result: Result
    let start = scanner.position
    switch try scanner.word("a result type: void, i32, f32 or f64") {
    case "void": result = .nothing
    case "i32": result = .status
    case "f32": result = .element(.f32)
    case "f64": result = .element(.f64)
    case let other:
      throw scanner.error(
        at: start,
        "'\(other)' is no result type; void, i32 (a status), f32 or f64 (of a function of elements) are\(SignatureScanner.spelling(other))")
    }
    self.result = result
    if scanner.peek == UInt8(ascii: "*") { throw scanner.error(at: scanner.position, "a result cannot be a pointer") }
    try scanner.expect("(")
    var parameters: [Parameter] = []
    if !scanner.accept(")") {
      repeat {
        guard parameters.count < Self.parameterLimit else {
          throw scanner.error(at: scanner.position, "more than \(Self.parameterLimit) parameters")
        }
        let (place, parameter) = try Self.parameter(&scanner, index: parameters.count, result: result, backward: backward)
        if parameters.contains(where: { $0.role == parameter.role }) {
          throw scanner.error(at: place, "'\(parameter.name)' is named twice")
        }
        parameters.append(parameter)
      } while scanner.accept(",")
      try scanner.expect(")")
    }
    try scanner.end()
    self.parameters = parameters
    try check(scanner)
  }

  private static func parameter(
    _ scanner: inout SignatureScanner, index: Int, result: Result, backward: Bool
  ) throws -> (Int, Parameter) {
    if scanner.startsWith("...") {
      throw scanner.error(at: scanner.position, "functions of a variable number of arguments cannot be called")
    }
    var start = scanner.position
    var word = try scanner.word("a parameter's type")
    let isConst = word == "const"
    if isConst {
      start = scanner.position
      word = try scanner.word("a parameter's type")
    }
    if ["struct", "union", "enum"].contains(word) {
      throw scanner.error(at: start, "a \(word) cannot be passed; numbers and pointers to numbers can")
    }
    let type = Scalar(rawValue: word)
    guard type != nil || word == "void" else {
      throw scanner.error(
        at: start, "unknown type '\(word)'; f32, f64, i32, i64, u8 and pointers to them are known\(SignatureScanner.spelling(word))")
    }
    let isPointer = scanner.accept("*")
    if scanner.peek == UInt8(ascii: "*") { throw scanner.error(at: scanner.position, "a pointer to a pointer cannot be passed") }
    let place = scanner.position
    var name = scanner.optionalWord()
    if name == nil, case .element = result, !isPointer, type != nil, !backward { name = "x\(index)" }
    guard let name else { throw scanner.error(at: place, "a parameter's name is wanted: it says what is passed") }
    if scanner.peek == UInt8(ascii: "[") { throw scanner.error(at: scanner.position, "arrays are written as pointers: f32* \(name)") }
    let role = role(name, backward: backward)
    try fits(name, role, type, isPointer, isConst, result, backward) { scanner.error(at: start, $0) }
    return (place, Parameter(type: type, isPointer: isPointer, name: name, role: role))
  }

  private static func numbered(_ name: String, _ prefix: String) -> Int? {
    guard name.hasPrefix(prefix), name.utf8.count == prefix.utf8.count + 1, let index = Int(name.dropFirst(prefix.count)),
      index < inputLimit
    else { return nil }
    return index
  }

  private static func role(_ name: String, backward: Bool) -> Role {
    switch name {
    case "x", "y_true": return .tensor(.input(0))
    case "y_pred": return .tensor(.input(1))
    case "y": return .tensor(.output)
    case "dy": return .tensor(.outputGradient)
    case "dx", "dy_true": return .tensor(.inputGradient(0))
    case "dy_pred": return .tensor(.inputGradient(1))
    case "n": return .count(nil)
    case "ny": return .count(.output)
    case "rank": return .rank(nil)
    case "ranky": return .rank(.output)
    case "dims": return .dims(nil)
    case "dimsy": return .dims(.output)
    case "rows": return .rows
    case "cols": return .columns
    case "user": return .user
    default: break
    }
    if let index = numbered(name, "x") { return .tensor(.input(index)) }
    if let index = numbered(name, "dx") { return .tensor(.inputGradient(index)) }
    if let index = numbered(name, "n") { return .count(.input(index)) }
    if let index = numbered(name, "rank") { return .rank(.input(index)) }
    if let index = numbered(name, "dims") { return .dims(.input(index)) }
    return .attribute(name)
  }

  private static func fits(
    _ name: String, _ role: Role, _ type: Scalar?, _ isPointer: Bool, _ isConst: Bool, _ result: Result, _ backward: Bool,
    _ error: (String) -> XferError
  ) throws {
    let perElement = if case .element = result { true } else { false }
    switch role {
    case .user:
      guard type == nil, isPointer else { throw error("'user' is the pointer given at registration: void* user is wanted") }
      return
    case .dims:
      guard type == .i64, isPointer else { throw error("'\(name)' is an array of dimensions: const i64* \(name) is wanted") }
      return
    default: break
    }
    guard let type else { throw error("void stands only in 'void* user'") }
    switch role {
    case .tensor(let operand):
      switch operand {
      case .outputGradient where !backward, .inputGradient where !backward:
        throw error(
          "'\(name)' is of a backward function; a forward one has inputs x, x0 to x\(inputLimit - 1), y_true, y_pred and the output y")
      default: break
      }
      let written =
        switch operand {
        case .output: !backward
        case .inputGradient: true
        default: false
        }
      if perElement {
        guard !written else { throw error("'\(name)' is the result of a function of elements and cannot be a parameter too") }
        guard !isPointer else { throw error("a function of elements takes numbers: \(type.rawValue) \(name) is wanted") }
      } else {
        guard isPointer else { throw error("'\(name)' is a tensor: \(type.rawValue)* \(name) is wanted") }
        guard !(written && isConst) else { throw error("'\(name)' is written, so it cannot be const") }
      }
    case .count, .rank, .rows, .columns:
      guard !isPointer, type == .i64 || type == .i32 else { throw error("'\(name)' is a count: i64 \(name) or i32 \(name) is wanted") }
    case .attribute:
      guard !isPointer else {
        throw error(
          "'\(name)' is not the name of a tensor: pointers are x, x0 to x\(inputLimit - 1), y_true, y_pred, y, dims"
            + (backward ? ", dy, dx, dx0 to dx\(inputLimit - 1), dy_pred" : "") + " and void* user")
      }
    case .dims, .user: break
    }
  }

  /// What holds of the whole.
  private func check(_ scanner: SignatureScanner) throws {
    let end = scanner.position
    let perElement = if case .element = result { true } else { false }
    let tensors = parameters.compactMap { parameter -> Operand? in if case .tensor(let operand) = parameter.role { operand } else { nil } }
    if isBackward {
      let gradients = tensors.contains { if case .inputGradient = $0 { true } else { false } }
      guard perElement || gradients else {
        throw scanner.error(at: end, "a backward function writes at least one gradient: f32* dx is missing")
      }
    } else {
      guard inputCount > 0 else { throw scanner.error(at: end, "there is no input: f32* x is missing") }
      for index in 0..<inputCount where !tensors.contains(.input(index)) {
        throw scanner.error(at: end, "the inputs have a gap: x\(index) is missing")
      }
      guard perElement || tensors.contains(.output) else { throw scanner.error(at: end, "there is no output: f32* y is missing") }
    }
  }

  /// What bindings of other languages read.
  public var json: JSONValue {
    let result: JSONValue =
      switch result {
      case .nothing: "void"
      case .status: "i32"
      case .element(let type): .string(type.rawValue)
      }
    return ["result": result, "inputs": .int(inputCount), "parameters": .array(parameters.map(\.json))]
  }
}

extension KernelSignature.Parameter {
  fileprivate var json: JSONValue {
    var index: JSONValue = nil
    func operand(_ operand: KernelSignature.Operand?) -> JSONValue {
      switch operand {
      case .input(let i)?: index = .int(i); return "x"
      case .inputGradient(let i)?: index = .int(i); return "dx"
      case .output?: return "y"
      case .outputGradient?: return "dy"
      case nil: return nil
      }
    }
    let (role, of): (JSONValue, JSONValue) =
      switch self.role {
      case .tensor(let o): ("tensor", operand(o))
      case .count(let o): ("count", operand(o))
      case .rank(let o): ("rank", operand(o))
      case .dims(let o): ("dims", operand(o))
      case .rows: ("rows", nil)
      case .columns: ("cols", nil)
      case .user: ("user", nil)
      case .attribute: ("attribute", nil)
      }
    return [
      "name": .string(name), "type": type.map { .string($0.rawValue) } ?? "void", "pointer": .bool(isPointer), "role": role, "of": of,
      "index": index,
    ]
  }
}

/// Words and marks of a signature, and errors that point into it.
struct SignatureScanner {
  private let bytes: [UInt8]
  private(set) var position = 0

  init(_ text: String) throws {
    bytes = Array(text.utf8)
    guard bytes.count <= 4096 else {
      throw XferError.format("a kernel's signature of \(bytes.count) bytes was given, at most 4096 are read")
    }
    skip()
  }

  private mutating func skip() {
    while position < bytes.count, [32, 9, 10, 13].contains(bytes[position]) { position += 1 }
  }

  var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

  func startsWith(_ text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

  mutating func accept(_ mark: Unicode.Scalar) -> Bool {
    guard peek == UInt8(ascii: mark) else { return false }
    position += 1
    skip()
    return true
  }

  mutating func expect(_ mark: Unicode.Scalar) throws {
    guard accept(mark) else { throw error(at: position, "'\(mark)' is wanted, \(found) was given") }
  }

  mutating func end() throws {
    guard peek == nil else { throw error(at: position, "nothing may follow the last ')', \(found) was given") }
  }

  mutating func optionalWord() -> String? {
    func letter(_ byte: UInt8) -> Bool { byte | 0x20 >= 97 && byte | 0x20 <= 122 && byte < 128 || byte == 95 }
    guard let first = peek, letter(first) else { return nil }
    let start = position
    while let byte = peek, letter(byte) || byte >= 48 && byte <= 57 { position += 1 }
    let word = String(decoding: bytes[start..<position], as: UTF8.self)
    skip()
    return word
  }

  mutating func word(_ wanted: String) throws -> String {
    let place = position
    guard let word = optionalWord() else { throw error(at: place, "\(wanted) is wanted, \(found) was given") }
    return word
  }

  private var found: String {
    guard let byte = peek else { return "the end" }
    return byte > 32 && byte < 127 ? "'\(Character(Unicode.Scalar(byte)))'" : "byte \(byte)"
  }

  /// "signature "void(foo z)", character 6, at "foo z)": …".
  func error(at place: Int, _ message: String) -> XferError {
    let rest = bytes[min(place, bytes.count)...].prefix(24)
    let whole = String(decoding: bytes.prefix(200), as: UTF8.self)
    let here = rest.isEmpty ? "at the end" : "at \"\(String(decoding: rest, as: UTF8.self))\""
    return .format("signature \"\(whole)\", character \(place + 1), \(here): \(message)")
  }

  /// The word for a type of C's.
  static func spelling(_ word: String) -> String {
    let known = [
      "float": "f32", "double": "f64", "int": "i32", "int32_t": "i32", "long": "i64", "int64_t": "i64", "size_t": "i64", "char": "u8",
      "uint8_t": "u8", "unsigned": "u8",
    ]
    return known[word].map { "; C's \(word) is \($0)" } ?? ""
  }
}
