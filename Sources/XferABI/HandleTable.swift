import CXfer
import Synchronization
import Xfer
import XferCore
import XferGraph

/// What a handle stands for: the Swift type, and the word errors use for it.
struct Kind<Object> {
  let name: String
}

extension Kind<Tensor> { static var tensor: Self { Self(name: "tensor") } }
extension Kind<Layer> { static var layer: Self { Self(name: "layer") } }
extension Kind<SymbolicTensor> { static var symbol: Self { Self(name: "symbol") } }
extension Kind<Variable> { static var weight: Self { Self(name: "weight") } }
extension Kind<GradientTape> { static var tape: Self { Self(name: "tape") } }
extension Kind<Model> { static var model: Self { Self(name: "model") } }
extension Kind<Optimizer> { static var optimizer: Self { Self(name: "optimizer") } }
extension Kind<Loss> { static var loss: Self { Self(name: "loss") } }
extension Kind<Metric> { static var metric: Self { Self(name: "metric") } }
extension Kind<any Dataset> { static var dataset: Self { Self(name: "dataset") } }
extension Kind<HeldTrainer> { static var trainer: Self { Self(name: "trainer") } }
extension Kind<Callback> { static var callback: Self { Self(name: "callback") } }
extension Kind<any RecordedHistory> { static var history: Self { Self(name: "history") } }

/// The objects C holds. A handle is a number, not an address: it is odd, so that no pointer to an object can pass for one, and
/// never given out twice, so that a released one stays recognizable. Each holds its object alive.
enum HandleTable {
  private struct Entry: @unchecked Sendable {
    let kind: String
    let object: Any
  }
  private struct State {
    var last: UInt = 1
    var entries: [UInt: Entry] = [:]
  }
  private static let state = Mutex(State())

  static func insert<Object>(_ object: Object, _ kind: Kind<Object>) -> OpaquePointer? {
    let entry = Entry(kind: kind.name, object: object)
    return state.withLock { state in
      state.last += 2
      state.entries[state.last] = entry
      return Number(state.last)
    }.pointer
  }

  /// The object of a handle, or why there is none.
  static func find<Object>(_ handle: OpaquePointer, _ kind: Kind<Object>) -> Result<Object, Refusal> {
    let number = UInt(bitPattern: handle)
    let (entry, last) = state.withLock { ($0.entries[number], $0.last) }
    return check(entry, number, last, kind)
  }

  /// As ``find(_:_:)``, and the handle is gone. The object may go with it, outside the lock: a tensor's destroy callback may call back.
  static func take<Object>(_ handle: OpaquePointer, _ kind: Kind<Object>) -> Result<Object, Refusal> {
    let number = UInt(bitPattern: handle)
    let (entry, last) = state.withLock { state in
      guard let entry = state.entries[number], entry.kind == kind.name else { return (state.entries[number], state.last) }
      state.entries[number] = nil
      return (entry, state.last)
    }
    return check(entry, number, last, kind)
  }

  static func release<Object>(_ handle: OpaquePointer?, _ kind: Kind<Object>) {
    if let handle { _ = take(handle, kind) }
  }

  struct Refusal: Error {
    let reason: String
  }

  private static func check<Object>(_ entry: Entry?, _ number: UInt, _ last: UInt, _ kind: Kind<Object>) -> Result<Object, Refusal> {
    guard let entry else {
      let released = number % 2 == 1 && number > 1 && number <= last
      return .failure(Refusal(reason: released ? "was released before" : "is not a handle of this library"))
    }
    guard entry.kind == kind.name, let object = entry.object as? Object else {
      return .failure(Refusal(reason: "is a \(entry.kind) handle"))
    }
    return .success(object)
  }

  /// Carries a handle's number out of the lock: pointers are not Sendable.
  private struct Number: Sendable {
    let value: UInt
    init(_ value: UInt) { self.value = value }
    var pointer: OpaquePointer? { OpaquePointer(bitPattern: value) }
  }
}
