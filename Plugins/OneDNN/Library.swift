import COneDNN
import CXfer

typealias Library = UnsafePointer<xfer_dnnl>

/// libdnnl, looked for when the plugin is entered; nil when there is none. Read only from then on.
nonisolated(unsafe) private(set) var dnnl: Library?
/// What the search said, for `score`.
nonisolated(unsafe) private var search: UnsafeMutablePointer<xfer_dnnl>?

/// Opens the library on the first call. It stays open for the life of the process, as every plugin does.
func openLibrary(_ host: UnsafePointer<xfer_host>) {
  guard search == nil, let memory = host.pointee.alloc?(host, MemoryLayout<xfer_dnnl>.size, 64) else { return }
  let found = memory.bindMemory(to: xfer_dnnl.self, capacity: 1)
  search = found
  let cap =
    switch Int(host.pointee.max_isa) {
    case XFER_ISA_BASELINE: XFER_DNNL_ISA_SSE41
    case XFER_ISA_AVX2: XFER_DNNL_ISA_AVX2
    default: 0
    }
  if xfer_dnnl_open(found, Int32(cap)) != 0 { dnnl = UnsafePointer(found) }
}

func reportMissingLibrary(to host: UnsafePointer<xfer_host>) {
  var message = Message()
  message.text("no libdnnl can serve, set XFER_DNNL_LIBRARY to the path of one; tried: ")
  if let search { withUnsafeBytes(of: search.pointee.tried) { message.characters($0) } }
  message.send(to: host)
}

/// "1.0 oneDNN 2.6.3", of the library that was found.
var libraryVersion: UnsafePointer<CChar>? { dnnl.map { xfer_dnnl_version_text($0) } }

extension xfer_dnnl {
  /// Runs `body` with OpenMP's number of threads for the calling thread at `count`, which is put back afterwards: it belongs to the
  /// program.
  func withThreads<T>(_ count: Int32, _ body: () throws(Refusal) -> T) throws(Refusal) -> T {
    guard let set = omp_set_num_threads, let get = omp_get_max_threads else { return try body() }
    let before = get()
    if before != count { set(count) }
    defer { if before != count { set(before) } }
    return try body()
  }
}

extension Message {
  /// Up to the first 0.
  mutating func characters(_ text: UnsafeRawBufferPointer) {
    for character in text {
      if character == 0 { return }
      byte(character)
    }
  }

  mutating func cString(_ text: UnsafePointer<CChar>?) {
    guard var text else { return }
    while text.pointee != 0 {
      byte(UInt8(bitPattern: text.pointee))
      text += 1
    }
  }
}

extension Op {
  /// Refuses with the call's name and the status's when the library was not content.
  func expectSuccess(_ status: Int32, _ call: UnsafePointer<CChar>?) throws(Refusal) {
    if status == 0 { return }
    throw refuse(status == 1 ? XFER_E_OUT_OF_MEMORY : status == 3 ? XFER_E_UNSUPPORTED : XFER_E_PLUGIN) {
      $0.cString(call)
      $0.text(" of libdnnl gave ")
      $0.cString(xfer_dnnl_status(status))
    }
  }

  func expectSuccess(_ status: Int32, _ call: StaticString) throws(Refusal) {
    try expectSuccess(status, UnsafeRawPointer(call.utf8Start).assumingMemoryBound(to: CChar.self))
  }

  func expectSuccess(_ outcome: xfer_dnnl_outcome) throws(Refusal) { try expectSuccess(outcome.status, outcome.call) }
}
