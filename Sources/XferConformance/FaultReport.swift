import Glibc
import Synchronization

/// Says what was being checked when the process touches a guard page: on the standard error, before SIGSEGV or SIGBUS ends it.
///
/// The handler may run at any instruction of any thread: it reads memory that was written before and calls nothing but `write`.
enum FaultReport {
  private struct Watched {
    /// The mapping with its guard pages; all zero where the slot is free.
    var low: UInt = 0
    var high: UInt = 0
    var begin: UInt = 0
    var end: UInt = 0
    var name: StaticString = ""
    var number = 0
  }

  private static let capacity = 256
  private static let lock = Mutex(())
  nonisolated(unsafe) private static let watched: UnsafeMutablePointer<Watched> = {
    let slots = UnsafeMutablePointer<Watched>.allocate(capacity: capacity)
    slots.initialize(repeating: Watched(), count: capacity)
    return slots
  }()
  private static let longest = 2000
  nonisolated(unsafe) private static let text = UnsafeMutablePointer<UInt8>.allocate(capacity: longest)
  nonisolated(unsafe) private static var length = 0

  /// The slot of a buffer inside its mapping; nil when there is none left, which costs the report a name.
  static func watch(_ mapping: UnsafeRawBufferPointer, _ data: UnsafeRawBufferPointer, _ name: StaticString, _ number: Int) -> Int? {
    lock.withLock { _ in
      guard let slot = (0..<capacity).first(where: { watched[$0].high == 0 }) else { return nil }
      let (low, begin) = (UInt(bitPattern: mapping.baseAddress), UInt(bitPattern: data.baseAddress))
      watched[slot] = Watched(
        low: low, high: low + UInt(mapping.count), begin: begin, end: begin + UInt(data.count), name: name, number: number)
      return slot
    }
  }

  static func forget(_ slot: Int) { lock.withLock { _ in watched[slot] = Watched() } }

  /// Reports faults from here to the end of `body`. What is being done is told by ``say(_:)``.
  static func during<R>(_ body: () -> R) -> R {
    _ = (watched, text)
    var action = sigaction()
    action.sa_flags = SA_SIGINFO | Int32(bitPattern: UInt32(SA_RESETHAND))
    action.__sigaction_handler.sa_sigaction = { _, info, _ in
      FaultReport.report(UInt(bitPattern: info?.pointee._sifields._sigfault.si_addr))
    }
    var before = (sigaction(), sigaction())
    sigaction(SIGSEGV, &action, &before.0)
    sigaction(SIGBUS, &action, &before.1)
    defer {
      sigaction(SIGSEGV, &before.0, nil)
      sigaction(SIGBUS, &before.1, nil)
    }
    return body()
  }

  /// What the process does from now on.
  static func say(_ words: String) {
    var copy = words
    copy.withUTF8 { bytes in
      length = min(bytes.count, longest)
      if let source = bytes.baseAddress { text.update(from: source, count: length) }
    }
  }

  private static func put(_ words: StaticString) { _ = write(2, words.utf8Start, words.utf8CodeUnitCount) }

  private static func put(_ number: UInt) {
    if number >= 10 { put(number / 10) }
    var digit = UInt8(48 + number % 10)
    _ = write(2, &digit, 1)
  }

  private static func report(_ address: UInt) {
    put("\nmemory fault while checking ")
    _ = write(2, text, length)
    put(": ")
    for slot in 0..<capacity where watched[slot].low <= address && address < watched[slot].high {
      let place = watched[slot]
      if address < place.begin {
        put(place.begin - address)
        put(" bytes before the start of ")
      } else if address >= place.end {
        put(address - place.end)
        put(" bytes beyond the end of ")
      } else {
        put("within ")
      }
      put(place.name)
      put(" ")
      put(UInt(place.number))
      put(" was touched\n")
      return
    }
    put("a place of no buffer was touched\n")
  }
}
