import CXfer
import Xfer
import XferCore

/// A wrong argument: the function's name goes in front of the message.
struct ArgumentError: Error {
  let status: xfer_status
  let message: String
}

/// Runs a function's body and turns what it throws into a status and the thread's last error.
func call(_ function: StaticString = #function, _ body: () throws -> Void) -> xfer_status {
  do {
    try body()
    return XFER_OK
  } catch let error as XferError {
    LastError.set(error.message)
    return error.status
  } catch let error as ArgumentError {
    LastError.set("\("\(function)".prefix { $0 != "(" }): \(error.message)")
    return error.status
  } catch {
    LastError.set("\("\(function)".prefix { $0 != "(" }): \(error)")
    return XFER_E_INTERNAL
  }
}

func invalid(_ message: String) -> ArgumentError { ArgumentError(status: XFER_E_INVALID_ARGUMENT, message: message) }

// MARK: Handles in

func object<Object>(_ handle: OpaquePointer?, _ kind: Kind<Object>, _ name: String) throws -> Object {
  guard let handle else {
    throw ArgumentError(status: XFER_E_INVALID_HANDLE, message: "\(name) is NULL, a \(kind.name) handle is wanted")
  }
  return try get(HandleTable.find(handle, kind), kind, name)
}

/// Nil for NULL.
func optional<Object>(_ handle: OpaquePointer?, _ kind: Kind<Object>, _ name: String) throws -> Object? {
  try handle.map { try object($0, kind, name) }
}

func get<Object>(_ result: Result<Object, HandleTable.Refusal>, _ kind: Kind<Object>, _ name: String) throws -> Object {
  switch result {
  case .success(let object): return object
  case .failure(let refusal):
    throw ArgumentError(status: XFER_E_INVALID_HANDLE, message: "\(name) \(refusal.reason), a \(kind.name) handle is wanted")
  }
}

/// `count` handles from an array; each must be there.
func objects<Object>(_ handles: UnsafePointer<OpaquePointer?>?, _ count: Int, _ kind: Kind<Object>, _ name: String) throws -> [Object] {
  try elements(handles, count, name).enumerated().map { try object($1, kind, "\(name)[\($0)]") }
}

/// `count` elements of a caller's array.
func elements<Element>(_ array: UnsafePointer<Element>?, _ count: Int, _ name: String) throws -> UnsafeBufferPointer<Element> {
  guard count >= 0 else { throw invalid("the count of \(name) is too large: \(UInt(bitPattern: count))") }
  guard array != nil || count == 0 else { throw invalid("\(name) is NULL, an array of \(count) elements is wanted") }
  return UnsafeBufferPointer(start: array, count: count)
}

// MARK: Values in

/// A string that has to be there.
func string(_ text: UnsafePointer<CChar>?, _ name: String) throws -> String {
  guard let text else { throw invalid("\(name) is NULL, a string is wanted") }
  guard let string = String(validatingCString: text) else { throw invalid("\(name) is not valid UTF-8") }
  return string
}

func optional(_ text: UnsafePointer<CChar>?, _ name: String) throws -> String? { try text.map { try string($0, name) } }

/// Config JSON; NULL and "" stand for no key at all.
func config(_ text: UnsafePointer<CChar>?, _ name: String = "config") throws -> JSONValue {
  guard let text = try optional(text, name), !text.isEmpty else { return [:] }
  return try JSONValue(parsing: text, what: name)
}

/// 0 or 1.
func truth(_ value: Int32, _ name: String) throws -> Bool {
  guard value == 0 || value == 1 else { throw invalid("\(name) is to be 0 or 1, \(value) was given") }
  return value == 1
}

/// XFER_TRAINING_*; nil for the default.
func training(_ value: Int32) throws -> Bool? {
  switch Int(value) {
  case Int(XFER_TRAINING_DEFAULT): return nil
  case Int(XFER_TRAINING_FALSE): return false
  case Int(XFER_TRAINING_TRUE): return true
  default: throw invalid("training is to be -1 (default), 0 or 1, \(value) was given")
  }
}

/// A shape of data, or of layers when -1 may stand for an open dimension.
func shape(_ rank: Int32, _ dims: UnsafePointer<Int64>?) throws -> [Int] {
  guard (0...Int(XFER_MAX_RANK)).contains(Int(rank)) else {
    throw XferError.shape("rank is to be from 0 to \(XFER_MAX_RANK), \(rank) was given")
  }
  return try elements(dims, Int(rank), "dims").map { Int($0) }
}

/// Batch sizes: 0 asks for Keras' 32.
func batchSize(_ value: Int32) throws -> Int {
  guard value >= 0 else { throw invalid("batch_size is to be 0 (for 32) or above, \(value) was given") }
  return value == 0 ? 32 : Int(value)
}

// MARK: Results out

/// An out-parameter that has to be there.
func out<Value>(_ pointer: UnsafeMutablePointer<Value>?, _ name: String) throws -> UnsafeMutablePointer<Value> {
  guard let pointer else { throw invalid("\(name) is NULL, a place for the result is wanted") }
  return pointer
}

/// Gives out a new handle. The place is checked first, so that nothing happens when there is none.
func give<Object>(_ pointer: UnsafeMutablePointer<OpaquePointer?>?, _ kind: Kind<Object>, _ make: () throws -> Object) throws {
  let place = try out(pointer, kind.name)
  place.pointee = HandleTable.insert(try make(), kind)
}

/// Gives out several new handles into a caller's array, whose room is checked before `make` does its work.
func give<Object>(
  _ array: UnsafeMutablePointer<OpaquePointer?>?, _ capacity: Int, _ count: UnsafeMutablePointer<Int>?, _ kind: Kind<Object>, expected: Int,
  _ make: () throws -> [Object]
) throws {
  let room = try elements(array.map { UnsafePointer($0) }, capacity, "outputs").count
  guard expected <= room else { throw invalid("there are \(expected) outputs, outputs has room for \(room)") }
  let made = try make()
  count?.pointee = made.count
  for (index, object) in made.enumerated() where index < room { array?[index] = HandleTable.insert(object, kind) }
}

/// Writes a shape to rank and dims; nil dimensions as -1.
func give(_ shape: [Int?], _ rank: UnsafeMutablePointer<Int32>?, _ dims: UnsafeMutablePointer<Int64>?) {
  rank?.pointee = Int32(shape.count)
  if let dims { for i in 0..<Int(XFER_MAX_RANK) { dims[i] = i < shape.count ? shape[i].map(Int64.init) ?? -1 : 1 } }
}

/// Gives out a text by size-query-then-fill. The places are checked before `make` does its work.
func give(
  _ buffer: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?, _ make: () throws -> String
) throws {
  guard buffer != nil || capacity == 0 else { throw invalid("buffer is NULL, but capacity is \(UInt(bitPattern: capacity))") }
  var text = try make()
  text.withUTF8 { bytes in
    length?.pointee = bytes.count
    guard let buffer, capacity != 0 else { return }
    var count = capacity < 0 ? bytes.count : min(bytes.count, capacity - 1)
    // No half character at the end.
    while count > 0, count < bytes.count, bytes[count] & 0xC0 == 0x80 { count -= 1 }
    for i in 0..<count { buffer[i] = CChar(bitPattern: bytes[i]) }
    buffer[count] = 0
  }
}
