public import CXfer

/// What went wrong, as a status of `xfer.h` and a sentence that names what was given and what was wanted.
public struct XferError: Error, CustomStringConvertible, Sendable {
  public let status: xfer_status
  public let message: String

  public init(_ status: xfer_status, _ message: String) {
    self.status = status
    self.message = message
  }

  public var description: String { message }

  public static func invalid(_ message: String) -> XferError { XferError(XFER_E_INVALID_ARGUMENT, message) }
  public static func shape(_ message: String) -> XferError { XferError(XFER_E_SHAPE, message) }
  public static func dtype(_ message: String) -> XferError { XferError(XFER_E_DTYPE, message) }
  public static func notFound(_ message: String) -> XferError { XferError(XFER_E_NOT_FOUND, message) }
  public static func io(_ message: String) -> XferError { XferError(XFER_E_IO, message) }
  public static func format(_ message: String) -> XferError { XferError(XFER_E_FORMAT, message) }
  public static func unsupported(_ message: String) -> XferError { XferError(XFER_E_UNSUPPORTED, message) }
  public static func data(_ message: String) -> XferError { XferError(XFER_E_DATA, message) }
  public static func state(_ message: String) -> XferError { XferError(XFER_E_STATE, message) }
  public static func `internal`(_ message: String) -> XferError { XferError(XFER_E_INTERNAL, message) }
}

/// The nearest of `candidates` to a misspelt name, for "did you mean" in errors. Nil when nothing is near.
public func nearest(to name: String, in candidates: some Sequence<String>) -> String? {
  let wanted = Array(name.lowercased())
  var best: (distance: Int, name: String)?
  for candidate in candidates {
    let distance = editDistance(wanted, Array(candidate.lowercased()))
    if distance < (best?.distance ?? max(3, wanted.count / 2 + 1)) { best = (distance, candidate) }
  }
  return best?.name
}

private func editDistance(_ a: [Character], _ b: [Character]) -> Int {
  var row = Array(0...b.count)
  for i in a.indices {
    var diagonal = row[0]
    row[0] = i + 1
    for j in b.indices {
      let substituted = diagonal + (a[i] == b[j] ? 0 : 1)
      diagonal = row[j + 1]
      row[j + 1] = min(substituted, diagonal + 1, row[j] + 1)
    }
  }
  return row[b.count]
}

/// ", did you mean 'X'?" or nothing.
public func hint(_ name: String, among candidates: some Sequence<String>) -> String {
  nearest(to: name, in: candidates).map { ", did you mean '\($0)'?" } ?? ""
}
